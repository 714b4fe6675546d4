"""Critical values, finite size, order parameters, and the placing of runs: planted boundaries, and what may not be quoted."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from interp.errors import UsageError
from interp.studies.adaptive import boundary_search, next_points
from interp.studies.critical import CriticalPoint, critical_point
from interp.studies.durations import Estimate, NotBounded
from interp.studies.finite_size import FiniteSize, finite_size
from interp.studies.logistic import fit_logistic
from interp.studies.order import binder_cumulant, order_cells

FRACTIONS = np.repeat(np.linspace(0.2, 0.4, 9), 12)


def drawn(rng: np.random.Generator, x: np.ndarray, *, at: float = 0.3, slope: float = 60.0) -> np.ndarray:
    return rng.random(len(x)) < expit(slope * (x - at))


# The critical value


@given(st.integers(0, 10**6))
def test_at_the_maximum_what_is_expected_is_what_happened(seed: int) -> None:
    rng = np.random.default_rng(seed)
    design = np.stack([np.ones(40), rng.standard_normal(40)], axis=1)
    happened = rng.random(40) < 0.5
    fit = fit_logistic(design, happened)
    if np.abs(fit.beta).max() < 20:  # not separated
        np.testing.assert_allclose((happened - expit(design @ fit.beta[0])) @ design, 0, atol=1e-4)


def test_a_planted_point_lies_within_its_interval_as_often_as_it_says() -> None:
    inside = np.zeros(2)
    for seed in range(100):
        found = critical_point(FRACTIONS, drawn(np.random.default_rng(seed), FRACTIONS, at=0.29))
        inside += [found.at.low <= 0.29 <= found.at.high, (found.slope.low or 0) <= 60 <= (found.slope.high or np.inf)]
    assert (inside / 100 >= 0.88).all()


def test_an_abrupt_change_has_a_point_and_one_end_of_the_slope() -> None:
    found = critical_point(FRACTIONS, FRACTIONS > 0.29)
    assert found.gap == pytest.approx((0.275, 0.3))
    assert str(found).endswith("the change is abrupt, between 0.275 and 0.3")
    assert found.at.value == pytest.approx(0.2875)
    assert 0.27 < found.at.low < found.at.value < found.at.high < 0.305
    assert found.slope.value is None
    assert found.slope.high is None
    assert found.slope.low > 50


def test_however_narrow_the_change_is_the_slope_has_one_end() -> None:
    x = np.repeat([0.0, 0.3, 0.3 + 1e-7, 1.0], 10)
    rising, falling = critical_point(x, x > 0.3), critical_point(x, x <= 0.3)
    assert rising.slope.value is None
    assert rising.slope.high is None
    assert falling.slope.low is None
    assert rising.at.value == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("of_ten", range(1, 10))
@pytest.mark.parametrize("is_rising", [True, False])
def test_some_of_the_runs_at_one_value_are_an_abrupt_change_too(of_ten: int, is_rising: bool) -> None:
    x = np.repeat([0.2, 0.3, 0.4], 10)
    happened = np.where(x == 0.3, np.tile(np.arange(10) < of_ten, 3), (x > 0.3) == is_rising)
    found = critical_point(x, happened)
    assert found.gap == (0.3, 0.3)
    around = "none below it and all above" if is_rising else "all below it and none above"
    assert f"the change is abrupt: of the runs at 0.3 some grok, {around}" in str(found)
    assert found.at.value == pytest.approx(0.3)
    assert 0.2 < found.at.low <= 0.3001
    assert 0.2999 <= found.at.high < 0.4
    assert found.slope.value is None
    assert (found.slope.low is None) != (found.slope.high is None)


def test_both_directions_and_all_units_are_alike() -> None:
    happened = drawn(np.random.default_rng(0), FRACTIONS)
    rising, falling = critical_point(FRACTIONS, happened), critical_point(FRACTIONS, ~happened)
    scaled = critical_point(1000 * FRACTIONS - 5, happened)
    assert falling.slope.value == pytest.approx(-rising.slope.value, rel=1e-4)
    for end in ("low", "value", "high"):
        ours = getattr(rising.at, end)
        assert getattr(falling.at, end) == pytest.approx(ours, abs=1e-4)
        assert getattr(scaled.at, end) == pytest.approx(1000 * ours - 5, rel=1e-4)


@pytest.mark.parametrize(("unit", "origin"), [(1e-10, 0.0), (1e9, 0.0), (1e-7, 5e-3), (1.0, 1e6)])
@pytest.mark.parametrize("is_abrupt", [False, True])
def test_small_and_large_numbers_have_the_same_points(unit: float, origin: float, is_abrupt: bool) -> None:
    happened = FRACTIONS > 0.29 if is_abrupt else drawn(np.random.default_rng(0), FRACTIONS)
    plain, other = critical_point(FRACTIONS, happened), critical_point(unit * FRACTIONS + origin, happened)
    for end in ("low", "value", "high"):
        assert (getattr(other.at, end) - origin) / unit == pytest.approx(getattr(plain.at, end), abs=1e-6)
        slope = getattr(plain.slope, end)
        assert getattr(other.slope, end) == (None if slope is None else pytest.approx(slope / unit, rel=1e-4))


def test_without_a_change_there_is_no_point() -> None:
    assert "every run grokked from 0.2 to 0.4" in str(critical_point(FRACTIONS, FRACTIONS > 0))
    assert "no run grokked" in str(critical_point(FRACTIONS, FRACTIONS < 0))
    assert "all runs are at 0.2" in str(critical_point([0.2] * 4, [0, 1, 0, 1]))
    chance = np.random.default_rng(0).random(len(FRACTIONS)) < 0.5
    assert "by more than chance" in str(critical_point(FRACTIONS, chance))
    with pytest.raises(UsageError, match="expected one True or False"):
        critical_point(FRACTIONS, FRACTIONS)


def test_the_point_is_marked_where_a_cell_is_small() -> None:
    assert not critical_point(FRACTIONS, FRACTIONS > 0.29).few
    assert critical_point(FRACTIONS[3:], FRACTIONS[3:] > 0.29).few


# Finite size


def sized(seed: int, *, n: int = 40, nu: float = 1.0, steep: float = 60.0, drift: float = 0.0, sizes=(31, 47, 67, 97)) -> tuple:
    """P(grok) = logistic(steep (p / 55)^(1 / nu) (x - x_c)), x_c moving with p by a drift."""
    rng, columns = np.random.default_rng(seed), []
    for p in sizes:
        x = np.repeat(np.linspace(0.2, 0.4, 9), n)
        columns.append((x, np.full(len(x), p), drawn(rng, x, at=0.3 + drift * (p - 55), slope=steep * (p / 55) ** (1 / nu))))
    return tuple(np.concatenate(each) for each in zip(*columns, strict=True))


def test_a_planted_exponent_with_many_runs_can_be_quoted() -> None:
    found = finite_size(*sized(0, n=100), resamples=100)
    assert found.quotable
    assert "can be quoted" in found.verdict
    assert found.exponent.low <= 1 <= found.exponent.high
    assert found.common.low <= 0.3 <= found.common.high
    assert found.p_common > 0.05
    assert not found.few


def test_sizes_scale_alike_in_every_unit() -> None:
    x, size, happened = sized(0, n=20)
    plain, other = (finite_size(unit * x, size, happened, resamples=100) for unit in (1.0, 1e-5))
    assert other.verdict == plain.verdict
    assert other.p_common == pytest.approx(plain.p_common, rel=1e-4)
    common = [(found.low, found.value, found.high) for found in (plain.common, other.common)]
    np.testing.assert_allclose(1e5 * np.array(common[1]), common[0], atol=1e-5)
    for (*_, ours), (*_, theirs) in zip(plain.crossings, other.crossings, strict=True):
        assert type(ours) is type(theirs)
        if isinstance(ours, Estimate):
            np.testing.assert_allclose(1e5 * np.array([theirs.low, theirs.high]), [ours.low, ours.high], atol=1e-5)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (partial(sized, 0, n=6), r"the data leave 1/nu = .* to"),
        (partial(sized, 0, n=20, drift=0.001), "do not cross at one point"),
        (partial(sized, 0, n=6, steep=3000.0), "the data leave 1/nu"),
        (partial(sized, 0, sizes=(31, 47)), "bounded at 2 sizes, and 3 are needed"),
    ],
)
def test_otherwise_it_is_said_that_it_cannot(data: partial[tuple], reason: str) -> None:
    found = finite_size(*data(), resamples=100)
    assert not found.quotable
    assert re.search(reason, found.verdict)
    assert found.verdict.startswith("An exponent cannot be quoted")


def test_no_exponent_without_scaling_is_taken_for_one() -> None:
    """Slopes that do not change with size: quoted in no more cases than intervals of 95 % allow."""
    quoted = sum(finite_size(*sized(seed, n=12, nu=np.inf), resamples=100).quotable for seed in range(12))
    assert quoted <= 1


def test_crossings_are_where_the_curves_cross_or_are_not_said() -> None:
    found = finite_size(*sized(0, n=100, sizes=(13, 31, 97)), resamples=200)
    for one, two, crossing in found.crossings:
        assert (one, two) in {(13.0, 31.0), (31.0, 97.0)}
        assert isinstance(crossing, Estimate)
        assert crossing.low <= 0.3 <= crossing.high
    abrupt = finite_size(*sized(0, n=6, steep=3000.0), resamples=100)
    assert all("jumps from 0 to 1" in str(crossing) for _, _, crossing in abrupt.crossings)
    parallel = finite_size(*sized(0, n=20, nu=np.inf), resamples=200)
    assert any(isinstance(crossing, NotBounded) for _, _, crossing in parallel.crossings)
    assert all(isinstance(point, CriticalPoint) for point in parallel.critical.values())
    assert isinstance(parallel, FiniteSize)


# The order parameter


def test_binder_cumulants_have_their_known_values() -> None:
    rng = np.random.default_rng(0)
    assert binder_cumulant(np.array([1.0, -1.0, 1.0])) == pytest.approx(2 / 3)
    assert binder_cumulant(rng.standard_normal(200_000)) == pytest.approx(0, abs=0.02)
    share = 0.3  # of runs at 1, the others at 0: <m^4> = <m^2> = share
    assert binder_cumulant(np.repeat([1.0, 0.0], [300, 700])) == pytest.approx(1 - 1 / (3 * share))
    assert np.isnan(binder_cumulant(np.zeros(5)))


def test_cells_of_the_order_parameter() -> None:
    rng = np.random.default_rng(0)
    x, p = np.repeat([0.2, 0.3, 0.2, 0.3], 30), np.repeat([31, 31, 59, 59], 30)
    m = np.clip(rng.normal(np.where(x > 0.25, 0.9, 0.1), 0.05), 0, 1)
    found = order_cells(x, p, m)
    assert [(cell.size, cell.x) for cell in found] == [(31, 0.2), (31, 0.3), (59, 0.2), (59, 0.3)]
    for cell in found:
        rows = (x == cell.x) & (p == cell.size)
        assert cell.mean.value == pytest.approx(m[rows].mean())
        assert cell.variance.value == pytest.approx(m[rows].var(ddof=1))
        assert cell.binder.value == pytest.approx(float(binder_cumulant(m[rows])))
        error = scipy.stats.sem(m[rows])
        assert cell.mean.high - cell.mean.low == pytest.approx(2 * scipy.stats.t.ppf(0.975, 29) * error)
        assert cell.binder.low <= cell.binder.value <= cell.binder.high
        assert not cell.few
    (empty,) = order_cells([0.2] * 5, [31] * 5, [0.0] * 5)
    assert "every run is 0" in str(empty.binder)
    assert empty.few
    (single,) = order_cells([0.2], [31], [0.5])
    assert "one run" in str(single.mean)
    assert "one run" in str(single.variance)
    with pytest.raises(UsageError, match="given no runs"):
        order_cells([], [], [])


def test_an_end_that_hangs_on_one_run_is_not_made_up() -> None:
    (cell,) = order_cells([0.2] * 5, [31] * 5, [1.0, 1.0, 1.0, 1.0, 0.2])
    assert cell.variance.value == pytest.approx(0.128)
    assert cell.variance.low is cell.variance.high is cell.binder.low is cell.binder.high is None
    (two,) = order_cells([0.2] * 2, [31] * 2, [0.5, -0.5])
    assert (two.variance.value, two.variance.low, two.binder.low) == (0.5, None, None)
    assert two.mean.low < 0 < two.mean.high
    (alike,) = order_cells([0.2] * 3, [31] * 3, [0.1] * 3)
    assert alike.mean.low is alike.variance.low is alike.binder.low is None


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("goes_either_way", [False, True])
def test_intervals_of_the_order_parameter_hold_the_truth(n: int, goes_either_way: bool) -> None:
    def runs(rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.random(count) if goes_either_way else rng.normal(0.5, 0.1, count)

    many = runs(np.random.default_rng(99), 1_000_000)
    truths = np.array([many.mean(), many.var(), float(binder_cumulant(many))])
    rng, held = np.random.default_rng(n), np.zeros(3)
    for _ in range(300):
        (cell,) = order_cells(np.zeros(n), np.zeros(n), runs(rng, n))
        for i, found in enumerate((cell.mean, cell.variance, cell.binder)):
            held[i] += found.low <= truths[i] <= found.high
            assert found.low <= found.value <= found.high
    assert (held / 300 >= 0.91).all(), held


# Placing


def searched(seed: int, *, batch: int, width: float) -> tuple[int, int, bool]:
    """Runs until the interval has a width, if placed and on an even grid of that spacing, and whether the former is right."""
    rng = np.random.default_rng(seed)
    at, slope = rng.uniform(0.15, 0.85), np.exp(rng.uniform(np.log(20), np.log(200)))
    placed, even = boundary_search(0, 1), boundary_search(0, 1)
    while not placed.is_found(width=width) and placed.n < 500:
        points = next_points(placed, batch)
        placed = placed.after(points, drawn(rng, np.array(points), at=at, slope=slope))
    grid = np.linspace(0, 1, round(1 / width) + 1)
    while not even.is_found(width=width) and even.n < 5000:  # one seed more at every point
        even = even.after(grid, drawn(rng, grid, at=at, slope=slope))
    found = placed.boundary()
    return placed.n, even.n, found.low <= at <= found.high


def test_placing_needs_a_third_of_an_even_grid_or_less() -> None:
    found = np.array([searched(seed, batch=2, width=0.05) for seed in range(100)])
    assert np.median(found[:, 0] / found[:, 1]) <= 1 / 3
    assert np.median(found[:, 0]) <= np.median(found[:, 1]) / 3
    assert found[:, 2].mean() >= 0.93


def test_points_close_in_and_are_the_same_again() -> None:
    search = boundary_search(0.1, 0.9)
    assert next_points(search) == [0.5]
    for _ in range(12):
        points = next_points(search, 2)
        assert next_points(search, 2) == points
        search = search.after(points, np.array(points) > 0.37)
    assert abs(search.boundary().value - 0.37) < 0.02
    assert abs(next_points(search)[0] - 0.37) < 0.03


def test_a_boundary_may_fall() -> None:
    up, down = boundary_search(0, 1), boundary_search(0, 1, falling=True)
    x = np.array([0.2, 0.5, 0.7])
    assert up.after(x, x > 0.6).boundary().value == pytest.approx(down.after(x, x < 0.6).boundary().value)


def test_order_of_runs_does_not_matter() -> None:
    x, happened = np.array([0.2, 0.5, 0.7]), np.array([False, True, True])
    one = boundary_search(0, 1).after(x, happened)
    two = boundary_search(0, 1).after(x[:1], happened[:1]).after(x[[2, 1]], happened[[2, 1]])
    np.testing.assert_allclose(one.belief, two.belief, atol=1e-12)
    assert one.n == two.n == 3


def test_points_are_chosen_among_what_can_be_had() -> None:
    primes = [29.0, 31.0, 37.0, 41.0, 43.0, 47.0]
    points = next_points(boundary_search(29, 47), 4, among=primes)
    assert set(points) <= set(primes)
    assert len(points) == 4


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: boundary_search(1, 0), "the smaller first"),
        (lambda: boundary_search(0, np.inf), "finite"),
        (lambda: boundary_search(0, 1).after([2.0], [True]), r"x: given 2\.\.2, expected 0\.\.1"),
        (lambda: boundary_search(0, 1).after([0.5], [0.5]), "True or False"),
        (lambda: boundary_search(0, 1).after([0.5, 0.6], [True]), "each of 1 runs"),
        (lambda: next_points(boundary_search(0, 1), 0), "at least one"),
        (lambda: next_points(boundary_search(0, 1), among=[2.0]), r"values in 0\.\.1"),
        (lambda: next_points(boundary_search(0, 1), among=[]), "at least one"),
        (lambda: boundary_search(0, 1).is_found(width=0.001), "narrow the range"),
    ],
)
def test_bad_requests_are_refused(use: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        use()


def test_no_end_of_an_interval_lies_beyond_the_values_with_runs() -> None:
    x, happened = np.repeat([0.3, 0.4, 0.5], 10), [*[True] * 8, *[False] * 2, *[True] * 20]
    found = critical_point(x, happened)
    assert found.at.low is None  # the curve alone would say -0.3, of a share
    assert found.at.high == pytest.approx(0.3, abs=1e-3)
    assert str(found).startswith("one half below 0.3, by 30 runs; ")
    falling = critical_point(0.8 - x, happened)
    assert falling.at.high is None
    assert str(falling).startswith("one half above 0.5, by 30 runs; ")


def test_a_share_that_stays_on_one_side_of_a_half_has_no_point() -> None:
    x, shares = np.repeat(np.arange(5.0), 200), (0, 0.01, 0.02, 0.05, 0.12)
    happened = np.concatenate([np.arange(200) < 200 * share for share in shares])
    for values, outcome, side in (
        (x, happened, "below"),
        (4 - x, happened, "below"),
        (x, ~happened, "above"),
        (4 - x, ~happened, "above"),
    ):
        found = critical_point(values, outcome)
        assert str(found).endswith(f"the share of runs that grok stays {side} one half from 0 to 4"), found
