"""The phase diagram: what is asked of every cell of a study, over two of its axes as a map, over one as points with intervals.

A cell whose median is not reached, and one without a finished run, have no place on the colour scale and are not drawn on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import UsageError
from interp.figures.cell_numbers import OUTCOMES, Answer, Asked, answer, common_outcome, words
from interp.figures.study_table import StudyAxis, StudyTable, apart
from interp.figures.theme import CYCLE, NEUTRAL, PAPER, faded, steps_of_colour, template
from interp.studies.durations import FEW

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Liu et al.'s outcomes, and a cell in which none is the most frequent.
OUTCOME_COLOURS = {
    "grokking": "#009e73", "comprehension": "#4477aa", "memorization": "#b35fa3", "confusion": "#8c7a1e", "unknown": "#7d8590",
    "mixed": "#a8622d",
}  # fmt: skip
# The scale begins this share of it below the least value, so that no value has the colour of the paper.
_FAINTEST = 0.12
_BEYOND = "not reached"
_WORDS = 0.13  # share of an axis that the words take
_TEXT_UP_TO = 12  # columns of a map whose cells are wide enough for a number


def phase_figure(
    table: StudyTable, asked: Asked, *, x: int, y: int | None = None, fixed: Mapping[int, int] | None = None
) -> go.Figure:
    """The map over axes x and y, or the points over x, with the other axes at fixed positions.

    Args:
        table: the study.
        asked: what is asked of each cell, see `interp.figures.cell_numbers.questions`.
        x: number of the horizontal axis.
        y: number of the vertical axis; None: points with intervals over x alone.
        fixed: positions on all other axes; the first ones by default.

    Raises:
        UsageError: if x and y are one axis, or no cell has a finished run.
    """
    import plotly.graph_objects as go

    if x == y:
        raise UsageError(f"phase diagram: given {table.axes[x].name} twice, expected two axes, or x alone")
    free = [x] if y is None else [x, y]
    fixed = table.others(*free)[0] if fixed is None else fixed
    answers: dict[tuple[int, ...], Answer]
    if y is None:
        answers = {(i,): answer(table.at({**fixed, x: i}), asked) for i in range(len(table.axes[x].values))}
    else:
        across, up = (range(len(table.axes[axis].values)) for axis in (x, y))
        answers = {(i, j): answer(table.at({**fixed, x: i, y: j}), asked) for j in up for i in across}
    if not any(told.n for told in answers.values()):
        raise UsageError(
            f"phase diagram: no run of study {table.name} is finished here; `interp study show {table.name}` says what they are"
        )
    if y is None:
        traces, layout = _points(answers, asked, table.axes[x])
    else:
        traces, layout = _map(answers, asked, (table.axes[x], table.axes[y]))
    title = f"{asked.title[0].upper()}{asked.title[1:]}" + (f", {table.told(fixed)}" if fixed else "")
    title += _few(list(answers.values()))
    layout |= {"template": template(), "title": {"text": title, "font": {"size": 14}, "x": 0.01}, "meta": {"alt": title}}
    return go.Figure(data=traces, layout=layout)


def _few(told: Sequence[Answer]) -> str:
    """How many of the cells with finished runs have fewer than 10 of them, as the end of a title."""
    known = [one for one in told if one.n]
    few = sum(one.few for one in known)
    return f" ({'all' if few == len(known) else f'{few} of {len(known)}'} cells: fewer than {FEW} runs)" if few else ""


def _map(
    answers: Mapping[tuple[int, ...], Answer], asked: Asked, axes: tuple[StudyAxis, StudyAxis]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Traces and layout of a map: the scale, then what is not on it."""
    wide, high = (len(axis.values) for axis in axes)

    def filled(of: Any, kind: Any) -> np.ndarray:
        return np.array([[of(answers[i, j]) for i in range(wide)] for j in range(high)], dtype=kind)

    said = filled(lambda told: _in_cell(told, asked), object)
    hover = filled(lambda told: words(told, asked), object)
    for j, i in np.ndindex(high, wide):
        hover[j, i] = f"{axes[0].label} {axes[0].texts[i]}, {axes[1].label} {axes[1].texts[j]}: {hover[j, i]}"
    values = filled(lambda told: _on_scale(told, asked), np.float64)
    off = filled(lambda told: 1.0 if _is_off(told, asked) else np.nan, np.float64)
    shared: dict[str, Any] = {"type": "heatmap", "customdata": hover, "xgap": 1, "ygap": 1}
    shared["hovertemplate"] = "%{customdata}<extra></extra>"
    if wide <= _TEXT_UP_TO:
        shared |= {"texttemplate": "%{text}", "textfont": {"size": 11}}
    grey = faded(NEUTRAL, 0.28)
    flat = {"colorscale": [[0, grey], [1, grey]], "showscale": False, "zmin": 0, "zmax": 1, "name": _BEYOND}
    is_off = np.isfinite(off)  # every text is drawn once, by the trace that its cell belongs to
    traces = [
        {**shared, **_scale(values, asked), "z": values, "name": asked.title, "text": np.where(is_off, "", said)},
        {**shared, **flat, "z": off, "text": np.where(is_off, said, "")},
    ]
    layout = {
        f"{side}axis": {
            "title": {"text": axis.title}, "tickmode": "array", "tickvals": list(range(len(axis.values))),
            "ticktext": list(axis.ticks), "automargin": True, "showgrid": False, "range": [-0.5, len(axis.values) - 0.5],
        }
        for side, axis in zip("xy", axes, strict=True)
    }  # fmt: skip
    return traces, {**layout, "height": 140 + max(40 * high, 160), "margin": {"l": 90, "r": 20, "t": 50, "b": 56}}


