"""Survival curves and laws along every axis of a study, at every place on the others: pictures and sentences for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from interp.figures.cell_numbers import questions
from interp.figures.law_figure import Fitted, fit_law, law_axes, law_picture
from interp.figures.study_table import StudyTable
from interp.figures.survival_figure import MOST_CURVES, Group, Survival, spanned, survival_of, survival_picture
from interp.studies.comparing import Comparison
from interp.studies.durations import FEW, Estimate, NotBounded
from interp.studies.law_fit import Law
from interp.studies.resampling import RESAMPLES
from interp.studies.timed import EVENTS
from interp.wording import counted, reaching

OnPart = Callable[[str, int, int], None]

# Times that laws are fitted to, in the order in which fits are made.
_LAWFUL = ("grokked", "delay", "grokked_first", "delay_first")
# Fits to up to this many runs together have all resamples; to more, each has fewer, and those beyond the last are left out: both
# is said.
_CAREFUL, _FEWER, _MOST_FITS = 1_000, 200, 48
_RARE = 1e-4
_LARGE = 100.0


def key_of(of: str, axis: int, fixed: Mapping[int, int]) -> str:
    """The name of a finding: time, axis, and the positions on the others as they come.

    >>> key_of("grokked", 0, {1: 3, 2: 0})
    'grokked|0|3,0'
    """
    return f"{of}|{axis}|{','.join(str(at) for _, at in sorted(fixed.items()))}"


def survival_findings(table: StudyTable, *, on_part: OnPart) -> dict[str, Any]:
    """For every time, axis and place on the other axes: curves, what tests say, a row for each group."""
    asked = [(by, fixed) for by in range(len(table.axes)) for fixed in table.others(by)]
    titled = {one.name: one for one in questions(table.rows)}
    found = {}
    for done, (by, fixed) in enumerate(asked, start=1):
        for of in EVENTS:
            survival = survival_of(table, of, by=by, fixed=fixed)
            if survival.groups:
                data, layout = survival_picture(survival, titled[of], axis=table.axes[by].label)
                found[key_of(of, by, fixed)] = {
                    "data": data,
                    "layout": layout,
                    **_said_of_survival(survival, table.axes[by].label),
                }
        on_part("comparing cells", done, len(asked))
    return found


def _said_of_survival(found: Survival, axis: str) -> dict[str, Any]:
    said = [_tested(found.test, "Log-rank test between all of them")]
    if found.within is not None:
        said.append(_tested_within(found))
    if found.left_out:
        said.append(
            f"Drawn are {MOST_CURVES} values, evenly chosen; {counted(found.left_out, 'other')} are in the test and not drawn."
        )
    rows = [(group.label, _counted_runs(group), str(group.runs.events), *map(spanned, group.quartiles)) for group in found.groups]
    header = (axis, "runs", "seen", "a quarter by step (95 %)", "half (median)", "three quarters")
    return {"said": said, "header": header, "rows": rows}


def _counted_runs(group: Group) -> str:
    return f"{group.runs.n}, fewer than {FEW}" if group.runs.few else str(group.runs.n)


def _tested(test: Comparison | NotBounded, what: str) -> str:
    if isinstance(test, NotBounded):
        return f"{what}: none, because {test.because}."
    few = f" A group has fewer than {FEW} runs, and p is approximate." if test.few else ""
    return f"{what}: {_p(test.p)} (chi squared {test.statistic:.3g}, {counted(test.freedom, 'degree')} of freedom).{few}"


def _tested_within(found: Survival) -> str:
    """The comparison of runs that share their seed."""
    test = found.within
    if not isinstance(test, Comparison) or len(test.n) > 2:
        assert test is not None
        seeds = "" if isinstance(test, NotBounded) else f", of the {counted(test.n[0], 'seed')} that all of them have"
        return _tested(test, f"The same within seeds{seeds}")
    first = found.groups[0].label
    few = f" They are fewer than {FEW}." if test.few else ""
    return (
        f"Exact test of the {counted(test.n[0], 'pair')} with one seed: {_p(test.p)} ({first} was known to be the earlier in "
        f"{test.statistic:.0f} of the {counted(test.freedom, 'pair')} of which one was).{few}"
    )


def _p(p: float) -> str:
    return f"p < {_RARE:g}" if p < _RARE else f"p = {p:.2g}"


def law_findings(table: StudyTable, *, brief: bool = False, on_part: OnPart) -> dict[str, Any]:
    """For every axis with a law, and every place on the others: picture, parameters, or the reason why there is none.

    Args:
        table: the study's rows.
        brief: fit none yet.
        on_part: called with (what is done, how far, of how many).
    """
    axes = law_axes(table)
    places = [(along, fixed) for along in axes for fixed in table.others(along)]
    asked = [(of, along, fixed) for of in _LAWFUL for along, fixed in places]
    titled = {one.name: one for one in questions(table.rows)}
    resamples = RESAMPLES if len(_LAWFUL) * len(axes) * len(table.rows) <= _CAREFUL else _FEWER
    found: dict[str, Any] = {}
    for done, (of, along, fixed) in enumerate(asked, start=1):
        key, axis = key_of(of, along, fixed), table.axes[along].label
        if brief:
            found[key] = {"said": "Laws are fitted once no run is under way.", "rows": []}
            continue
        if done > _MOST_FITS:
            found[key] = {"said": f"This page has {_MOST_FITS} laws at most; interp.figures.law fits this one.", "rows": []}
            continue
        fitted = fit_law(table, of, along=along, fixed=fixed, resamples=resamples)
        found[key] = _said_of_law(fitted, axis, resamples=resamples)
        if fitted.runs is not None:
            found[key]["data"], found[key]["layout"] = law_picture(fitted, titled[of], axis=axis)
        on_part("fitting laws", done, min(len(asked), _MOST_FITS))
    return {"axes": axes, "times": list(_LAWFUL), "found": found}


def _said_of_law(found: Fitted, axis: str, *, resamples: int) -> dict[str, Any]:
    if isinstance(found.law, NotBounded):
        return {"said": f"No law is fitted. {found.law.what[0].upper()}{str(found.law)[1:]}.", "rows": []}
    law: Law = found.law
    few = f" A {axis} has fewer than {FEW} runs." if law.few else ""
    censored = 0 if found.runs is None else found.runs.n - found.runs.events
    said = (
        f"T = {law.formula}, fitted to {counted(len(law.x), 'run')}, {censored} of them not seen to the event: lower bounds. "
        f"ln T scatters around it by {law.scatter:.2g}. Intervals: 95 %, from {resamples:,} resamples.{few}"
    )
    if never := int((law.residual == -np.inf).sum()):
        said += f" {counted(never, 'run')} not seen to it lie where the law says never: without a residual."
    rows = [(name, estimated(value, "none", digits=True)) for name, value in law.parameters.items()]
    rough = " (approximate)" if law.few else ""
    rows += [(f"probability of such data if {claim}", f"{_p(p)}{rough}") for claim, p in law.tests.items()]
    return {"said": said, "rows": rows}


def estimated(found: Estimate, missing: str, *, digits: bool = False) -> str:
    """A number with its interval in words.

    >>> estimated(Estimate(1200.0, 900.0, None, 0.95, 12, False), "not reached")
    '1,200 (900 to beyond)'
    """

    def text(value: float | None) -> str | None:
        return None if value is None else f"{value:.3g}" if digits and abs(value) < _LARGE else f"{value:,.0f}"

    return f"{text(found.value) or missing} ({reaching(text(found.low), text(found.high))})"
