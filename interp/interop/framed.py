"""A measured series as a table with one row for each checkpoint."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import xarray as xr

from interp.errors import UsageError
from interp.observing.series import about_if_known

if TYPE_CHECKING:
    import pandas as pd

_STEP, _HISTORY = "step", "history_step"


def to_frame(series: xr.Dataset) -> pd.DataFrame:
    """A series as a wide table: one row a step, a column for each variable, or for each entry of one with more axes.

    Entries are called by their coordinates, ``coefficient[frequency=5]``. The history stands beside them at the checkpoints'
    steps (``history_test_accuracy``; empty where it was not evaluated there); what has no axis of steps is left out. `tidy`
    tables, of which each row is one number, are written by `interp.export_series`.

    Raises:
        UsageError: for anything but a series over steps.

    >>> series = xr.Dataset({"gini": ("step", [0.2, 0.3]), "norm": (("step", "head"), [[1, 2], [3, 4]])}, {"step": [0, 100]})
    >>> to_frame(series)
          gini  norm[head=0]  norm[head=1]
    step
    0      0.2             1             2
    100    0.3             3             4
    """
    import pandas as pd

    if not isinstance(series, xr.Dataset) or _STEP not in series.dims:
        raise UsageError(f"series: given {type(series).__name__}, expected a Dataset over steps, as interp.observe(run) returns")
    columns = {}
    for name, values in series.data_vars.items():
        if values.dims == (_HISTORY,):
            columns[str(name)] = values.to_series().reindex(series[_STEP].values).to_numpy()
        elif _STEP in values.dims:
            table = values.transpose(_STEP, ...).values.reshape(series.sizes[_STEP], -1)
            columns |= dict(zip(_names(str(name), values.isel(step=0, drop=True)), table.T, strict=True))
    frame = pd.DataFrame(columns, index=pd.Index(series[_STEP].values, name=_STEP))
    known = about_if_known(series)
    frame.attrs["run"] = None if known is None else known.run
    return frame


def _names(name: str, values: xr.DataArray) -> list[str]:
    if not values.ndim:
        return [name]
    axes = [[f"{dim}={label}" for label in values[dim].values.tolist()] for dim in values.dims]
    return [f"{name}[{', '.join(labels)}]" for labels in product(*axes)]