def _scale(values: np.ndarray, asked: Asked) -> dict[str, Any]:
    """The colour scale of a map's values, and the ticks beside it."""
    if asked.kind == "outcome":
        names = list(OUTCOME_COLOURS)
        bar = {"tickvals": list(range(len(names))), "ticktext": names}
        return {
            "colorscale": steps_of_colour(list(OUTCOME_COLOURS.values())), "colorbar": bar, "zmin": -0.5,
            "zmax": len(names) - 0.5,
        }  # fmt: skip
    if asked.kind == "share":
        return {"zmin": 0, "zmax": 1, "colorbar": {"tickformat": ".0%"}}
    seen = values[np.isfinite(values)]
    if not seen.size or asked.kind != "time":
        return {}
    low, high = float(seen.min()), float(seen.max())
    ticks = np.linspace(low, high, 5) if high > low else np.array([low])
    bar = {"tickvals": ticks.tolist(), "ticktext": [f"{step:,.0f}" for step in 10**ticks]}
    return {"zmin": low - _FAINTEST * (high - low), "zmax": max(high, low + 1e-9), "colorbar": bar}


def _on_scale(told: Answer, asked: Asked) -> float:
    """A cell's value, logarithms of times; NaN where it has none."""
    if asked.kind == "outcome":
        return list(OUTCOME_COLOURS).index(common_outcome(told.counts)) if told.counts else np.nan
    if told.value is None:
        return np.nan
    return float(np.log10(max(told.value, 1.0))) if asked.kind == "time" else told.value


def _is_off(told: Answer, asked: Asked) -> bool:
    """Whether a cell has finished runs but no value on the scale: its median is not reached."""
    return bool(told.n) and told.value is None and asked.kind != "outcome"


def _in_cell(told: Answer, asked: Asked) -> str:
    """What stands in a cell; runs fewer than 10 are counted there."""
    few = f"<br>n = {told.n}" if told.few else ""
    if not told.n:
        return "-"
    if asked.kind == "outcome":
        most = common_outcome(told.counts or {})
        return f"{most}<br>{max((told.counts or {}).values())} of {told.n}"
    if told.value is None:
        return f"not reached{few}"
    text = {"time": f"{told.value:,.0f}", "share": f"{100 * told.value:.0f} %"}.get(asked.kind, f"{told.value:.3g}")
    return text + few


