"""Figures from labelled series: fixed traces, traces that move with the checkpoint, and a slider that does not tween."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from interp.figures.banding import last_step, phase_bands
from interp.figures.cells import WHOLE_BELOW, Cell, grid, heading, on
from interp.figures.single_point import without_time
from interp.figures.theme import NEUTRAL, faded, template

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

Trace = dict[str, Any]

# A legend's pixels: of a row, across a figure as plotly draws it by itself, of an entry's line, of a letter.
_ROW, _ACROSS, _KEY, _LETTER = 19, 880, 46, 7

# Up to so many points of a curve over time are marked; the size of a point that no line leads to.
_FEW, _DOT = 12, 7


def draw(  # noqa: PLR0913  each is a part of the figure
    series: xr.Dataset,
    rows: Sequence[Sequence[Cell]],
    *,
    heights: Sequence[int],
    fixed: Iterable[Trace] = (),
    moving: Callable[[int], list[Trace]] | None = None,
    titles: Callable[[int], Mapping[int, str]] | None = None,
    alt: str | None = None,
    said: Sequence[str] = (),
    annotations: Sequence[dict[str, Any]] = (),
) -> go.Figure:
    """A figure of rows of cells, complete at the last checkpoint; with a slider over the checkpoints if anything moves.

    The slider works by itself in a notebook. Nothing is animated between checkpoints: what lies between them is unknown.

    Args:
        series: what `interp.observe` returned; its ``step`` coordinate and phases are used.
        rows: the cells, see `Cell`.
        heights: height of each row's plots in pixels.
        fixed: traces (dicts of plotly attributes) that do not change.
        moving: called with the index i of a checkpoint; returns the traces that show it, always the same number and types.
        titles: called with the index i of a checkpoint where traces move; returns titles of cells, by their numbers, that say
            something about that checkpoint.
        alt: one sentence for readers who cannot see the figure.
        said: sentences that are true of this run, which the report's page puts beside the figure.
        annotations: further plotly annotations.
    """
    import plotly.graph_objects as go

    from interp.figures.moving import Frames, Moving, is_plain

    fixed, steps = list(fixed), [int(step) for step in series["step"].values]
    layout = _layout(series, rows, heights=heights, traces=[*fixed, *(moving(len(steps) - 1) if moving else [])])
    if len(steps) == 1:
        fixed = without_time(layout, fixed)
    _tick_powers(layout, fixed)
    layout["annotations"] += [*annotations, *_all_zero(layout, fixed)]
    if alt:
        layout["meta"]["alt"] = alt
    if said:
        layout["meta"]["said"] = [*said]
    if moving is None:
        return go.Figure(data=fixed, layout=layout)
    traces = [moving(i) for i in range(len(steps))]
    notes = [_retitled(layout["annotations"], titles(i)) for i in range(len(steps))] if titles else []
    layout["annotations"] = notes[-1] if notes else layout["annotations"]
    layout["sliders"] = [slider(steps)]
    layout["margin"]["b"] += 70
    layout["height"] += 70
    frames = Frames(steps, traces, place=len(fixed), changing=_changing(traces), annotations=notes)
    if all(map(is_plain, traces[-1])):
        return Moving(fixed + traces[-1], layout, frames=frames)
    return go.Figure(data=fixed + traces[-1], layout=layout, frames=frames.plain)


def _layout(
    series: xr.Dataset, rows: Sequence[Sequence[Cell]], *, heights: Sequence[int], traces: Sequence[Trace]
) -> dict[str, Any]:
    """Cells, legend and phases of a figure with these traces."""
    layout, named = grid(rows, heights), _in_legend(traces)
    layout |= {"template": template(), "showlegend": len(named) > 1}
    if last_step(series) < WHOLE_BELOW:
        for name in layout["meta"]["step_axis"]:
            layout[f"xaxis{name[1:]}"]["dtick"] = 1
    taller = _ROW * (_rows(named) - 1)
    layout["height"] += taller
    layout["margin"]["t"] += taller
    layout["shapes"] = phase_bands(series, layout["meta"]["step_axis"])
    cells = [cell for row in rows for cell in row]
    if cells and all(cell.time for cell in cells):
        layout["hovermode"] = "x unified"
    return layout


def _retitled(annotations: Sequence[dict[str, Any]], titles: Mapping[int, str]) -> list[dict[str, Any]]:
    """The annotations of a layout with other titles on some cells."""
    texts = {f"{on(cell)['xaxis']} domain": heading(title) for cell, title in titles.items()}
    is_title = {id(note) for note in annotations if note.get("yref", "").endswith(" domain") and note["text"].startswith("<b>")}
    return [{**note, "text": texts.get(note["xref"], note["text"])} if id(note) in is_title else note for note in annotations]


def _changing(frames: Sequence[Sequence[Trace]]) -> list[set[str]]:
    """For each moving trace, the attributes that are not the same at all checkpoints: all that frames need to say."""
    return [
        {"type", *(name for name in first if any(not _same(first[name], frame[place].get(name)) for frame in frames[1:]))}
        for place, first in enumerate(frames[0])
    ]


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return bool(one == other)


def slider(steps: Sequence[int]) -> dict[str, Any]:
    """A plotly slider over checkpoints, at the last one; it shows each checkpoint as it is and never interpolates."""
    at_once = {"mode": "immediate", "transition": {"duration": 0}, "frame": {"duration": 0, "redraw": True}}
    return {
        "active": len(steps) - 1,
        "currentvalue": {"prefix": "step ", "xanchor": "left", "font": {"size": 13, "color": NEUTRAL}},
        "pad": {"t": 44},
        "ticklen": 0,
        "minorticklen": 0,
        "font": {"color": "rgba(0,0,0,0)", "size": 1},
        "transition": {"duration": 0},
        "steps": [{"label": str(step), "method": "animate", "args": [[str(step)], at_once]} for step in steps],
    }


def line(series: xr.Dataset, variable: str, *, name: str, colour: str, cell: int = 1, dash: str = "solid") -> Trace:
    """A curve over time of one variable of a series, on a time cell; points are marked where there are few.

    History variables are drawn over the steps at which they were evaluated: where a run's accuracies are known at few of the
    steps that have losses, the line goes from one to the next. Other variables have gaps where they are not a number.

    Raises:
        KeyError: if the series has no such variable.
    """
    values = series[variable]
    axis = values.dims[0]
    known = values.dropna(axis) if axis == "history_step" else values
    return marked_if_few(curve(known[axis].values, known.values, name=name, colour=colour, cell=cell, dash=dash))


def marked_if_few(trace: Trace) -> Trace:
    """A curve whose points are marked if there are few, so that it shows where it was measured."""
    is_few = trace["mode"] == "lines" and np.count_nonzero(np.isfinite(np.asarray(trace["y"], dtype=float))) <= _FEW
    return trace | {"mode": "lines+markers", "marker": {"color": trace["line"]["color"], "size": 5}} if is_few else trace


def curve(x: Any, y: Any, *, name: str, colour: str, cell: int = 1, dash: str = "solid", legend: bool = True) -> Trace:
    """A curve over given steps; gaps where it is not a number. A single number, also one between two gaps, is drawn as a dot."""
    values = np.asarray(y)
    known = np.isfinite(values.astype(float))
    beside = np.concatenate([[False], known, [False]])
    alone = known & ~beside[:-2] & ~beside[2:]
    size: Any = _DOT if alone.sum() == known.sum() else np.where(alone, _DOT, 0)
    return {
        "type": "scatter", "mode": "lines+markers" if alone.any() else "lines", "x": np.asarray(x), "y": values, "name": name,
        "showlegend": legend, "line": {"color": colour, "width": 2, "dash": dash}, "hovertemplate": "%{y:.4g}", **on(cell),
        **({"marker": {"color": colour, "size": size}, "cliponaxis": False} if alone.any() else {}),
    }  # fmt: skip


def level(series: xr.Dataset, y: float, *, cell: int = 1) -> Trace:
    """A dotted line across a time cell at a value that curves are compared with; also seen on a logarithmic step axis."""
    last = max(2.0, last_step(series))
    line = curve([0, 1, last], [y] * 3, name="level", colour=faded(NEUTRAL, 0.8), cell=cell, dash="dot", legend=False)
    return {**line, "hoverinfo": "skip", "hovertemplate": None}


def label(
    text: str, y: float, *, cell: int = 1, end: Literal["left", "right"] = "left", side: Literal["above", "below"] = "above"
) -> dict[str, Any]:
    """An annotation that names such a line, placed away from curves."""
    axes = on(cell)
    return {
        "text": text, "x": 0 if end == "left" else 1, "xref": f"{axes['xaxis']} domain", "xanchor": end,
        "y": y, "yref": axes["yaxis"], "showarrow": False, "font": {"size": 10, "color": NEUTRAL},
        "yanchor": "bottom" if side == "above" else "top",
    }  # fmt: skip


def remark(text: str, *, cell: int = 1) -> dict[str, Any]:
    """An annotation in the middle of a cell that says why it is empty."""
    axes = on(cell)
    return {
        "text": text, "x": 0.5, "xref": f"{axes['xaxis']} domain", "y": 0.5, "yref": f"{axes['yaxis']} domain",
        "showarrow": False, "font": {"size": 12, "color": NEUTRAL},
    }  # fmt: skip


def _tick_powers(layout: dict[str, Any], traces: Sequence[Trace]) -> None:
    """Ticks only at powers of ten on logarithmic axes that have room for two: plotly's others are too small to be read."""
    for name in layout["meta"]["log_axis"]:
        values = [np.ravel(np.asarray(trace["y"], dtype=float)) for trace in traces if trace.get("yaxis", "y") == name]
        drawn = np.concatenate(values) if values else np.empty(0)
        drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
        decades = np.log10(drawn.max() / drawn.min()) if drawn.size else 0.0
        if decades > 1:
            layout[f"yaxis{name[1:]}"]["dtick"] = math.ceil(decades / 7)


