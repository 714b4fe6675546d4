"""Laws of the time to grok: planted ones lie within their intervals as often as these say; what is not bounded is declined."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import gammaincc

from interp.errors import UsageError
from interp.studies.durations import Durations, NotBounded
from interp.studies.law_fit import FORMULAS, Law
from interp.studies.laws import fraction_law, modulus_law, weight_decay_law
from interp.studies.resampling import distinct_resamples

GUIDE = Path(__file__).parents[1] / "docs" / "studies-statistics.md"
Planted = tuple[np.ndarray, Durations]


def censored(times: np.ndarray, budget: float) -> Durations:
    return Durations.of(np.minimum(times, budget), times < budget)


def scattered(rng: np.random.Generator, median: np.ndarray, sigma: float) -> np.ndarray:
    return median * np.exp(sigma * rng.standard_normal(len(median)))


def decays(rng: np.random.Generator, *, n: int = 10, b: float = 1.0, budget: float = 12_000) -> Planted:
    x = np.repeat([0.3, 0.5, 1.0, 2.0, 3.0], n)
    return x, censored(scattered(rng, 4000 * x**-b, 0.3), budget)


def fractions(rng: np.random.Generator, *, n: int = 10, f_c: float = 0.25, b: float = 1.5, budget: float = 20_000) -> Planted:
    x = np.repeat([0.2, 0.28, 0.3, 0.33, 0.38, 0.45, 0.55, 0.7], n)
    return x, censored(scattered(rng, FORMULAS["a (f - f_c)^-b"]({"a": 300.0, "f_c": f_c, "b": b}, x), 0.25), budget)


def moduli(rng: np.random.Generator, *, n: int = 12, p_c: float = 23.0, budget: float = 4000) -> Planted:
    x = np.repeat([29.0, 31, 37, 43, 53, 67, 83, 101], n)
    return x, censored(scattered(rng, FORMULAS["-omega ln(1 - p_c / p)"]({"omega": 2770.0, "p_c": p_c}, x), 0.2), budget)


CASES: list[tuple[Callable[..., Planted], Callable[..., Law | NotBounded], dict[str, float]]] = [
    (decays, weight_decay_law, {"a": 4000.0, "b": 1.0, "a if b = 1": 4000.0}),
    (fractions, fraction_law, {"a": 300.0, "f_c": 0.25, "b": 1.5}),
    (moduli, modulus_law, {"omega": 2770.0, "p_c": 23.0}),
]
NAMES = ["weight decay", "fraction", "modulus"]


def coverage(case: tuple, simulations: int, resamples: int) -> dict[str, float]:
    """How often the intervals hold the truth; a law that is declined counts as a miss."""
    plant, law, truth = case
    inside = dict.fromkeys(truth, 0)
    for seed in range(simulations):
        x, runs = plant(np.random.default_rng(seed))
        found = law(x, runs, seed=seed, resamples=resamples)
        for name, value in truth.items():
            inside[name] += isinstance(found, Law) and found.parameters[name].low <= value <= found.parameters[name].high
    return {name: count / simulations for name, count in inside.items()}


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_planted_laws_lie_within_their_intervals(case: tuple) -> None:
    found = coverage(case, 200 if case[0] is decays else 80, 150)
    assert min(found.values()) >= 0.88, found  # 95 % less three standard errors of 80


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_intervals_hold_the_truth_as_often_as_they_say(case: tuple) -> None:
    found = coverage(case, 1000, 400)
    assert min(found.values()) >= 0.92, found


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_many_runs_find_the_law(case: tuple) -> None:
    plant, law, truth = case
    x, runs = plant(np.random.default_rng(1), n=120)
    assert 0.01 < 1 - runs.events / runs.n < 0.6
    found = law(x, runs, resamples=100)
    for name, value in truth.items():
        assert found.parameters[name].value == pytest.approx(value, rel=0.1)
    assert not found.few
    known = np.isfinite(found.residual)
    assert found.scatter == pytest.approx({decays: 0.3, fractions: 0.25, moduli: 0.2}[plant], rel=0.05)
    assert found.residual[known & runs.event].std() <= found.scatter * 1.02


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_same_seed_gives_the_same_intervals(case: tuple) -> None:
    x, runs = case[0](np.random.default_rng(2))
    first, again, other = (case[1](x, runs, seed=seed, resamples=100) for seed in (0, 0, 1))
    assert first.parameters == again.parameters
    assert first.parameters != other.parameters
    for name, estimate in first.parameters.items():
        assert other.parameters[name].value == pytest.approx(estimate.value, rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_units_of_time_change_only_the_factor(case: tuple) -> None:
    x, runs = case[0](np.random.default_rng(3))
    first, second = (case[1](x, Durations(runs.time * unit, runs.event), resamples=100) for unit in (1.0, 25.0))
    factors = {"a", "a if b = 1", "omega"}
    for name, estimate in first.parameters.items():
        assert second.parameters[name].value == pytest.approx(estimate.value * (25 if name in factors else 1), rel=1e-4)
    np.testing.assert_allclose(second.time(x[-3:]), 25 * first.time(x[-3:]), rtol=1e-4)


def test_a_run_that_never_grokked_counts_as_later_not_as_its_budget() -> None:
    """Left out, or taken as if it had grokked at its budget, it bends the exponent."""
    errors = []
    for seed in range(40):
        x, runs = decays(np.random.default_rng(seed), budget=9000)
        found = weight_decay_law(x, runs, resamples=100)
        as_if = -np.polyfit(np.log(x), runs.log_time(), 1)[0]
        left_out = -np.polyfit(np.log(x[runs.event]), runs.log_time()[runs.event], 1)[0]
        errors.append([found.parameters["b"].value - 1, as_if - 1, left_out - 1])
    ours, as_if, left_out = np.mean(errors, axis=0)
    assert abs(ours) < 0.02
    assert as_if < -0.05
    assert left_out < -0.05


def test_whether_the_exponent_is_one_is_tested() -> None:
    rejected = [0, 0]
    for seed in range(100):
        for which, b in enumerate((1.0, 0.7)):
            found = weight_decay_law(*decays(np.random.default_rng(seed), b=b, budget=30_000), resamples=100)
            rejected[which] += found.tests["b = 1"] < 0.05
    assert rejected[0] <= 11
    assert rejected[1] >= 95
    assert gammaincc(0.5, 3.841459 / 2) == pytest.approx(0.05, abs=1e-6)


def test_below_the_critical_fraction_it_is_never() -> None:
    x, runs = fractions(np.random.default_rng(0))
    found = fraction_law(x, runs, resamples=100)
    assert found.time([0.1, 0.2])[0] == np.inf
    assert np.isneginf(found.residual[x == 0.2]).all()
    assert not runs.event[x == 0.2].any()


# Declined


def without_critical_fraction(rng: np.random.Generator) -> Law | NotBounded:
    x = np.repeat([0.3, 0.4, 0.5, 0.6, 0.8], 10)
    return fraction_law(x, censored(scattered(rng, 500 * x**-1.5, 0.25), 1e6), resamples=100)


def far_above_the_critical_modulus(rng: np.random.Generator) -> Law | NotBounded:
    x = np.repeat([97.0, 113.0, 131.0, 149.0], 10)
    return modulus_law(x, censored(scattered(rng, -2770 * np.log1p(-5 / x), 0.2), 1e6), resamples=100)


@pytest.mark.parametrize(
    ("fit", "reason"),
    [
        (without_critical_fraction, "f_c of T against the fraction: not bounded by these data, because its interval, 0"),
        (far_above_the_critical_modulus, "omega of tau against the modulus: not bounded by these data, because its interval, "),
    ],
)
def test_what_the_data_do_not_bound_is_declined_as_often_as_intervals_say(
    fit: Callable[[np.random.Generator], Law | NotBounded], reason: str
) -> None:
    """A power of the fraction has no critical one; far above a critical modulus only its product with omega acts."""
    found = [fit(np.random.default_rng(seed)) for seed in range(20)]
    declined = [str(each) for each in found if isinstance(each, NotBounded)]
    assert len(declined) >= 18
    assert all(each.startswith(reason) and each.endswith("is too wide") for each in declined)


@pytest.mark.parametrize(("law", "needed"), [(weight_decay_law, 3), (fraction_law, 4), (modulus_law, 3)])
def test_too_few_values_are_declined(law: Callable[..., Law | NotBounded], needed: int) -> None:
    x = np.repeat(np.linspace(0.3, 0.9, needed), 10)
    times = scattered(np.random.default_rng(0), 1000 / x, 0.2)
    never = x == x.max()
    found = law(x, Durations.of(times, ~never), resamples=100)
    assert isinstance(found, NotBounded)
    assert f"events were seen at {needed - 1} " in str(found)
    assert f"and {needed} are needed" in str(found)


def test_below_its_critical_value_a_law_says_never_without_a_warning() -> None:
    k, x = {"omega": 2770.0, "p_c": 23.0, "a": 1.0, "f_c": 23.0, "b": 1.0}, np.array([22.0, 23.0, 46.0])
    with np.errstate(all="raise"):
        assert FORMULAS["-omega ln(1 - p_c / p)"](k, x).tolist() == [np.inf, np.inf, pytest.approx(2770 * np.log(2))]
        assert FORMULAS["a (f - f_c)^-b"](k, x).tolist() == [np.inf, np.inf, pytest.approx(1 / 23)]


def test_one_value_with_events_is_one() -> None:
    x = np.repeat([0.3, 0.5, 0.7], 10)
    found = fraction_law(x, Durations.of(np.full(30, 500.0) + np.arange(30), x > 0.6), resamples=100)
    assert "events were seen at 1 of the fractions, and 4 are needed" in str(found)


def test_other_reasons_to_decline() -> None:
    x = np.repeat([0.5, 1.0, 2.0], 10)
    assert "without scatter" in str(weight_decay_law(x, Durations.of(1000 / x, x > 0), resamples=100))
    assert "0 weight decays" in str(weight_decay_law(x, Durations.of(1000 / x, x < 0), resamples=100))
    four = np.repeat([0.3, 0.4, 0.5, 0.6], 10)
    for scatter in (0.0, 1e-6):
        times = scattered(np.random.default_rng(0), 300 * (four - 0.25) ** -1.5, scatter)
        assert "or by less than 0.01 %" in str(fraction_law(four, Durations.of(times, four > 0), resamples=100))
        times = scattered(np.random.default_rng(0), 1000 / x, scatter)
        assert "or by less than 0.01 %" in str(weight_decay_law(x, Durations.of(times, x > 0), resamples=100))
    near = np.repeat([1.0, 1.01, 1.02], 4)
    found = weight_decay_law(near, censored(scattered(np.random.default_rng(0), 1000 / near, 0.3), 1e6), resamples=100)
    assert "too wide" in str(found)


@pytest.mark.parametrize("law", [weight_decay_law, fraction_law, modulus_law])
def test_a_law_of_a_handful_of_runs_is_fitted_or_declined(law: Callable[..., Law | NotBounded]) -> None:
    """Resamples in which no event is left, or none below a critical value, are no error."""
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 20))
        x = rng.choice(rng.uniform(0.1, 1, rng.integers(3, 7)), n)
        times = np.exp(rng.uniform(0.05, 2) * rng.standard_normal(n))
        found = law(x, censored(times, float(np.quantile(times, rng.uniform(0.3, 1)))), resamples=100)
        if isinstance(found, Law):
            assert all(each.low <= each.high for each in found.parameters.values())


@pytest.mark.parametrize(("values", "seeds", "ways"), [(3, 2, 8), (4, 2, 16), (6, 2, 64), (7, 2, None), (3, 3, None)])
def test_intervals_need_enough_different_resamples(values: int, seeds: int, ways: int | None) -> None:
    """The least and greatest of 8 resamples of pairs held the truth in 69 to 80 % in place of 95."""
    x = np.repeat(2.0 ** np.arange(values), seeds)
    found = weight_decay_law(x, censored(scattered(np.random.default_rng(1), 4000 / x, 0.3), 1e6), resamples=100)
    assert isinstance(found, Law) == (ways is None)
    assert ways is None or f"can be resampled in {ways} ways only" in str(found)


def test_events_at_one_step_are_alike_on_the_grid_only() -> None:
    """Where all runs of a value are alike, or were last seen at one step, nothing can be resampled."""
    x = np.repeat([1.0, 2.0, 4.0], 3)
    times = np.array([4000.0, 4000, 3500, 2300, 1900, 2100, 900, 1100, 1000])
    tied = weight_decay_law(x, Durations.of(times, times > 0), resamples=200)
    assert isinstance(tied, Law)
    without_scatter = np.where(x == 1, 4000, times)
    assert "resampled in 36 ways only" in str(weight_decay_law(x, Durations.of(without_scatter, times > 0), resamples=100))
    at_the_end = Durations.of(times, times < 4000)
    assert "resampled in 108 ways only" in str(weight_decay_law(x, at_the_end, resamples=100))
    cells_without = Durations.of(np.repeat([4000.0, 2100, 900], 3), times > 0)
    assert "resampled in 1 way only" in str(weight_decay_law(x, cells_without, resamples=100))


def test_a_grid_of_measurements_takes_no_laws_away() -> None:
    x, laws = np.repeat([1.0, 2.0, 4.0], 3), 0
    for seed in range(40):
        times = np.ceil(scattered(np.random.default_rng(seed), 4000 / x, 0.3) / 25) * 25
        laws += isinstance(weight_decay_law(x, censored(times, 1e6), resamples=100), Law)
    assert laws == 40


def test_runs_that_are_alike_make_no_further_resamples() -> None:
    groups, rows = [np.arange(3), np.arange(3, 6), np.array([6]), np.array([7])], np.arange(8)
    assert distinct_resamples(groups, rows) == 6 * 6 * 2
    assert distinct_resamples(groups, np.array([0, 0, 0, 1, 1, 0, 5, 5])) == 3  # of the second cell 0, 1 or 2 of the other kind
    assert distinct_resamples(groups[:1], rows, np.zeros(8)) == 6


def test_few_runs_are_said() -> None:
    found = weight_decay_law(*decays(np.random.default_rng(0), n=9), resamples=100)
    assert found.few
    assert all(estimate.few for estimate in found.parameters.values())
    assert not weight_decay_law(*decays(np.random.default_rng(0), n=10), resamples=100).few


def test_the_example_of_the_guide_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(example, GUIDE.name, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert "few=False" in lines[0]


@pytest.mark.parametrize("law", [weight_decay_law, fraction_law, modulus_law])
def test_bad_input_is_refused(law: Callable[..., object]) -> None:
    runs = Durations.of([10, 20, 30], [1, 1, 1])
    for x, message in (([1, 2], "each of 3 runs"), ([1, 2, 0], "above 0"), ([1, 2, -1], "above 0"), ([1, 2, np.nan], "finite")):
        with pytest.raises(UsageError, match=message):
            law(x, runs)
    with pytest.raises(UsageError, match="at least 100"):
        law([1, 2, 3], runs, resamples=10)
    with pytest.raises(UsageError, match="given a time of 0"):
        law([1, 2, 3], Durations.of([0, 20, 30], [1, 1, 1]))


def test_a_law_prints_as_one_line() -> None:
    w = np.repeat([0.5, 1.0, 2.0, 4.0], 12)
    time = 4000 / w * np.exp(0.3 * np.random.default_rng(0).standard_normal(len(w)))
    found = weight_decay_law(w, Durations.of(time, np.ones(len(w), dtype=bool)))
    assert isinstance(found, Law)
    assert str(found).startswith("T = a w^-b: a = ")
    assert "48 runs, 48 with the event" in str(found)
    assert "\n" not in str(found)
