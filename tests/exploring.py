"""The neuron explorer's panel for given models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interp.figures import Neurons
from interp.networks.neuron_tables import NeuronTables
from interp.observing.analysis import find_analyses
from interp.reporting import Panel


def neurons_of(steps: Sequence[int], tables: Sequence[NeuronTables], *, order: Sequence[int] | None = None) -> Neurons:
    """What the built-in analysis draws for checkpoints with these tables."""
    stacked = {name: np.stack([getattr(one, name) for one in tables]) for name in ("attention", "read", "write", "base")}
    return Neurons(list(steps), **stacked, total=tables[0].total, activation=tables[0].activation, order=order)


def explorer(steps: Sequence[int], tables: Sequence[NeuronTables], *, order: Sequence[int] | None = None) -> Panel:
    """Its panel."""
    [analysis] = find_analyses(["neuron_explorer"])
    found = neurons_of(steps, tables, order=order)
    return Panel("neuron_explorer", analysis.title, analysis.caption, lambda _: found, kind="explorer")
