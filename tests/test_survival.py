"""Censored runs are neither dropped nor counted: survival curves, shares and comparisons against closed forms and scipy."""

from __future__ import annotations

import warnings
from math import comb

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.studies.accelerated import accelerated_failure
from interp.studies.adaptive import boundary_search
from interp.studies.comparing import Comparison, log_rank, paired
from interp.studies.critical import critical_point
from interp.studies.durations import Durations, NotBounded, cells, delays, fewest
from interp.studies.finite_size import finite_size
from interp.studies.laws import fraction_law, modulus_law, weight_decay_law
from interp.studies.order import order_cells
from interp.studies.proportions import exact_share, grok_share, outcomes_within
from interp.studies.survival import kaplan_meier

# Remission of leukemia in weeks, with 6-mercaptopurine and with placebo (Freireich et al. 1963), the textbook's example.
TREATED = Durations.of(
    [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35],
    [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0],
)
PLACEBO = Durations.of([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], [1] * 21)

runs = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 12), min_size=n, max_size=n), st.lists(st.booleans(), min_size=n, max_size=n)
    ).map(lambda both: Durations.of(*both))
)


# The curve


def test_the_textbooks_curve() -> None:
    curve = kaplan_meier(TREATED)
    assert curve.time.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    np.testing.assert_allclose(curve.survival, [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], atol=5e-4)
    assert curve.quantile(0.5).value == 23
    assert curve.quantile(0.25).value == 13
    assert curve.quantile(0.75).value is None
    assert not curve.quantile(0.75).is_reached


@given(runs)
def test_the_curve_is_scipys(cell: Durations) -> None:
    curve = kaplan_meier(cell)
    if not cell.events:
        assert not len(curve.time)
        return
    data = scipy.stats.CensoredData(uncensored=cell.time[cell.event], right=cell.time[~cell.event])
    theirs = scipy.stats.ecdf(data).sf
    np.testing.assert_allclose(curve.survival, theirs.evaluate(curve.time), atol=1e-12)
    inner = (curve.survival > 0) & (curve.survival < 1)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interval = theirs.confidence_interval(method="log-log")
    np.testing.assert_allclose(curve.low[inner], interval.low.evaluate(curve.time)[inner], atol=1e-9)
    np.testing.assert_allclose(curve.high[inner], interval.high.evaluate(curve.time)[inner], atol=1e-9)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_without_censoring_it_is_the_count(times: list[int]) -> None:
    curve = kaplan_meier(Durations.of(times, [True] * len(times)))
    np.testing.assert_allclose(curve.survival, [np.mean(np.array(times) > t) for t in curve.time], atol=1e-12)
    assert curve.restricted_mean(until=5000).value == pytest.approx(np.minimum(times, 5000).mean())


def test_without_censoring_the_restricted_mean_has_the_error_of_a_mean() -> None:
    times = np.random.default_rng(0).exponential(100, 50)
    found = kaplan_meier(Durations.of(times, [True] * 50)).restricted_mean(until=float(times.max()))
    error = 1.959964 * np.std(times) / np.sqrt(50)
    np.testing.assert_allclose([found.low, found.high], [times.mean() - error, min(times.mean() + error, times.max())], rtol=1e-6)


