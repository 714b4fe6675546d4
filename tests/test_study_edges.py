"""Statistics of studies at their edges: what nobody watched, what no run touches, and runs that are all alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interp.figures.survival_figure import Group, _curve
from interp.measures.lead import lead_time
from interp.measures.since import IRRELEVANT, algorithm_holds
from interp.studies.accelerated import Regression, accelerated_failure
from interp.studies.adaptive import BoundarySearch, boundary_search
from interp.studies.critical import CriticalPoint, critical_point
from interp.studies.durations import Durations, Estimate
from interp.studies.order import order_cells
from interp.studies.proportions import exact_share, grok_share
from interp.studies.survival import kaplan_meier


def test_a_share_of_which_nobody_knows_has_no_value() -> None:
    runs = Durations.of([1000, 2000] + [4000] * 8, [1, 1] + [0] * 8)
    found = grok_share(runs, within=8000)
    assert found.value is None
    assert (found.low, found.high) == (exact_share(2, 10).low, 1.0)
    assert grok_share(runs, within=4000).value == pytest.approx(0.2)


@pytest.mark.parametrize("n", [1, 5, 12])
def test_before_the_first_event_the_curve_has_the_exact_interval_of_none(n: int) -> None:
    curve = kaplan_meier(Durations.of([8000] * n, [0] * n))
    at, none = curve.at(4000), exact_share(0, n)
    assert (at.value, at.high) == (1.0, 1.0)
    assert at.low == pytest.approx(1 - none.high, abs=1e-12)
    early = kaplan_meier(Durations.of([100, 8000, 8000, 9000], [0, 0, 0, 1]))
    assert early.at(50).low == pytest.approx(1 - exact_share(0, 4).high)
    assert early.at(4000).low == pytest.approx(1 - exact_share(0, 3).high)  # one of them was not seen for so long


def test_runs_that_are_all_alike_bound_nothing() -> None:
    for m in (1.0, 0.7, 0.1):
        cell = order_cells([0.4] * 12, [59] * 12, [m] * 12)[0]
        for estimate, value in ((cell.mean, m), (cell.variance, 0.0), (cell.binder, 2 / 3)):
            assert isinstance(estimate, Estimate)
            assert estimate.value == pytest.approx(value, abs=1e-12)
            assert (estimate.low, estimate.high) == (None, None)


@pytest.mark.parametrize("family", ["log-normal", "weibull"])
def test_a_coefficient_that_no_event_touches_is_not_bounded(family: str) -> None:
    """x varies only among runs that never grokked: every value of it has the same likelihood."""
    times = np.array([100, 120, 90, 130, 110, 105, 95, 140] + [1000] * 8)
    arm, x = np.array([0] * 8 + [1] * 8), np.array([0] * 12 + [1] * 4)
    found = accelerated_failure({"arm": arm, "x": x}, Durations.of(times, arm == 0), family=family)
    assert isinstance(found, Regression)
    assert (found.coefficients["x"].value, found.coefficients["x"].low, found.coefficients["x"].high) == (None, None, None)
    arms = found.coefficients["arm"]
    assert (arms.value, arms.high) == (None, None)
    assert arms.low is not None
    assert arms.low > 0
    assert found.separated == ("arm", "x")
    assert found.p["x"] > 0.999
    assert math.isinf(found.median(arm=1, x=0))
    assert math.isnan(found.median(arm=0, x=1))
    assert found.median(arm=0, x=0) == pytest.approx(110, rel=0.1)


def test_a_median_is_known_where_a_group_never_had_the_event_however_groups_are_written() -> None:
    """A has events; B and C have none: their medians run away, and of the difference between them nothing is known."""
    group = np.repeat([0, 1, 2], 8)
    times = np.where(group == 0, 1000 * np.exp(0.2 * np.random.default_rng(0).standard_normal(24)), 5000)
    runs = Durations.of(times, group == 0)
    nested = accelerated_failure({"not A": (group > 0) * 1.0, "C": (group == 2) * 1.0}, runs)
    assert isinstance(nested, Regression)
    medians = [nested.median(**{"not A": float(not_a), "C": float(c)}) for not_a, c in ((0, 0), (1, 0), (1, 1), (0, 1))]
    assert medians[0] == pytest.approx(1000, rel=0.2)
    assert medians[1:3] == [math.inf, math.inf]
    assert math.isnan(medians[3])
    referred = accelerated_failure({"B": (group == 1) * 1.0, "A": (group == 0) * 1.0}, runs)  # beside C
    assert isinstance(referred, Regression)
    assert referred.median(B=0, A=1) == pytest.approx(medians[0])
    assert [referred.median(B=b, A=0) for b in (0, 1)] == [math.inf, math.inf]


def test_the_band_of_a_survival_curve_begins_with_the_exact_interval() -> None:
    for events in ([0, 0, 0], [1, 0, 0]):
        runs = Durations.of([300, 300, 400], events)
        curve = kaplan_meier(runs)
        *_, line = (trace for trace in _curve(Group("0.2", runs, (0, 1, 2), curve), 0, "f", 1) if trace["mode"] == "lines")
        assert line["customdata"][0].tolist() == pytest.approx([curve.at(299).low, 1.0])
        assert curve.at(299).low == pytest.approx(0.025 ** (1 / 3))
        if not any(events):  # two of them were not seen for longer than 300 steps
            assert line["x"].tolist() == [0, 300, 400]
            assert line["customdata"][1][0] == pytest.approx(0.025)


@pytest.mark.parametrize("at_edge", [[1] * 9 + [0], [1] + [0] * 9, [1, 0] * 5])
def test_a_critical_value_lies_in_its_own_interval(at_edge: list[int]) -> None:
    for rising in (True, False):
        below, grokked = [0.2] * 10, [0] * 10 + at_edge + [1] * 10
        outcomes = grokked if rising else [1 - one for one in grokked]
        found = critical_point(below + [0.3] * 10 + [0.4] * 10, outcomes)
        assert isinstance(found, CriticalPoint)
        assert found.at.value is not None
        assert (found.at.low or -np.inf) <= found.at.value <= (found.at.high or np.inf)


def test_the_boundary_of_no_runs_lies_in_the_middle_and_mirrored_runs_mirror_it() -> None:
    empty = boundary_search(0, 1).boundary()
    assert empty.value == pytest.approx(0.5, abs=1e-9)
    assert (empty.low, empty.high) == pytest.approx((0.025, 0.975), abs=2e-3)
    runs = [(0.2, False), (0.45, True), (0.3, False), (0.6, True)]

    def told(search: BoundarySearch, *, mirrored: bool) -> Estimate:
        for x, grokked in runs:
            search = search.after([1 - x if mirrored else x], [grokked != mirrored])
        return search.boundary()

    one, other = told(boundary_search(0, 1), mirrored=False), told(boundary_search(0, 1), mirrored=True)
    assert one.value == pytest.approx(1 - other.value, abs=1e-6)


def test_marks_are_moved_by_a_fifth_in_both_directions() -> None:
    steps = [0, 10, 20, 30, 40, 50]
    found = lead_time((steps, [4, 0.1, 0.1, 0.1, 0.1, 0.1]), (steps, [0, 0.1, 0.55, 0.61, 0.62, 0.7])).accuracy
    assert found is not None
    assert (found.step, found.latest) == (20, 30)
    for factor, holds in ((1.19, False), (1.21, True)):
        readings = {name: np.array([value]) for name, value in (("symmetricity", 0.1), ("accuracy", 1.0))}
        irrelevance = {"irrelevance": np.array([IRRELEVANT * factor])}
        assert bool(algorithm_holds("clock", readings | irrelevance, slack=0.8)[0]) == holds
