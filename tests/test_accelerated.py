"""Censored regression: the maximum is the maximum, its intervals hold what they say, and separation is said, not hidden."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_ndtr

from interp.errors import UsageError
from interp.studies.accelerated import Regression, accelerated_failure, separation
from interp.studies.censored_fit import FAMILIES, fit_censored
from interp.studies.durations import Durations, NotBounded
from interp.studies.gathered_cells import gathered
from interp.studies.resampling import resampled_weights


def planted(seed: int, *, family: str = "log-normal", n: int = 60, budget: float = 3000.0) -> tuple[np.ndarray, Durations]:
    """Times 1000 exp(0.5 x + 0.4 eps), censored at a budget."""
    rng = np.random.default_rng(seed)
    x = np.repeat([0.0, 1.0, 2.0], n // 3)
    eps = rng.standard_normal(n) if family == "log-normal" else np.log(rng.exponential(1, n))
    times = 1000 * np.exp(0.5 * x + 0.4 * eps)
    return x, Durations.of(np.minimum(times, budget), times < budget)


def log_likelihood(theta: np.ndarray, y: np.ndarray, event: np.ndarray, x: np.ndarray, family: str) -> float:
    z, log_sigma = (y - x @ theta[:-1]) / np.exp(theta[-1]), theta[-1]
    if family == "log-normal":
        return float(np.where(event, -(z**2) / 2 - np.log(2 * np.pi) / 2 - log_sigma, log_ndtr(-z)).sum())
    return float(np.where(event, z - np.exp(z) - log_sigma, -np.exp(z)).sum())


# The fit


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 10**6))
def test_it_is_the_maximum(family: str, seed: int) -> None:
    x, runs = planted(seed, family=family)
    design = np.stack([np.ones(runs.n), x], axis=1)
    fit = fit_censored(runs.log_time(), runs.event, design, family=family)
    assert fit.converged[0]
    best = np.array([*fit.beta[0], np.log(fit.sigma[0])])
    of = partial(log_likelihood, y=runs.log_time(), event=runs.event, x=design, family=family)
    assert of(best) == pytest.approx(float(fit.log_likelihood[0]), abs=1e-8)
    assert minimize(lambda theta: -of(theta), best, method="Nelder-Mead").fun == pytest.approx(-of(best), abs=1e-6)


def test_many_fits_at_once_are_each_of_them() -> None:
    x, runs = planted(3)
    design = np.stack([np.ones(runs.n), x], axis=1)
    weights = np.random.default_rng(0).integers(0, 3, (20, runs.n)).astype(float)
    together = fit_censored(runs.log_time(), runs.event, design, weights=weights)
    again = fit_censored(runs.log_time(), runs.event, design, weights=weights, near=together)
    for i, row in enumerate(weights):
        copies = np.repeat(np.arange(runs.n), row.astype(int))
        alone = fit_censored(runs.log_time()[copies], runs.event[copies], design[copies])
        np.testing.assert_allclose(together.beta[i], alone.beta[0], atol=1e-5)
        np.testing.assert_allclose(again.beta[i], alone.beta[0], atol=1e-5)
        assert together.sigma[i] == pytest.approx(float(alone.sigma[0]), abs=1e-5)


def test_without_censoring_it_is_least_squares() -> None:
    x, runs = planted(5, budget=1e9)
    found = accelerated_failure({"x": x}, runs)
    slope, intercept = np.polyfit(x, runs.log_time(), 1)
    assert found.coefficients["x"].value == pytest.approx(slope)
    assert found.scatter == pytest.approx(np.std(runs.log_time() - slope * x - intercept))


def test_dropping_censored_runs_would_be_wrong() -> None:
    """What the method is for: with a third of the slowest cell censored, the slope of those seen alone is too small."""
    errors = []
    for seed in range(30):
        x, runs = planted(seed, budget=2500)
        right = accelerated_failure({"x": x}, runs).coefficients["x"].value
        dropped = np.polyfit(x[runs.event], runs.log_time()[runs.event], 1)[0]
        errors.append([right - 0.5, dropped - 0.5])
    right, dropped = np.mean(errors, axis=0)
    assert abs(right) < 0.02
    assert dropped < -0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_intervals_hold_the_truth_as_often_as_they_say(family: str) -> None:
    inside = 0
    for seed in range(120):
        x, runs = planted(seed, family=family, n=45)
        found = accelerated_failure({"x": x}, runs, family=family).coefficients["x"]
        inside += found.low <= 0.5 <= found.high
    assert inside / 120 >= 0.90


def test_the_median_is_the_curves() -> None:
    x, runs = planted(0, n=600)
    for family in FAMILIES:
        found = accelerated_failure({"x": x}, runs, family=family)
        assert found.median(x=1.0) == pytest.approx(1000 * np.exp(0.5), rel=0.15)
    with pytest.raises(UsageError, match=r"expected a value for each of \['x'\]"):
        found.median(y=1.0)


# Separation


def never(seed: int = 0) -> tuple[np.ndarray, Durations]:
    """Ten runs that grok and ten of another group that never do."""
    times = 1000 * np.exp(0.3 * np.random.default_rng(seed).standard_normal(10))
    return np.repeat([0.0, 1.0], 10), Durations.of([*times, *[3000] * 10], [True] * 10 + [False] * 10)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_group_that_never_groks_has_one_end_and_a_clear_probability(family: str, sign: int) -> None:
    group, runs = never()
    found = accelerated_failure({"other": sign * group}, runs, family=family)
    coefficient = found.coefficients["other"]
    assert found.separated == ("other",)
    assert coefficient.value is None
    assert (coefficient.high if sign > 0 else coefficient.low) is None
    end = coefficient.low if sign > 0 else -coefficient.high
    # There the best likelihood is lower than the limit by half a quantile of chi squared: found again by another optimizer.
    held = partial(log_likelihood, y=runs.log_time() - end * group, event=runs.event, x=np.ones((20, 1)), family=family)
    best = minimize(lambda theta: -held(theta), [7.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert found.log_likelihood + best.fun == pytest.approx(3.841459 / 2, abs=1e-5)
    assert end > 1
    assert found.p["other"] < 1e-6
    assert found.median(other=float(sign)) == np.inf
    # The others are as if the group were not there.
    alone = accelerated_failure({}, runs[np.arange(10)], family=family)
    assert found.coefficients["intercept"].value == pytest.approx(alone.coefficients["intercept"].value, abs=1e-4)
    assert found.coefficients["intercept"].low == pytest.approx(alone.coefficients["intercept"].low, abs=1e-3)


def test_separation_names_only_what_is_separated() -> None:
    rng = np.random.default_rng(2)
    group, side = np.repeat([0, 1, 2], 10), np.tile([0.0, 1.0], 15)
    times = np.where(group == 2, 3000, 1000 * np.exp(0.4 * side + 0.3 * rng.standard_normal(30)))
    runs = Durations.of(times, group < 2)
    found = accelerated_failure({"one": group == 1, "two": group == 2, "side": side}, runs)
    assert found.separated == ("two",)
    seen = group < 2
    without = accelerated_failure({"one": group[seen] == 1, "side": side[seen]}, runs[seen])
    for name in ("intercept", "one", "side"):
        ours, theirs = found.coefficients[name], without.coefficients[name]
        np.testing.assert_allclose([ours.value, ours.low, ours.high], [theirs.value, theirs.low, theirs.high], atol=1e-3)
    assert accelerated_failure({"group": group, "side": side}, runs).separated == ()


@given(st.integers(0, 10**6))
def test_along_a_direction_of_separation_the_likelihood_only_grows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    design = np.stack([np.ones(12), rng.integers(0, 2, 12), rng.integers(0, 3, 12)], axis=1).astype(float)
    event = rng.random(12) < 0.4
    direction = separation(design, event)
    moved = design @ direction
    assert np.abs(moved[event]).max(initial=0) < 1e-6
    assert moved[~event].min(initial=0) > -1e-6
    if not direction.any() and event.sum() > 4 and np.linalg.matrix_rank(design[event]) == 3:
        fit = fit_censored(rng.standard_normal(12), event, design)
        assert fit.converged[0]


@pytest.mark.parametrize("family", ["log-normal", "weibull"])
@pytest.mark.parametrize(("unit", "origin"), [(1e5, 0.0), (1e-8, 0.0), (1.0, 1e5), (1e-6, 3e-3), (-1e12, 0.0)])
def test_units_and_origins_of_an_axis_change_units_alone(family: str, unit: float, origin: float) -> None:
    x, runs = planted(3, family=family)
    arm = np.tile([0.0, 1.0], len(x) // 2)
    plain = accelerated_failure({"x": x, "arm": arm}, runs, family=family)
    other = accelerated_failure({"x": unit * x + origin, "arm": 1e-7 * arm}, runs, family=family)
    assert isinstance(other, Regression)
    assert other.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
    for name, size in (("x", unit), ("arm", 1e-7)):
        ours, theirs = other.coefficients[name], plain.coefficients[name]
        ends = (ours.low, ours.high) if size > 0 else (ours.high, ours.low)
        np.testing.assert_allclose(size * np.array([ours.value, *ends]), [theirs.value, theirs.low, theirs.high], atol=1e-4)
        assert other.p[name] == pytest.approx(plain.p[name], rel=1e-3)
    assert other.median(x=unit + origin, arm=0) == pytest.approx(plain.median(x=1, arm=0), rel=1e-4)


@pytest.mark.parametrize("unit", [1e-8, 1e6])
def test_separation_is_seen_in_every_unit(unit: float) -> None:
    times, group = np.array([100, 120, 90, 130, *[1000] * 4]), np.repeat([0, 1], 4)
    found = accelerated_failure({"group": unit * group}, Durations.of(times, group == 0))
    assert found.separated == ("group",)
    assert found.coefficients["group"].low * unit == pytest.approx(
        accelerated_failure({"group": group}, Durations.of(times, group == 0)).coefficients["group"].low, rel=1e-4
    )
    assert found.median(group=unit) == np.inf


# What is declined and refused


def test_what_the_data_cannot_say_is_declined() -> None:
    group, runs = never()
    assert isinstance(accelerated_failure({"g": group}, Durations(runs.time, np.zeros(20, bool))), NotBounded)
    exact = Durations.of(1000 * np.exp(group), [True] * 20)
    assert "do not scatter around a line, or by less than 0.01 %" in str(accelerated_failure({"g": group}, exact))
    found = accelerated_failure({"g": group}, runs)
    assert isinstance(found, Regression)
    assert not found.few
    assert accelerated_failure({"g": group[5:]}, runs[np.arange(5, 20)]).few


@pytest.mark.parametrize(
    ("axes", "family", "message"),
    [
        ({"g": [1.0] * 20}, "log-normal", "constant or follows"),
        ({"g": range(20), "h": range(0, 40, 2)}, "log-normal", "constant or follows"),
        ({"g": [1.0] * 3}, "log-normal", "a finite number for each of 20 runs"),
        ({"g": [np.nan] * 20}, "log-normal", "a finite number"),
        ({"g": range(20)}, "gamma", "unknown family"),
    ],
)
def test_bad_input_is_refused(axes: dict[str, object], family: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        accelerated_failure(axes, never()[1], family=family)
    with pytest.raises(UsageError, match="given a time of 0"):
        accelerated_failure({}, Durations.of([0, 1], [1, 1]))


# Resampling


def test_resampled_cells_keep_their_size_and_the_variance_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    groups = [np.arange(4), np.arange(4, 12), np.array([12]), np.array([13])]
    values = rng.standard_normal(14)
    weights = resampled_weights(groups, n=14, resamples=20000, rng=rng)
    for rows in [*groups[:2], np.array([12, 13])]:
        m = len(rows)
        np.testing.assert_allclose(weights[:, rows].sum(1), m)
        means = weights[:, rows] @ values[rows] / m
        assert means.mean() == pytest.approx(values[rows].mean(), abs=0.03)
        assert means.var() == pytest.approx(values[rows].var(ddof=1) / m, rel=0.05)


@given(st.integers(0, 10**6))
def test_gathered_runs_have_the_likelihood_of_the_runs(seed: int) -> None:
    x, runs = planted(seed, budget=1500)
    rng = np.random.default_rng(seed)
    weights = np.concatenate([np.ones((1, runs.n)), rng.integers(0, 3, (5, runs.n))])
    rows = gathered(x, runs.log_time(), runs.event, weights)
    assert len(rows.x) <= 9  # three cells: two rows of events, one of runs censored together
    whole, few = (
        fit_censored(time, event, np.stack([np.ones(len(at)), at], axis=1), weights=w)
        for at, time, event, w in (
            (x, runs.log_time(), runs.event, weights), (rows.x, rows.log_time, rows.event, rows.weights),
        )
    )  # fmt: skip
    np.testing.assert_allclose(few.beta, whole.beta, atol=1e-5)
    np.testing.assert_allclose(few.sigma, whole.sigma, atol=1e-5)
    np.testing.assert_allclose(few.log_likelihood, whole.log_likelihood, atol=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_slopes_and_curvatures_are_those_of_the_values(family: str) -> None:
    z, h = np.linspace(-8, 4, 49), 1e-4
    for of in FAMILIES[family]:
        (before, *_), (value, slope, curvature), (after, *_) = of(z - h), of(z), of(z + h)
        np.testing.assert_allclose(slope, (after - before) / (2 * h), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(curvature, (after - 2 * value + before) / h**2, rtol=1e-4, atol=1e-5)
        assert (curvature <= 0).all()  # concave: one maximum
