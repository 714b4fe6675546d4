"""Survival curves: the share of runs that still wait for an event, step by step, a curve for each value of an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import UsageError
from interp.figures.cell_numbers import Asked
from interp.figures.study_table import Row, StudyTable
from interp.figures.theme import CYCLE, faded, template
from interp.studies.comparing import Comparison, log_rank, paired
from interp.studies.durations import FEW, Durations, Estimate, NotBounded
from interp.studies.survival import QUARTILES, SurvivalCurve, kaplan_meier
from interp.studies.timed import timed, waiting
from interp.wording import counted, reaching

if TYPE_CHECKING:
    import plotly.graph_objects as go

# More curves than this are not told apart.
MOST_CURVES = 12
# More groups than this are not compared: a test of hundreds of groups says little, and its covariance takes long.
MOST_COMPARED = 100
_SHARES = ("a quarter", "half", "three quarters")
_DASHES = ("solid", "dash")
_BANDS_UP_TO = 4  # curves whose intervals are shaded; those of more would hide each other, and are told on hover

# What the runs wait for, without what "for good" or "first" adds.
_WAITED = {"grokked": "not grokked yet", "memorized": "not memorized yet", "delay": "memorized and not grokked yet"}


@dataclass(frozen=True, eq=False)
class Group:
    """The runs of one value of an axis.

    Args:
        label: the value.
        runs: how long they waited.
        seeds: of each run, in the same order.
        curve: by Kaplan and Meier.
    """

    label: str
    runs: Durations
    seeds: tuple[Any, ...]
    curve: SurvivalCurve

    @property
    def quartiles(self) -> tuple[Estimate, ...]:
        """The steps by which a quarter, half and three quarters of them had the event."""
        return tuple(self.curve.quantile(share) for share in QUARTILES)


@dataclass(frozen=True)
class Survival:
    """The groups along an axis, and whether they differ.

    Args:
        groups: of the values that have a finished run, evenly chosen where there are more than `MOST_CURVES`.
        left_out: values that were not chosen.
        test: the log-rank test between all groups, or why there is none.
        within: the same within the seeds that every group has, if these are two or more: of two groups the exact test of pairs.
    """

    groups: tuple[Group, ...]
    left_out: int
    test: Comparison | NotBounded
    within: Comparison | NotBounded | None


def survival_of(table: StudyTable, of: str, *, by: int, fixed: Mapping[int, int]) -> Survival:
    """The runs along one axis of a study, with the others at fixed positions."""
    axis = table.axes[by]
    groups = [found for i, text in enumerate(axis.texts) if (found := _group(text, table.at({**fixed, by: i}), of))]
    test: Comparison | NotBounded = NotBounded("the difference between the groups", "fewer than two of them have a finished run")
    within: Comparison | NotBounded | None = None
    if len(groups) > MOST_COMPARED:
        test = NotBounded(
            "the difference between the groups", f"there are {len(groups)}, and at most {MOST_COMPARED} are compared"
        )
    elif len(groups) > 1:
        test = log_rank([group.runs for group in groups])
        within = _within_seeds(groups)
    chosen: list[int] = []
    if groups:
        chosen = sorted(set(np.linspace(0, len(groups) - 1, min(MOST_CURVES, len(groups))).round().astype(int).tolist()))
    return Survival(tuple(groups[i] for i in chosen), len(groups) - len(chosen), test, within)


def _within_seeds(groups: Sequence[Group]) -> Comparison | NotBounded | None:
    """The comparison of runs that share their seed, of the seeds that every group has; None if these are fewer than two."""
    common = sorted(set.intersection(*(set(group.seeds) for group in groups)))
    if len(common) < 2:
        return None
    runs = [group.runs[np.array([group.seeds.index(seed) for seed in common])] for group in groups]
    # Of two groups exactly: with few pairs the normal probabilities of the log-rank test are smaller than any that is possible.
    return paired(*runs) if len(runs) == 2 else log_rank(runs, strata=[common] * len(runs))


def survival_figure(found: Survival, asked: Asked, *, axis: str) -> go.Figure:
    """Curves with 95 % intervals; a tick where a run was last seen, still waiting (censored).

    Args:
        found: the groups.
        asked: the time that is waited for.
        axis: what the groups differ in.

    Raises:
        UsageError: if no group has a finished run.
    """
    import plotly.graph_objects as go

    if not found.groups:
        raise UsageError("survival: no run is finished here, expected at least one")
    traces, layout = survival_picture(found, asked, axis=axis)
    return go.Figure(data=traces, layout={**layout, "template": template()})


def survival_picture(found: Survival, asked: Asked, *, axis: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The same as plain traces and layout, for a page that has many of them."""
    traces = [trace for i, group in enumerate(found.groups) for trace in _curve(group, i, axis, len(found.groups))]
    waited = _WAITED[asked.name.removesuffix("_first")]
    last = max(group.curve.last for group in found.groups)
    layout = {
        "height": 380, "margin": {"l": 66, "r": 18, "t": 20 + 22 * (-(-len(found.groups) // 4)), "b": 50},
        "xaxis": {
            "title": {"text": "steps since memorized" if "delay" in asked.name else "step"}, "range": [0, last * 1.02],
            "tickformat": ",d",
        },
        "yaxis": {"title": {"text": f"share {waited}"}, "range": [-0.02, 1.04]}, "showlegend": True,
        "meta": {"alt": f"Share of runs that have {waited}, over steps, by {axis}."},
    }  # fmt: skip
    return traces, layout


def _group(label: str, rows: Sequence[Row], of: str) -> Group | None:
    runs = timed(rows, of)
    if runs is None:
        return None
    return Group(label, runs, tuple(row["seed"] for row in waiting(rows, of)), kaplan_meier(runs))


def _curve(group: Group, place: int, axis: str, groups: int) -> list[dict[str, Any]]:
    """Band, curve and ticks of one group."""
    colour, dash = CYCLE[place % len(CYCLE)], _DASHES[place // len(CYCLE) % len(_DASHES)]
    curve = group.curve
    starts = _before_the_first(curve)
    steps = np.concatenate([list(starts), curve.time, [curve.last]])
    rows = {}
    for name, values in _lines(curve):
        begin = np.array(list(starts.values())) if name == "low" else np.ones(len(starts))
        rows[name] = np.concatenate([begin, values, values[-1:] if len(values) else begin[-1:]])
    few = f", {counted(group.runs.n, 'run')}" + (f": fewer than {FEW}" if group.runs.few else "")
    line: dict[str, Any] = {"shape": "hv", "color": colour}
    same: dict[str, Any] = {"type": "scatter", "legendgroup": group.label, "mode": "lines", "x": steps}
    traces: list[dict[str, Any]] = []
    if groups <= _BANDS_UP_TO:
        edge = {**same, "showlegend": False, "hoverinfo": "skip", "line": {**line, "width": 0}}
        traces = [{**edge, "y": rows["low"]}, {**edge, "y": rows["high"], "fill": "tonexty", "fillcolor": faded(colour, 0.13)}]
    traces.append(
        {
            **same, "y": rows["survival"], "name": f"{axis} {group.label}{few}", "line": {**line, "width": 2, "dash": dash},
            "customdata": np.stack([rows["low"], rows["high"]], axis=1),
            "hovertemplate": "step %{x:,}: %{y:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})",
        }
    )  # fmt: skip
    traces += _read_out(group, f"{axis} {group.label}", colour)
    censored = np.sort(group.runs.time[~group.runs.event])
    if len(censored):
        there = [curve.at(step).value for step in censored]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "legendgroup": group.label, "showlegend": False, "x": censored, "y": there,
                "marker": {"symbol": "line-ns-open", "size": 9, "color": colour, "line": {"width": 1.5}}, "cliponaxis": False,
                "hovertemplate": f"{axis} {group.label}: last seen at step %{{x:,}}, still waiting<extra></extra>",
            }
        )  # fmt: skip
    return traces


def _read_out(group: Group, name: str, colour: str) -> list[dict[str, Any]]:
    """Points where a quarter, half and three quarters of a group had the event, which are read with their intervals."""
    told = [
        (found.value, 1 - share, f"{name}: {said} by step {spanned(found)}")
        for share, said, found in zip(QUARTILES, _SHARES, group.quartiles, strict=True)
        if found.value is not None
    ]
    if not told:
        return []
    steps, shares, texts = (list(each) for each in zip(*told, strict=True))
    return [
        {
            "type": "scatter", "mode": "markers", "legendgroup": group.label, "showlegend": False, "x": steps, "y": shares,
            "marker": {"symbol": "diamond", "size": 7, "color": colour}, "text": texts, "hovertemplate": "%{text}<extra></extra>",
        }
    ]  # fmt: skip


def spanned(found: Estimate) -> str:
    """A step with its 95 % interval.

    >>> spanned(Estimate(1200.0, 900.0, None, 0.95, 12, False)), spanned(Estimate(None, None, None, 0.95, 12, False))
    ('1,200 (900 to beyond)', 'not reached')
    """
    if found.value is None and found.low is None:
        return "not reached"
    value, low, high = (None if step is None else f"{step:,.0f}" for step in (found.value, found.low, found.high))
    return f"{value or 'not reached'} ({reaching(low, high)})"


def _before_the_first(curve: SurvivalCurve) -> dict[float, float]:
    """Before the first event: the steps at which runs were seen for the last time, from 0 on, and the lower end from there on."""
    until = curve.time[0] if len(curve.time) else curve.last
    looks = [0.0, *np.unique(curve.looks[curve.looks < until]).tolist()]
    return {step: curve.at(float(np.nextafter(step, np.inf))).low or 0.0 for step in looks}


def _lines(curve: SurvivalCurve) -> list[tuple[str, np.ndarray]]:
    return [("survival", curve.survival), ("low", curve.low), ("high", curve.high)]
