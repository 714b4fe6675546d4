"""The statistics of censored runs against lifelines, where it is installed (extra `lifelines`; it needs pandas < 3)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from interp.studies.accelerated import accelerated_failure
from interp.studies.comparing import log_rank
from interp.studies.durations import Durations
from interp.studies.survival import kaplan_meier

lifelines = pytest.importorskip("lifelines", reason="lifelines is not installed; it needs pandas < 3")
pd = pytest.importorskip("pandas")


def drawn(seed: int, n: int = 30, *, whole: bool = True) -> Durations:
    rng = np.random.default_rng(seed)
    times, budget = rng.exponential(10, n), rng.uniform(5, 30, n)
    seen = np.minimum(times, budget)
    return Durations.of(np.ceil(seen) if whole else seen, times < budget)


@pytest.mark.parametrize("seed", range(20))
def test_curves_quantiles_and_restricted_means(seed: int) -> None:
    from lifelines.utils import median_survival_times, restricted_mean_survival_time

    runs = drawn(seed, n=5 + 3 * seed)
    ours, theirs = kaplan_meier(runs), lifelines.KaplanMeierFitter().fit(runs.time, runs.event)
    np.testing.assert_allclose(ours.survival, theirs.survival_function_at_times(ours.time), atol=1e-12)
    inner = ours.survival > 0
    interval = theirs.confidence_interval_.loc[ours.time].to_numpy()[inner]
    np.testing.assert_allclose(np.stack([ours.low, ours.high], axis=1)[inner], interval, atol=1e-9)
    for share in (0.25, 0.5, 0.75):
        if all(abs(float(exact) - (1 - share)) > 1e-9 for exact in ours.exact):  # exactly there lifelines depends on rounding
            value = ours.quantile(share).value
            assert (np.inf if value is None else value) == theirs.percentile(1 - share)
    ends = median_survival_times(theirs.confidence_interval_).iloc[0].tolist()
    found = ours.quantile(0.5)
    if inner.all():
        assert [np.inf if end is None else end for end in (found.low, found.high)] == ends
    until = float(runs.time.max()) * 0.8
    assert ours.restricted_mean(until).value == pytest.approx(restricted_mean_survival_time(theirs, t=until))


@pytest.mark.parametrize("seed", range(10))
def test_log_rank_of_two_and_of_many(seed: int) -> None:
    from lifelines.statistics import multivariate_logrank_test

    groups = [drawn(seed + 100 * each, n=12 + each) for each in range(3)]
    for some in (groups[:2], groups):
        theirs = multivariate_logrank_test(
            np.concatenate([each.time for each in some]),
            np.repeat(np.arange(len(some)), [each.n for each in some]),
            np.concatenate([each.event for each in some]),
        )
        ours = log_rank(some)
        assert ours.statistic == pytest.approx(theirs.test_statistic, rel=1e-6)
        assert ours.p == pytest.approx(theirs.p_value, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("family", ["log-normal", "weibull"])
@pytest.mark.parametrize("seed", range(5))
def test_accelerated_failure(seed: int, family: str) -> None:
    rng = np.random.default_rng(seed)
    x, z = np.repeat([0.0, 1.0, 2.0], 20), rng.standard_normal(60)
    times = 10 * np.exp(0.5 * x - 0.2 * z + 0.4 * rng.standard_normal(60))
    runs = Durations.of(np.minimum(times, 40), times < 40)
    fitter, location, log_scale = {
        "log-normal": (lifelines.LogNormalAFTFitter(), "mu_", "sigma_"),
        "weibull": (lifelines.WeibullAFTFitter(), "lambda_", "rho_"),
    }[family]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = fitter.fit(pd.DataFrame({"t": runs.time, "e": runs.event, "x": x, "z": z}), "t", "e")
    ours = accelerated_failure({"x": x, "z": z}, runs, family=family)
    for name in ("x", "z"):
        estimate, summary = ours.coefficients[name], theirs.summary.loc[(location, name)]
        assert estimate.value == pytest.approx(summary["coef"], abs=1e-3)
        # Theirs are Wald's intervals: alike, not equal.
        width = summary["coef upper 95%"] - summary["coef lower 95%"]
        assert estimate.high - estimate.low == pytest.approx(width, rel=0.1)
    sigma = np.exp(theirs.summary.loc[(log_scale, "Intercept"), "coef"] * (1 if family == "log-normal" else -1))
    assert ours.scatter == pytest.approx(sigma, rel=1e-3)
    assert ours.log_likelihood - runs.log_time()[runs.event].sum() == pytest.approx(theirs.log_likelihood_, abs=1e-2)


def test_separation_which_lifelines_does_not_say() -> None:
    """Its Weibull fit gives a huge standard error and a probability near 1; ours one end and a small probability."""
    times = 1000 * np.exp(0.3 * np.random.default_rng(0).standard_normal(10))
    group = np.repeat([0.0, 1.0], 10)
    runs = Durations.of([*times, *[3000] * 10], [True] * 10 + [False] * 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lifelines.WeibullAFTFitter().fit(pd.DataFrame({"t": runs.time, "e": runs.event, "g": group}), "t", "e")
    assert theirs.summary.loc[("lambda_", "g"), "p"] > 0.5
    ours = accelerated_failure({"g": group}, runs, family="weibull")
    assert ours.separated == ("g",)
    assert ours.p["g"] < 1e-6
