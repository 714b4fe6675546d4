"""The figure of an analysis that brings none: a plot for each variable, with a line for each of its entries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.figures.cells import Cell
from interp.figures.drawing import Trace, curve, draw, marked_if_few, remark
from interp.figures.theme import CYCLE

if TYPE_CHECKING:
    import xarray as xr

    from interp.observing.analysis import Analysis

_MOST = 8  # lines in a plot
_DASHES = ("solid", "dash", "dot")


def figure_of(analysis: Analysis) -> Callable[[xr.Dataset], Any]:
    """What draws an analysis: its own figure, or lines of all that it measured."""
    return analysis.figure or partial(_lines, name=analysis.name)


def _lines(series: xr.Dataset, *, name: str) -> Any:
    """A row for each variable. Of one with many entries, lines show the least, the middle and the greatest of them."""
    variables = [str(one) for one, values in series.data_vars.items() if values.attrs.get("analysis") == name]
    over_time = [one for one in variables if "step" in series[one].dims and series[one].dtype.kind in "fiub"]
    rows = [[Cell(one.replace("_", " "), time=True)] for one in over_time]
    traces = [trace for i, one in enumerate(over_time) for trace in _of_variable(series, one, cell=i + 1)]
    if not rows:
        said = "; ".join(f"{one} = {series[one].values}" for one in variables) or "nothing was measured"
        return draw(series, [[Cell()]], heights=(160,), annotations=[remark(said)])
    ends = ", ".join(f"{one} {_end(series[one].values)}" for one in over_time)
    return draw(series, rows, heights=[200] * len(rows), fixed=traces, alt=f"At the end: {ends}.")


def _of_variable(series: xr.Dataset, name: str, *, cell: int) -> list[Trace]:
    values = series[name].transpose("step", ...)
    steps, table = values["step"].values, values.values.reshape(len(values["step"]), -1).astype(np.float64)
    if values.ndim == 1:
        lines = {name: table[:, 0]}
    elif table.shape[1] <= _MOST:
        lines = dict(zip(_entries(values.isel(step=0)), table.T, strict=True))
    else:
        is_known = np.isfinite(table).any(axis=1)
        middle = np.full((3, len(table)), np.nan)
        if is_known.any():
            middle[:, is_known] = np.nanquantile(table[is_known], [0.0, 0.5, 1.0], axis=1)
        lines = {
            f"{name}: {what} of {table.shape[1]}": row for what, row in zip(("least", "median", "greatest"), middle, strict=True)
        }
    return [
        marked_if_few(curve(steps, row, name=label, colour=CYCLE[i % len(CYCLE)], cell=cell, dash=_DASHES[i // len(CYCLE) % 3]))
        for i, (label, row) in enumerate(lines.items())
    ]


def _entries(values: xr.DataArray) -> list[str]:
    """Names of the entries of an array, by its coordinates."""
    axes = [[f"{dim} {label}" for label in values[dim].values.tolist()] for dim in values.dims]
    names = [""]
    for axis in axes:
        names = [f"{name}, {label}" if name else label for name in names for label in axis]
    return names


def _end(values: np.ndarray) -> str:
    last = np.ravel(values[-1]).astype(float)
    known = last[np.isfinite(last)]
    return "unknown" if not known.size else f"{known[0]:.4g}" if last.size == 1 else f"{known.min():.4g} to {known.max():.4g}"
