"""Made networks that are trained on, each as a run of its own, and what came of them as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from interp.config.run_config import RunConfig
from interp.errors import UsageError
from interp.interventions.patching import keys_of
from interp.keeping.recorder import record_source
from interp.keeping.sources import Configured
from interp.measures.dating import RIGHT
from interp.networks.one_layer import Weights
from interp.store.manifest import MANIFEST
from interp.store.run import Run, open_run
from interp.store.run_paths import run_path
from interp.training.start import FromWeights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Made:
    """A network that was made, to be trained on.

    Args:
        name: of its run.
        facts: what it is, a column each of the table.
        weights: the network.
        config: what it is trained by.
        mask: by tensor, which weights there are; the others are 0 and stay so.
    """

    name: str
    facts: Mapping[str, Any]
    weights: Weights
    config: RunConfig
    mask: Mapping[str, torch.Tensor] | None = None


def train_on(made: Sequence[Made], root: str | Path, *, progress: bool = True) -> list[Run]:
    """Train every one of them as a run under ``root``; those that are there are not trained again.

    Raises:
        UsageError: if another run has the name of one; before any is trained.
    """
    sources = [(_source(one), run_path(root, one.name)) for one in made]
    for source, path in sources:
        _check_name(source, path)
    return [record_source(source, path, progress=progress, force=False, lock=None) for source, path in sources]


def _source(made: Made) -> Configured:
    lineage = {"made": {key: str(value) for key, value in made.facts.items()}}
    start = FromWeights(made.weights, lineage=lineage, mask=made.mask)
    return Configured(made.config, start.facts(), start)


def _check_name(source: Configured, path: Path) -> None:
    """Refuse a name that another run has. These names are not chosen, so there is another way out than `record` has."""
    if not (path / MANIFEST).is_file():
        return
    try:
        source.check(open_run(path))
    except UsageError as error:
        what_to_do = "remove that run or give it another name (`interp rm`, `interp rename`), or keep these elsewhere (root=...)"
        raise UsageError(str(error).replace("choose another name with --name", what_to_do)) from None


def outcomes(made: Sequence[Made], runs: Sequence[Run], *, of: Mapping[str, Run] | None = None) -> pd.DataFrame:
    """A row for each: what it is, when train and test accuracy were first 99 % (NaN: not within the budget), the last test
    accuracy, the key frequencies at the end, and the share of them that it has in common with other runs (Jaccard's index).
    """
    import pandas as pd

    rows = []
    for one, run in zip(made, runs, strict=True):
        ordered = keys_of(run)
        keys = set(ordered)
        row: dict[str, Any] = {"run": run.name, **one.facts, **_dates(run), "keys": ", ".join(map(str, ordered))}
        for name, other in (of or {}).items():
            theirs = set(keys_of(other))
            row[f"shared with {name}"] = len(keys & theirs) / len(keys | theirs) if keys | theirs else nan
        rows.append(row)
    return pd.DataFrame(rows)


def norm_of(weights: Weights) -> float:
    """Square root of the sum of squares of all weights."""
    return float(sum(float(tensor.double().square().sum()) for tensor in weights.tensors().values()) ** 0.5)


def check_steps(steps: int) -> None:
    """Refuse a budget that is none.

    Raises:
        UsageError: naming it.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise UsageError(f"steps: given {steps!r}, expected an integer >= 1: the networks are trained on for so many")


def _dates(run: Run) -> dict[str, float]:
    columns = run.columns
    found = {}
    for name, column in (("memorized", "train_accuracy"), ("grokked", "test_accuracy")):
        reached = columns["step"][columns[column] >= RIGHT]  # NaN, where it was not measured, is not
        found[name] = float(reached[0]) if len(reached) else nan
    measured = columns["test_accuracy"][columns["test_accuracy"] >= 0]
    return {**found, "test_accuracy": float(measured[-1]) if len(measured) else nan}