def _all_zero(layout: dict[str, Any], traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """What is said of curves that are 0 wherever they were measured: a logarithmic axis, which has no 0, does not show them."""
    found: dict[str, list[str]] = {}
    for trace in traces:
        values = np.ravel(np.asarray(trace["y"], dtype=float)) if trace.get("type") == "scatter" else np.empty(0)
        known = values[np.isfinite(values)]
        if trace.get("yaxis", "y") in layout["meta"]["log_axis"] and known.size and not known.any():
            found.setdefault(trace.get("yaxis", "y"), []).append(str(trace.get("name", "")))
    return [
        {
            "text": f"{', '.join(names)}: 0 throughout", "x": 1, "xref": f"x{axis[1:]} domain", "y": 0, "yref": f"{axis} domain",
            "xanchor": "right", "yanchor": "bottom", "showarrow": False, "font": {"size": 10, "color": NEUTRAL},
        }
        for axis, names in found.items()
    ]  # fmt: skip


def _in_legend(traces: Iterable[Trace]) -> list[str]:
    return [str(trace.get("name", "")) for trace in traces if trace.get("showlegend", trace.get("type") == "scatter")]


def _rows(names: Sequence[str]) -> int:
    """How many rows a legend over the figure has, at least one; plotly gives every entry the width of the longest."""
    widest = max((_KEY + _LETTER * len(name) for name in names), default=1)
    return max(1, -(-len(names) // max(1, _ACROSS // widest)))