def _points(
    answers: Mapping[tuple[int, ...], Answer], asked: Asked, axis: StudyAxis
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Traces and layout over one axis."""
    told = [answers[i,] for i in range(len(axis.values))]
    at = list(range(len(axis.values))) if axis.numbers is None else list(axis.numbers)
    hover = [f"{axis.label} {text}: {words(one, asked)}" for text, one in zip(axis.texts, told, strict=True)]
    x_axis: dict[str, Any] = {"title": {"text": axis.title}}
    if axis.numbers is None:
        x_axis |= {"tickmode": "array", "tickvals": at, "ticktext": list(axis.ticks), "automargin": True}
    elif axis.is_log:
        ticks = {"tickvals": [at[i] for i in axis.ticked], "ticktext": [axis.texts[i] for i in axis.ticked]}
        x_axis |= {"type": "log", "tickmode": "array", **ticks}
    y_axis: dict[str, Any] = {"title": {"text": asked.title}}
    layout = {"xaxis": x_axis, "yaxis": y_axis, "height": 380, "margin": {"l": 80, "r": 20, "t": 50, "b": 56}}
    if asked.kind == "outcome":
        categories = {"title": x_axis["title"], "type": "category", "automargin": True}
        y_axis |= {"title": {"text": "share of runs"}, "range": [0, 1]}
        # With its legend also where one outcome alone occurs: nothing else says which.
        return _stacked(told, axis.ticks, hover), {**layout, "barmode": "stack", "xaxis": categories, "showlegend": True}
    if asked.kind == "share":
        y_axis |= {"range": [-0.03, 1.03], "tickformat": ".0%"}
    elif asked.kind == "time":
        top = _top(told)
        y_axis |= {"range": [0, top or 1], "tickformat": ",d", "showticklabels": top > 0}  # none is reached: it has no scale
    layout["yaxis2"] = {"overlaying": "y", "range": [0, 1.12], "visible": False}  # where "not reached" stands, at no number
    return [*_reached(told, at, hover), *_beyond(told, at, hover, shares=axis.shares)], layout


def _reached(told: Sequence[Answer], at: Sequence[float], hover: Sequence[str]) -> list[dict[str, Any]]:
    """Points with intervals; an end that the data do not bound goes on beyond all others, or to 0."""
    known = [(x, one, text) for x, one, text in zip(at, told, hover, strict=True) if one.value is not None]
    top = _top(told)
    ends = [(one.value, one.low, one.high) for _, one, _ in known if one.value is not None]
    return [
        {
            "type": "scatter", "mode": "markers", "name": "median, 95 %", "x": [x for x, _, _ in known],
            "y": [one.value for _, one, _ in known], "marker": {"size": 8, "color": CYCLE[0]}, "showlegend": False,
            "customdata": [text for _, _, text in known], "hovertemplate": "%{customdata}<extra></extra>",
            "error_y": {
                "type": "data", "symmetric": False, "color": CYCLE[0], "thickness": 1.5, "width": 4,
                "array": [(top if high is None else high) - value for value, _, high in ends],
                "arrayminus": [value - (0.0 if low is None else low) for value, low, _ in ends],
            },
        }
    ]  # fmt: skip


def _top(told: Sequence[Answer]) -> float:
    """Where the axis ends, beyond all values and ends of intervals."""
    return 1.12 * max((high for one in told for high in (one.high, one.value) if high is not None), default=0.0)


def _beyond(
    told: Sequence[Answer], at: Sequence[float], hover: Sequence[str], *, shares: Sequence[float]
) -> list[dict[str, Any]]:
    """Cells whose value is not reached: open triangles at the top, not at a number, with words where these have room."""
    places = [i for i, one in enumerate(told) if one.n and one.value is None]
    if not places:
        return []
    beyond, said = [(at[i], hover[i]) for i in places], apart(places, shares, _WORDS)
    return [
        {
            "type": "scatter", "mode": "markers+text", "name": _BEYOND, "x": [x for x, _ in beyond],
            "y": [1.0] * len(beyond), "yaxis": "y2",
            "marker": {"symbol": "triangle-up-open", "size": 11, "color": NEUTRAL}, "showlegend": False,
            "text": [_BEYOND if i in said else "" for i in places], "textposition": "bottom center",
            "textfont": {"size": 10, "color": NEUTRAL},
            "customdata": [text for _, text in beyond], "hovertemplate": "%{customdata}<extra></extra>",
        }
    ]  # fmt: skip


def _stacked(told: Sequence[Answer], texts: Sequence[str], hover: Sequence[str]) -> list[dict[str, Any]]:
    """Shares of the outcomes, stacked to 1."""
    bars = []
    for name in OUTCOMES:
        shares = [(one.counts or {}).get(name, 0) / one.n if one.n else 0 for one in told]
        if any(shares):
            bars.append(
                {
                    "type": "bar", "name": name, "x": list(texts), "y": shares, "marker": {"color": OUTCOME_COLOURS[name]},
                    "customdata": list(hover), "hovertemplate": "%{customdata}<extra></extra>",
                }
            )  # fmt: skip
    return bars


def on_paper(figure: go.Figure, theme: str) -> go.Figure:
    """The figure in the colours of a theme, with its paper; what stands on a grey that lets it through has the theme's ink."""
    look = template("dark" if theme == "dark" else "light")
    figure.layout.template = look
    figure.update_traces(textfont={"color": look["layout"]["font"]["color"]}, selector={"type": "heatmap", "name": _BEYOND})
    figure.layout.paper_bgcolor = PAPER[theme]
    return figure
