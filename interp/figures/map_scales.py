"""What the colours of maps stand for, on a figure that leaves the page, which says it below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.figures.cells import on

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROOM, _GAP = 4.6, 0.8  # for a scale, and before it, in letters
_WIDTH, _HEIGHT, _LETTER = 900, 450, 12  # of a figure that has none, in pixels


def with_map_scales(drawn: go.Figure) -> go.Figure:
    """A copy with a scale of colours right of every row of maps that share one.

    Where the maps reach the end of their row, all cells become narrower by the room that it takes, so that maps stay of one size;
    where other cells follow, the last map alone does.
    """
    import plotly.graph_objects as go

    layout = drawn.layout.to_plotly_json()
    meta = layout.get("meta")
    rows = meta.get("grid", ()) if isinstance(meta, dict) else ()
    places = [place for row in rows if (place := _scaled(drawn.data, row["cells"])) is not None]
    if not places:
        return drawn
    letter, margin = (layout.get("font") or {}).get("size", _LETTER), layout.get("margin", {})
    width = (layout.get("width") or _WIDTH) - margin.get("l", 80) - margin.get("r", 80)
    height = (layout.get("height") or _HEIGHT) - margin.get("t", 100) - margin.get("b", 80)
    room, shape = _ROOM * letter / width, width / height
    axes = {place: ((drawn.data[place].xaxis or "x")[1:]) for place in places}
    crowded = [suffix for suffix in axes.values() if _domain(layout, "xaxis", suffix)[1] - _box(layout, suffix, shape)[1] < room]
    if any(_domain(layout, "xaxis", suffix)[1] > 1 - room for suffix in crowded):
        for name, axis in layout.items():
            if name.startswith("xaxis"):
                axis["domain"] = [(1 - room) * end for end in axis.get("domain", (0, 1))]
    else:
        for suffix in crowded:
            left, right = _domain(layout, "xaxis", suffix)
            layout[f"xaxis{suffix}"]["domain"] = [left, right - room]
    copy = go.Figure(drawn.data, layout, frames=drawn.frames)
    for place, suffix in axes.items():
        _, right, bottom, top = _box(layout, suffix, shape)
        copy.data[place].update(showscale=True, colorbar=_bar(right + _GAP * letter / width, bottom, top, letter=letter))
    return copy


def _box(layout: dict[str, Any], suffix: str, shape: float) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a map: a square stands in the upper left corner of its cell, and may be smaller.

    Args:
        layout: the figure's.
        suffix: of its axes.
        shape: width of all cells together over their height.
    """
    (left, right), (bottom, top) = _domain(layout, "xaxis", suffix), _domain(layout, "yaxis", suffix)
    if any((layout.get(f"{axis}axis{suffix}") or {}).get("scaleanchor") for axis in "xy"):
        right, bottom = min(right, left + (top - bottom) / shape), max(bottom, top - (right - left) * shape)
    return left, right, bottom, top


def _domain(layout: dict[str, Any], axis: str, suffix: str) -> tuple[float, float]:
    start, end = (layout.get(f"{axis}{suffix}") or {}).get("domain", (0, 1))
    return float(start), float(end)


def _scaled(traces: Sequence[Any], cells: Sequence[dict[str, Any]]) -> int | None:
    """The number of the last map of a row whose maps all have its scale; None where they have several, or it is drawn already."""
    axes = {on(cell["n"])["xaxis"] for cell in cells}
    maps = [i for i, trace in enumerate(traces) if trace.type == "heatmap" and (trace.xaxis or "x") in axes]
    there = [i for i in maps if traces[i].z is not None and np.isfinite(np.asarray(traces[i].z, dtype=float)).any()]
    if not there or any(traces[i].showscale is not False for i in maps):
        return None
    ends = {_ends(traces[i]) for i in there}
    return there[-1] if len(ends) == 1 else None


def _ends(trace: Any) -> tuple[float, float]:
    """The numbers that the two ends of a map's colours stand for."""
    values = np.asarray(trace.z, dtype=float)
    low = float(np.nanmin(values)) if trace.zmin is None else float(trace.zmin)
    return low, float(np.nanmax(values)) if trace.zmax is None else float(trace.zmax)


def _bar(left: float, bottom: float, top: float, *, letter: float) -> dict[str, Any]:
    return {
        "x": left, "xanchor": "left", "xpad": 0, "y": top, "yanchor": "top", "ypad": 0, "len": top - bottom,
        "thickness": 0.8 * letter, "outlinewidth": 0, "nticks": 5, "tickfont": {"size": 0.85 * letter},
    }  # fmt: skip
