"""What the slider's readout says at each checkpoint, what is sketched behind the slider, and what is read aloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.reporting.blocks import Blocks

if TYPE_CHECKING:
    import xarray as xr

# For one run: variable, label, colour, is it a share, how it is sketched behind the slider, is it read aloud.
_READINGS = (
    ("train_loss", "train loss", "train", False, None, False),
    ("test_loss", "test loss", "test", False, None, True),
    ("restricted_loss", "restricted", "restricted", False, "of its start", True),
    ("train_accuracy", "train acc.", "train", True, "share", False),
    ("test_accuracy", "test acc.", "test", True, "share", True),
    ("excluded_loss", "excluded", "excluded", False, None, False),
)
# For several runs: the one curve that says what each of them can do, and how many of them may each have a reading.
_OF_RUNS, _TITLE = "test_accuracy", "test accuracy"
_MOST = 5


def readings(series: xr.Dataset, blocks: Blocks) -> dict[str, Any]:
    """The readings of one run, from its checkpoints; the history fills in where they have no values."""
    found = []
    for name, label, kind, share, sketch, spoken in _READINGS:
        values = _at_checkpoints(series, name)
        if values is not None and np.isfinite(values).any():
            words = label if spoken else None
            found.append(_reading(label, values, blocks, kind=kind, share=share, sketch=sketch, spoken=words))
    return {"title": None, "readings": found}


def readings_of_runs(together: xr.Dataset, looks: Sequence[Mapping[str, str]], blocks: Blocks) -> dict[str, Any]:
    """The test accuracy of several runs under one title: of each, or, if there are many, the lowest, median and highest.

    Every run is sketched, by its look. A run that was not measured at a checkpoint of another one has no reading there.
    """
    values = _at_checkpoints(together, _OF_RUNS)
    if values is None or not np.isfinite(values).any():
        return {"title": None, "readings": []}
    few = values.shape[1] <= _MOST
    found = []
    for name, column, look in zip(together["run"].values, values.T, looks, strict=True):
        one = _reading(str(name), column, blocks, share=True, sketch="share", spoken=str(name) if few else None)
        found.append({**one, "look": dict(look), "said": few})
    if not few:
        for label, summary in (("lowest", np.nanmin), ("median", np.nanmedian), ("highest", np.nanmax)):
            known = np.isfinite(values).any(axis=1)
            row = np.full(len(values), np.nan)
            row[known] = summary(values[known], axis=1)
            found.append(_reading(label, row, blocks, share=True, spoken=label))
    return {"title": _TITLE, "readings": found}


def _reading(
    label: str,
    values: np.ndarray,
    blocks: Blocks,
    *,
    share: bool,
    kind: str = "",
    sketch: str | None = None,
    spoken: str | None = None,
) -> dict[str, Any]:
    """One curve over the checkpoints, as the page's script takes it; shown in the readout, for no run in particular."""
    block = blocks.add(values.astype(np.float32))
    one = {"label": label, "kind": kind, "share": share, "sketch": sketch, "spoken": spoken, "block": block}
    return {**one, "look": None, "said": True}


def _at_checkpoints(series: xr.Dataset, name: str) -> np.ndarray | None:
    """Values at the checkpoints, the steps along the first axis; NaN where there are none."""
    if name in series and series[name].dims == ("step",):
        values = np.asarray(series[name].values, dtype=np.float64)
        if np.isfinite(values).all():
            return values
    history = f"history_{name}"
    if history not in series:
        return None
    return np.asarray(series[history].reindex(history_step=series["step"].values).values, dtype=np.float64)
