"""The neuron explorer: any neuron's activation over all pairs, made in the page from small tables, beside its best fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from interp.figures import Cell, draw, on
from interp.reporting.blocks import Blocks
from interp.reporting.page import Panel
from interp.reporting.story import tell

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

# At most this many checkpoints carry tables: each takes as much as a hundred checkpoints of everything else.
KEPT = 5

TITLE = "What does one neuron do?"
CAPTION = """\
The activation of a single neuron for every a (up) and b (to the right), and the best fit to it by waves of one frequency.
Choose a neuron by its number, or click on its dot in the figure of all neurons above. A neuron of the circuit shows a
pattern of one frequency; one that memorizes shows none. The maps are kept for the checkpoints named beside it; the
nearest one is shown.

Measured: activation after the non-linearity, computed in this page from tables over single tokens kept to 8 bits (errors up
to about a hundredth of the largest activation); fit = mean plus projection on the eight waves {1, cos w_k, sin w_k}(a) x {1,
cos w_k, sin w_k}(b) of the frequency k that explains most."""


class Tables(Protocol):
    """What is needed of `interp.neuron_tables.NeuronTables`, which says what they mean."""

    @property
    def attention(self) -> np.ndarray: ...  # noqa: D102
    @property
    def values(self) -> np.ndarray: ...  # noqa: D102
    @property
    def equals(self) -> np.ndarray: ...  # noqa: D102
    @property
    def base(self) -> np.ndarray: ...  # noqa: D102
    @property
    def total(self) -> float: ...  # noqa: D102
    @property
    def activation(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Landmark:
    """A checkpoint of which the page keeps the neurons."""

    label: str
    step: int
    tables: Tables


def landmarks(series: xr.Dataset) -> list[tuple[str, int]]:
    """Which checkpoints to keep: those nearest to the boundaries of the phases, and the last one; each once, ascending."""
    steps = series["step"].values
    found = {int(steps[-1]): "last"}
    for milestone in reversed(tell(series).milestones):
        if milestone.boundary is not None:
            nearest = int(steps[np.abs(steps - milestone.boundary.step).argmin()])
            found[nearest] = milestone.label.lower()
    kept = sorted(found)[-KEPT:]
    return [(found[step], step) for step in kept]


def explorer(kept: Sequence[Landmark]) -> Panel:
    """The panel that shows one neuron, for checkpoints given with their tables."""
    p, neurons = kept[0].tables.attention.shape[-1], kept[0].tables.values.shape[-1]

    def figure(series: xr.Dataset) -> go.Figure:
        empty = np.zeros((p, p), dtype=np.float32)
        text = "a = %{y}, b = %{x}<br>%{z:.3f}<extra></extra>"
        maps = [{"type": "heatmap", "z": empty, "showscale": False, "hovertemplate": text, **on(n)} for n in (1, 2)]
        edge = (-0.5, p - 0.5)
        row = [
            Cell(title, x="b", y="a", square=True, x_range=edge, y_range=edge)
            for title in ("Activation", "Best fit by one frequency")
        ]
        return draw(series, [row], heights=(300,), fixed=maps, alt="Activation of the chosen neuron for all pairs, and its fit.")

    def extra(blocks: Blocks) -> Mapping[str, Any]:
        return {"neurons": neurons, "p": p, "landmarks": [_stored(landmark, blocks) for landmark in kept]}

    return Panel("neuron", TITLE, CAPTION, figure, extra=extra)


def _stored(landmark: Landmark, blocks: Blocks) -> dict[str, Any]:
    """The tables as blocks; what varies from neuron to neuron in size is divided by that size first."""
    tables = landmark.tables
    heads, _, p, neurons = tables.values.shape
    size = np.maximum(np.abs(tables.values).max(axis=(0, 1, 2)), np.finfo(np.float32).tiny)
    scaled = (tables.values / size).reshape(heads * 2 * p, neurons)
    return {
        "label": landmark.label,
        "step": landmark.step,
        "attention": blocks.add(tables.attention.reshape(heads * 2, p, p), drawn=True),
        "values": blocks.add_bytes(scaled),
        "size": blocks.add(size),
        "equals": blocks.add(tables.equals),
        "base": blocks.add(tables.base),
        "total": float(tables.total),
        "activation": tables.activation,
    }
