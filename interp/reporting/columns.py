"""The measured numbers of a series, to be read in the page or downloaded as CSV or parquet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.reporting.blocks import Blocks

if TYPE_CHECKING:
    import xarray as xr

# Variables with more values than this at one step (maps) are left to `interp analyze --out`; the page says so.
WIDEST = 2_048
HISTORY = "run-history"  # no analysis can have this name


def tables(series: xr.Dataset, names: Sequence[str], blocks: Blocks) -> dict[str, Any]:
    """For each analysis its variables over the checkpoints, and the history of the run (or runs) over the evaluated steps.

    A variable belongs to the analysis that its attribute ``analysis`` names. ``left`` are the names of those too large for it.
    """
    found: dict[str, Any] = {}
    for name in names:
        own = [str(v) for v, array in series.data_vars.items() if array.attrs.get("analysis") == name]
        rows = [row for variable in own if (row := _variable(series[variable], variable, blocks))]
        if own:
            kept = {row["name"] for row in rows}
            found[name] = {"variables": rows, "left": [variable for variable in own if variable not in kept]}
    own = [str(v) for v, array in series.data_vars.items() if array.dims[:1] == ("history_step",)]
    if own:
        steps = blocks.add(np.asarray(series["history_step"].values))
        rows = [row for variable in own if (row := _variable(series[variable], variable, blocks))]
        found[HISTORY] = {"variables": rows, "steps": steps}
    return found


def _variable(array: xr.DataArray, name: str, blocks: Blocks) -> dict[str, Any] | None:
    inner = array.dims[1:]
    width = int(np.prod([array.sizes[dim] for dim in inner], initial=1))
    if width > WIDEST or array.dtype.kind not in "fiub":
        return None
    labels = [
        ", ".join(f"{dim}={value}" for dim, value in zip(inner, values, strict=True))
        for values in product(*(array[dim].values.tolist() for dim in inner))
    ]
    block = blocks.add(array.values, exact=True)
    return {"name": name.removeprefix("history_"), "labels": labels if inner else [], "block": block}
