"""Laws of the time to grok beside the runs that they are fitted to: times and the fitted median, residuals, parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.figures.cell_numbers import Asked
from interp.figures.cells import Cell, grid, on
from interp.figures.study_table import StudyTable
from interp.figures.theme import CYCLE, NEUTRAL, TEST, template
from interp.studies.durations import FEW, Durations, NotBounded
from interp.studies.law_fit import Law
from interp.studies.laws import fraction_law, modulus_law, weight_decay_law
from interp.studies.resampling import RESAMPLES
from interp.studies.timed import timed
from interp.wording import digits_apart

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Fields along which there is a law.
LAWS: dict[str, Callable[..., Law | NotBounded]] = {
    "optimizer.weight_decay": weight_decay_law,
    "split.fraction": fraction_law,
    "task.p": modulus_law,
}
_POINTS = 200  # of a fitted curve
_TICKS = 10
_DECADES = 1000


@dataclass(frozen=True, eq=False)
class Fitted:
    """A law along an axis of a study, or why there is none, with the runs that it was asked of.

    Args:
        law: the fit, or the reason.
        x: where each run is.
        runs: how long each waited; None if no run is at its end.
    """

    law: Law | NotBounded
    x: np.ndarray
    runs: Durations | None


def law_axes(table: StudyTable) -> list[int]:
    """The axes along which there is a law: of one field that has one, and more than one number."""
    return [
        number
        for number, axis in enumerate(table.axes)
        if axis.name in LAWS and axis.numbers is not None and len(axis.numbers) > 1
    ]


def fit_law(
    table: StudyTable, of: str, *, along: int, fixed: Mapping[int, int], resamples: int = RESAMPLES, seed: int = 0
) -> Fitted:
    """The law along an axis, with the others at fixed positions; every run at its end is in it, grokked or not.

    Args:
        table: the study.
        of: the time to explain.
        along: number of the axis.
        fixed: positions on all others.
        resamples: of the intervals.
        seed: of the resampling.
    """
    axis = table.axes[along]
    found = [timed(table.at({**fixed, along: i}), of) for i in range(len(axis.values))]
    pairs = [(value, runs) for value, runs in zip(axis.numbers or (), found, strict=True) if runs is not None]
    what = f"law of the {axis.label}"
    if not pairs:
        return Fitted(NotBounded(what, "no run is finished"), np.empty(0), None)
    x = np.repeat([value for value, _ in pairs], [runs.n for _, runs in pairs])
    runs = Durations(*(np.concatenate([getattr(each, part) for _, each in pairs]) for part in ("time", "event")))
    if x.min() <= 0:
        return Fitted(NotBounded(what, f"it is one of logarithms, and a value is {x.min():g}"), x, runs)
    if runs.time.min() <= 0:
        return Fitted(NotBounded(what, "it is one of logarithms, and a time is 0"), x, runs)
    return Fitted(LAWS[axis.name](x, runs, seed=seed, resamples=resamples), x, runs)


def law_figure(found: Fitted, asked: Asked, *, axis: str) -> go.Figure:
    """Times and the law's median over the axis, and below them ln T less the law's; runs without the event are open triangles.

    Where the law declines, the runs alone are drawn.

    Raises:
        ValueError: if there are no runs.
    """
    import plotly.graph_objects as go

    traces, layout = law_picture(found, asked, axis=axis)
    return go.Figure(data=traces, layout={**layout, "template": template()})


def law_picture(found: Fitted, asked: Asked, *, axis: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The same as plain traces and layout, for a page that has many of them."""
    if found.runs is None:
        raise ValueError("no run is finished")
    what = asked.title.removeprefix("median ").removeprefix("step of ")
    has_law = isinstance(found.law, Law)
    cells = [[Cell(f"Steps: {what}", x="" if has_law else axis, y="steps", log=True)]]
    if has_law:
        cells.append([Cell("Residuals: ln T less that of the law", x=axis, y="ln T")])
    layout = grid(cells, (260, 130)[: len(cells)])
    ends = np.log10([found.x.min(), found.x.max()]) + np.array([-0.06, 0.06])
    values = np.unique(found.x)
    digits = digits_apart(values)
    ticks = values if len(values) <= _TICKS else values[:: -(-len(values) // _TICKS)]
    for n in range(1, len(cells) + 1):
        layout[f"xaxis{on(n)['xaxis'][1:]}"] |= {
            "type": "log", "range": ends.tolist(), "tickmode": "array", "tickvals": ticks.tolist(),
            "ticktext": [f"{value:.{digits}g}" for value in ticks],
        }  # fmt: skip
    layout["yaxis"] |= {"exponentformat": "none", "tickformat": ",~r", "tickfont": {"size": 10}, "dtick": _dtick(found.runs)}
    alt = (
        f"{what[0].upper()}{what[1:]} of every run against {axis}{', with the fitted law and its residuals' if has_law else ''}."
    )
    layout |= {"showlegend": True, "meta": {**layout["meta"], "alt": alt}}
    return _traces(found, found.runs, ends=ends, digits=digits), layout


def _dtick(runs: Durations) -> str | int:
    """Ticks of a logarithmic axis: 1, 2 and 5 of every decade, or decades alone where there are many."""
    return "D2" if runs.time.max() < _DECADES * runs.time.min() else 1


def _traces(found: Fitted, runs: Durations, *, ends: np.ndarray, digits: int) -> list[dict[str, Any]]:
    event = runs.event
    traces = _both(found.x, runs.time, event, cell=1, digits=digits)
    if isinstance(found.law, Law):
        x = np.logspace(float(ends[0]), float(ends[1]), _POINTS)
        fitted = found.law.time(x)
        line = {"color": TEST, "width": 2}
        traces.append(
            {
                "type": "scatter", "mode": "lines", "x": x, "y": np.where(np.isfinite(fitted), fitted, np.nan),
                "name": f"median of the law{f', cells of fewer than {FEW} runs' if found.law.few else ''}", "line": line,
                "hovertemplate": "law: %{y:,.0f} steps at %{x:.3g}<extra></extra>", **on(1),
            }
        )  # fmt: skip
        finite = np.isfinite(found.law.residual)
        traces += _both(found.x[finite], found.law.residual[finite], event[finite], cell=2, digits=digits, legend=False)
        zero = {"type": "scatter", "mode": "lines", "x": 10**ends, "y": [0, 0], "line": line}
        traces.append({**zero, "showlegend": False, "hoverinfo": "skip", **on(2)})
    return traces


def _both(
    x: np.ndarray, y: np.ndarray, event: np.ndarray, *, cell: int, digits: int, legend: bool = True
) -> list[dict[str, Any]]:
    """Runs with the event as dots, those without it as open triangles at the step they were last seen."""
    looks = (
        (event, "event seen", {"size": 6, "color": CYCLE[0], "opacity": 0.75}),
        (~event, "not yet at this step", {"size": 8, "color": NEUTRAL, "symbol": "triangle-up-open"}),
    )
    return [
        {
            "type": "scatter", "mode": "markers", "x": x[chosen], "y": y[chosen], "name": name, "marker": marker,
            "showlegend": legend, "hovertemplate": f"%{{y:,.4~g}} at %{{x:.{digits}~g}}<extra></extra>", **on(cell),
        }
        for chosen, name, marker in looks
        if chosen.any()
    ]  # fmt: skip