@pytest.mark.parametrize("n", range(2, 41, 2))
def test_exactly_half_is_reached(n: int) -> None:
    """By rounding, products of survival come out above or below one half."""
    half = Durations.of([*range(1, n // 2 + 1), *[1000] * (n // 2)], [True] * (n // 2) + [False] * (n // 2))
    assert kaplan_meier(half).quantile(0.5).value == n // 2
    less = Durations.of(half.time, [*half.event[: n // 2 - 1], False, *half.event[n // 2 :]])
    assert kaplan_meier(less).quantile(0.5).value is None


def test_half_is_decided_on_counts_with_censoring_too() -> None:
    # (8/9)(6/8)(3/4) = 1/2 exactly; in floating point the product depends on its order.
    cell = Durations.of([1, 2, 2, 3, 3, 4, 9, 9, 9], [1, 1, 1, 0, 0, 1, 0, 0, 0])
    curve = kaplan_meier(cell)
    assert curve.exact[-1] * 2 == 1
    assert curve.quantile(0.5).value == 4


def test_the_interval_of_the_median_inverts_the_curves() -> None:
    found = kaplan_meier(TREATED).quantile(0.5)
    assert (found.low, found.value, found.high) == (13, 23, None)
    assert found.few is False
    assert kaplan_meier(TREATED[np.arange(9)]).quantile(0.5).few is True


@pytest.mark.parametrize(("share", "most"), [(0.5, 5), (0.25, 12), (0.75, 2)])
def test_of_few_runs_the_interval_of_a_quantile_is_open_below(share: float, most: int) -> None:
    """That so many runs all lack the event at a step happens by chance even if the share of all has had it: it may be earlier."""
    for n in range(1, 16):
        curve = kaplan_meier(Durations.of(np.arange(1, n + 1) * 100, np.ones(n)))
        low = curve.quantile(share).low
        assert (low is None) == (n <= most)
        assert (curve.at(50).low <= 1 - share) == (n <= most)
        assert low is None or low >= 100


def test_runs_that_are_lost_before_the_first_event_open_the_interval() -> None:
    lost = kaplan_meier(Durations.of([100, 200, 200, 900, 910, 920, 930], [0, 0, 0, 1, 1, 1, 1]))
    assert lost.quantile(0.5).low == 200  # four are left: none of them had it, as if it were early
    assert lost.quantile(0.75).low == 900
    assert kaplan_meier(Durations.of([0, 0], [1, 1])).quantile().low == 0


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
def test_intervals_of_quartiles_of_few_runs_cover_the_truth(n: int) -> None:
    rng, held = np.random.default_rng(n), np.zeros(3)
    truth = np.exp(0.5 * scipy.stats.norm.ppf([0.25, 0.5, 0.75]))
    for _ in range(300):
        curve = kaplan_meier(Durations.of(np.exp(0.5 * rng.standard_normal(n)), np.ones(n)))
        for i, at in enumerate(truth):
            found = curve.quantile((i + 1) / 4)
            held[i] += (found.low is None or found.low <= at) and (found.high is None or at <= found.high)
    assert (held / 300 >= 0.91).all(), held


def test_without_scatter_a_restricted_mean_has_no_interval() -> None:
    """The interval had no width where no run with the event had others after it."""
    for runs in (Durations.of([5], [0]), Durations.of([5, 5, 6], [0, 0, 1]), Durations.of([3], [1])):
        found = kaplan_meier(runs).restricted_mean(5)
        assert found.value == (3 if runs.n == 1 and runs.events else 5)
        assert found.low is found.high is None


@pytest.mark.parametrize("until", [0, -1, np.nan, np.inf])
def test_a_restricted_mean_needs_a_step(until: float) -> None:
    with pytest.raises(UsageError, match="restricted mean: given"):
        kaplan_meier(PLACEBO).restricted_mean(until)


def test_no_step_is_not_the_last() -> None:
    with pytest.raises(UsageError, match="given nan"):
        kaplan_meier(PLACEBO).at(np.nan)
    for within in (np.nan, -1):
        with pytest.raises(UsageError, match="within"):
            grok_share(PLACEBO, within=within)
    with pytest.raises(UsageError, match="expected whole numbers"):
        exact_share(2.5, 10)


def test_what_is_no_number_is_refused_as_such() -> None:
    with pytest.raises(UsageError, match="expected numbers"):
        Durations.of(["a"], [1])
    with pytest.raises(UsageError, match="takes any sequences"):
        Durations([1], [True])
    with pytest.raises(UsageError, match="expected numbers"):
        critical_point(["a", "b"], [True, False])


@pytest.mark.parametrize("level", [95, 0, 1, -1, np.nan, "0.95"])
def test_every_interval_asks_for_a_share_as_its_level(level: float) -> None:
    x, happened = np.repeat([0.1, 0.2, 0.3, 0.4], 5), np.repeat([False, False, True, True], 5)
    times = Durations.of(np.arange(1, 21.0), np.ones(20))
    asked = [
        lambda: kaplan_meier(PLACEBO, level=level), lambda: exact_share(1, 2, level=level),
        lambda: grok_share(PLACEBO, within=5, level=level), lambda: critical_point(x, happened, level=level),
        lambda: finite_size(x, np.ones(20), happened, level=level), lambda: order_cells(x, np.ones(20), x, level=level),
        lambda: accelerated_failure({"x": x}, times, level=level), lambda: weight_decay_law(x, times, level=level),
        lambda: fraction_law(x, times, level=level), lambda: modulus_law(x, times, level=level),
        lambda: boundary_search(0, 1).boundary(level=level), lambda: boundary_search(0, 1).is_found(width=0.1, level=level),
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(UsageError, match="level: given"):
            ask()


def test_nothing_is_said_after_the_last_look() -> None:
    curve = kaplan_meier(Durations.of([100, 200, 300], [1, 0, 0]))
    assert curve.at(50).value == 1
    assert curve.at(300).value == pytest.approx(2 / 3)
    assert curve.at(301).value is None
    assert curve.restricted_mean(until=301).value is None
    assert kaplan_meier(Durations.of([100, 200], [1, 1])).at(10**6).value == 0


@given(runs)
def test_later_censoring_never_lowers_the_curve(cell: Durations) -> None:
    longer = Durations(np.where(cell.event, cell.time, 100.0), cell.event)
    assert (kaplan_meier(longer).survival >= kaplan_meier(cell).survival - 1e-12).all()


def test_the_median_covers_the_truth_as_often_as_it_says() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        times, budget = 1000 * np.exp(0.4 * rng.standard_normal(20)), rng.uniform(1000, 2500, 20)
        found = kaplan_meier(Durations.of(np.minimum(times, budget), times < budget)).quantile(0.5)
        inside += (found.low is None or found.low <= 1000) and (found.high is None or found.high >= 1000)
    assert 0.92 <= inside / 400 <= 0.985


# Shares


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_exact_intervals_have_exact_tails(case: tuple[int, int]) -> None:
    k, n = case
    found = exact_share(k, n)
    if k:
        assert sum(comb(n, i) * found.low**i * (1 - found.low) ** (n - i) for i in range(k, n + 1)) == pytest.approx(0.025)
    if k < n:
        assert sum(comb(n, i) * found.high**i * (1 - found.high) ** (n - i) for i in range(k + 1)) == pytest.approx(0.025)
    theirs = scipy.stats.binomtest(k, n).proportion_ci(method="exact")
    np.testing.assert_allclose([found.low, found.high], [theirs.low, theirs.high], atol=1e-9)


def test_a_run_that_ended_early_widens_the_share_and_is_not_left_out() -> None:
    seen = Durations.of([100, 200, 500, 500], [1, 1, 0, 0])
    early = Durations.of([100, 200, 500, 300], [1, 1, 0, 0])
    assert grok_share(seen, within=500) == exact_share(2, 4)
    found = grok_share(early, within=500)
    assert found.value == 0.5
    assert found.low == exact_share(2, 4).low
    assert found.high == exact_share(3, 4).high
    had, is_known = outcomes_within(early, within=500)
    assert had.tolist() == [True, True, False, False]
    assert is_known.tolist() == [True, True, True, False]
    with pytest.raises(UsageError, match="no run was seen for 900 steps; the longest was 500"):
        grok_share(Durations.of([500, 500], [0, 0]), within=900)


# Comparisons


def test_the_textbooks_log_rank() -> None:
    found = log_rank([TREATED, PLACEBO])
    assert isinstance(found, Comparison)
    assert found.statistic == pytest.approx(16.79, abs=5e-3)
    assert found.expected == pytest.approx((19.25, 10.75), abs=5e-3)
    assert found.observed == (9, 21)
    assert not found.few


@given(runs, runs)
def test_log_rank_is_scipys(first: Durations, second: Durations) -> None:
    found = log_rank([first, second])
    data = [scipy.stats.CensoredData(uncensored=each.time[each.event], right=each.time[~each.event]) for each in (first, second)]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = scipy.stats.logrank(*data) if first.events + second.events else None
    if isinstance(found, NotBounded):
        assert theirs is None or not np.isfinite(theirs.statistic)
        return
    if theirs is not None and np.isfinite(theirs.statistic):
        assert found.statistic == pytest.approx(theirs.statistic**2, abs=1e-9)
        assert found.p == pytest.approx(theirs.pvalue, abs=1e-9)


@given(runs, runs, runs)
def test_log_rank_knows_order_only(a: Durations, b: Durations, c: Durations) -> None:
    found = log_rank([a, b, c])
    stretched = log_rank([Durations(np.exp(each.time), each.event) for each in (a, b, c)])
    turned = log_rank([c, a, b])
    if isinstance(found, NotBounded):
        assert isinstance(stretched, NotBounded)
        assert isinstance(turned, NotBounded)
        return
    assert stretched.statistic == pytest.approx(found.statistic, abs=1e-9)
    assert turned.statistic == pytest.approx(found.statistic, abs=1e-8)
    assert sum(found.observed) == pytest.approx(sum(found.expected))


def test_a_run_that_ended_before_the_first_event_says_nothing() -> None:
    more = Durations.of([*TREATED.time, 0.5], [*TREATED.event, False])
    assert log_rank([more, PLACEBO]).statistic == pytest.approx(log_rank([TREATED, PLACEBO]).statistic)
    np.testing.assert_allclose(kaplan_meier(more).survival, kaplan_meier(TREATED).survival)


def test_without_a_decided_comparison_none_is_made_up() -> None:
    never = Durations.of([100, 100], [0, 0])
    assert "no event happened" in str(log_rank([never, never]))
    assert "in no pair" in str(paired(never, never))
    with pytest.raises(UsageError, match="at least two"):
        log_rank([never])
    with pytest.raises(UsageError, match="same seeds in the same order"):
        paired(never, Durations.of([1], [1]))
    with pytest.raises(UsageError, match="strata that do not fit"):
        log_rank([never, never], strata=[[0, 1], [0]])


@given(st.integers(1, 25).flatmap(lambda n: st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=n, max_size=n)))
def test_pairs_are_the_log_rank_of_strata_of_two(times: list[tuple[int, int]]) -> None:
    cells = [Durations.of([pair[side] for pair in times], [pair[side] < 7 for pair in times]) for side in (0, 1)]
    exact, seeds = paired(*cells), list(range(len(times)))
    normal = log_rank(cells, strata=[seeds, seeds])
    ties = sum(a == b and a < 7 for a, b in times)
    if isinstance(exact, NotBounded):
        assert isinstance(normal, NotBounded)
        return
    # (wins - losses)^2 / decided pairs; a tie of two events is no information either way.
    assert isinstance(normal, Comparison)
    wins, decided = exact.statistic, exact.freedom
    assert normal.statistic == pytest.approx((2 * wins - decided) ** 2 / decided)
    assert ties + decided <= len(times)
    assert exact.p == pytest.approx(scipy.stats.binomtest(int(wins), decided).pvalue)


def test_pairs_see_what_scatter_between_seeds_hides() -> None:
    rng = np.random.default_rng(0)
    seed = rng.standard_normal(20)
    first, second = (Durations.of(np.exp(seed + shift + 0.05 * rng.standard_normal(20)), [True] * 20) for shift in (0, 0.15))
    assert paired(first, second).p < 1e-3
    assert log_rank([first, second]).p > 0.2


def test_false_alarms_are_as_many_as_stated() -> None:
    rng, alarms = np.random.default_rng(1), np.zeros(2)
    for _ in range(500):
        cells = []
        for _ in range(3):
            times = rng.exponential(1, 25)
            cells.append(Durations.of(np.minimum(times, 1.5), times < 1.5))
        alarms += [log_rank(cells).p < 0.05, paired(*cells[:2]).p < 0.05]
    assert 0.03 <= alarms[0] / 500 <= 0.08
    assert alarms[1] / 500 <= 0.05  # exact: never more


def test_delays_of_runs_that_did_not_grok_are_censored() -> None:
    memorized = Durations.of([100, 200, 150, 800], [1, 1, 1, 0])
    grokked = Durations.of([300, 800, 100, 800], [1, 0, 1, 0])
    found, rows = delays(memorized, grokked)
    assert rows.tolist() == [0, 1, 2]
    assert found.time.tolist() == [200, 600, 0]
    assert found.event.tolist() == [True, False, True]
    with pytest.raises(UsageError, match="0 of which memorized"):
        delays(Durations.of([5], [0]), Durations.of([5], [0]))
    with pytest.raises(UsageError, match="given 1 and 2 runs"):
        delays(Durations.of([5], [1]), Durations.of([5, 6], [1, 1]))


@pytest.mark.parametrize(
    ("sizes", "few"), [([10, 10], False), ([10, 9], True), ([1] * 12, False), ([1] * 9, True), ([1, 12], True)]
)
def test_few_runs_are_those_of_the_smallest_cell(sizes: list[int], few: bool) -> None:
    keys = np.repeat(np.arange(len(sizes)), sizes)
    assert fewest(cells(keys, n=len(keys))) is few


# Bad input


@pytest.mark.parametrize(
    ("time", "event", "message"),
    [
        ([], [], "at least one"),
        ([1, 2], [True], "one of each for every run"),
        ([1, np.inf], [True, False], "not a finite number"),
        ([1, np.nan], [True, False], "not a finite number"),
        ([1, -1], [True, False], "not a finite number"),
        ([1, 2], [1, 2], "expected True"),
    ],
)
def test_bad_durations_are_refused(time: list[float], event: list[object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Durations.of(time, event)


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_bad_shares_are_refused(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        kaplan_meier(TREATED).quantile(share)
    with pytest.raises(UsageError, match="between 0 and 1"):
        kaplan_meier(TREATED, level=share)
    with pytest.raises(UsageError, match="no more successes than runs"):
        exact_share(5, 4)
