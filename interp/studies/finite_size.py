"""Critical fractions over sizes: do their curves cross at one point, and can an exponent be quoted? Usually it cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtri, gammaincc

from interp.studies.critical import CriticalPoint, critical_point, outcomes
from interp.studies.durations import Estimate, NotBounded, cells, fewest, numbers, positive
from interp.studies.logistic import fit_logistic
from interp.studies.resampling import RESAMPLES, checked_resamples, distinct_resamples, percentile_interval, resampled_weights

# Where 1/nu is looked for; and how wide its interval may be, as a part of its value, for it to be quoted.
EXPONENTS, WIDEST = (-3.0, 9.0), 0.5
SIZES, DOUBT = 3, 0.05


@dataclass(frozen=True)
class FiniteSize:
    """P(grok) along an axis, for several sizes.

    Args:
        critical: the critical point of each size by itself.
        crossings: of the curves of neighbouring sizes: both sizes and where they cross.
        exponent: 1/nu of ``logit P = A size^(1/nu) (x - x_c)``, one x_c for all sizes; an end that is None lies outside -3 to 9.
        common: that x_c.
        p_common: the probability of the lead of separate curves if the one law holds (likelihood ratio, chi squared).
        quotable: whether the exponent can be quoted.
        verdict: that, as a sentence with its reason.
        few: whether a cell has fewer than 10 runs.
    """

    critical: dict[float, CriticalPoint | NotBounded]
    crossings: tuple[tuple[float, float, Estimate | NotBounded], ...]
    exponent: Estimate | NotBounded
    common: Estimate | NotBounded
    p_common: float | None
    quotable: bool
    verdict: str
    few: bool


def finite_size(
    x: object, size: object, grokked: object, *, seed: int = 0, level: float = 0.95, resamples: int = RESAMPLES
) -> FiniteSize:
    """Critical points over sizes, crossings, the exponent of finite-size scaling, and a plain word on whether it can be quoted.

    At a continuous transition ``P(grok) = F(size^(1/nu) (x - x_c))``: the curves of all sizes cross at x_c and become steeper as
    size^(1/nu). F is taken as logistic. The exponent is quoted only if at least three sizes bound their critical points, one
    x_c describes them as well as separate ones do, and its interval (likelihood ratio) excludes 0 and is narrower than half its
    value.

    Args:
        x: the value of the axis, such as the fraction, for each run.
        size: such as p, above 0.
        grokked: whether it did within the budget; see `interp.studies.proportions.outcomes_within`.
        seed: of the resampling, for the crossings.
        level: of the intervals.
        resamples: how many.

    Raises:
        UsageError: for unequal lengths, sizes that are not above 0, outcomes that are not true or false, or a level that is not
            between 0 and 1.
    """
    happened = outcomes(grokked)
    n = len(happened)
    at, sizes = numbers("x", x, n), positive("size", size, n)
    rows = {float(sizes[some[0]]): some for some in cells(sizes, n=n)}
    # Searches have absolute tolerances: they are made in units of the axis' own spread, around its mean.
    middle, unit = float(at.mean()), float(np.std(at)) or 1.0
    scaled = (at - middle) / unit
    critical = {each: critical_point(at[some], happened[some], level=level) for each, some in rows.items()}
    few = fewest(cells(sizes, at, n=n))
    bounded = [each for each, point in critical.items() if isinstance(point, CriticalPoint)]

    def back(found: Estimate | NotBounded) -> Estimate | NotBounded:
        return found if isinstance(found, NotBounded) else found.rescaled(unit, middle)

    crossings = tuple(
        (one, two, back(_crossing([(scaled[rows[each]], happened[rows[each]]) for each in (one, two)], seed, level, resamples)))
        for one, two in pairwise(bounded)
    )
    if len(bounded) < SIZES:
        because = f"a critical value is bounded at {len(bounded)} sizes, and {SIZES} are needed"
        unknown = NotBounded("1/nu", because)
        return FiniteSize(critical, crossings, unknown, unknown, None, False, f"An exponent cannot be quoted: {because}.", few)
    kept = np.isin(sizes, bounded)
    exponent, common, p_common = _scaling(scaled[kept], sizes[kept], happened[kept], level=level, few=few)
    quotable, verdict = _verdict(exponent, p_common)
    return FiniteSize(critical, crossings, exponent, back(common), p_common, quotable, verdict, few)


def _scaling(
    x: np.ndarray, size: np.ndarray, happened: np.ndarray, *, level: float, few: bool
) -> tuple[Estimate, Estimate | NotBounded, float]:
    """1/nu, x_c on the axis that is given, and the probability of the lead of separate curves over the one law."""
    drop = float(chdtri(1, 1 - level)) / 2
    middle, typical = float(x.mean()), float(np.exp(np.log(size).mean()))
    # Runs of one cell with one outcome are one row.
    rows, counts = np.unique(np.stack([x, size, happened], axis=1), axis=0, return_counts=True)
    at, ratio, yes = rows[:, 0], rows[:, 1] / typical, rows[:, 2].astype(bool)

    def fit(exponent: float, centre: float | None = None) -> tuple[float, float]:
        steepness = ratio**exponent
        columns = [steepness * (at - middle), steepness] if centre is None else [steepness * (at - centre)]
        found = fit_logistic(np.stack(columns, axis=1), yes, weights=counts[None].astype(np.float64))
        slope, shift = found.beta[0, 0], found.beta[0, -1] if centre is None else 0.0
        return float(found.log_likelihood[0]), float(middle - shift / slope) if slope else middle

    grid = np.linspace(*EXPONENTS, 49)
    near = float(grid[int(np.argmax([fit(each)[0] for each in grid]))])
    best = _best(lambda e: fit(e)[0], near, reach=0.25)
    top, centre = fit(best)
    low, high = (_root(lambda e: top - fit(e)[0] - drop, best, end) for end in EXPONENTS)
    spread = float(np.ptp(x))

    def profile(value: float) -> float:
        return top - fit(_best(lambda e: fit(e, value)[0], best, reach=3.0), value)[0] - drop

    ends = [_root(profile, centre, centre + side * spread) for side in (-1, 1)]
    separate = sum(
        float(fit_logistic(np.stack([np.ones(len(some)), x[some] - middle], axis=1), happened[some]).log_likelihood[0])
        for some in cells(size, n=len(size))
    )
    freedom = 2 * len(np.unique(size)) - 3
    n = len(x)
    return (
        Estimate(best, low, high, level, n, few),
        Estimate(centre, ends[0], ends[1], level, n, few),
        float(gammaincc(freedom / 2, max(separate - top, 0.0))),
    )


def _best(value: Callable[[float], float], near: float, *, reach: float) -> float:
    """Where a function is largest, within reach of a point."""
    found = minimize_scalar(lambda at: -value(at), bounds=(near - reach, near + reach), method="bounded")
    return float(found.x)


def _root(excess: Callable[[float], float], inside: float, outside: float) -> float | None:
    """Where a function changes its sign between two points; None where it does not."""
    return float(brentq(excess, inside, outside, xtol=1e-9)) if excess(inside) < 0 < excess(outside) else None


def _verdict(exponent: Estimate, p_common: float) -> tuple[bool, str]:
    """Whether the exponent can be quoted, and the sentence that says so."""
    value, low, high = exponent.value or 0.0, exponent.low, exponent.high
    said = f"1/nu = {value:.2f} ({'below -3' if low is None else f'{low:.2f}'} to {'above 9' if high is None else f'{high:.2f}'})"
    if p_common < DOUBT:
        return False, f"An exponent cannot be quoted: the curves do not cross at one point (p = {p_common:.2g}); formally {said}."
    if low is None or high is None or low <= 0 <= high or high - low > WIDEST * abs(value):
        return False, f"An exponent cannot be quoted: the data leave {said}."
    return True, f"{said} can be quoted, for these sizes."


def _crossing(curves: list[tuple[np.ndarray, np.ndarray]], seed: int, level: float, resamples: int) -> Estimate | NotBounded:
    """Where two logistic curves have the same value."""
    rng, lines = np.random.default_rng(seed), []
    for x, happened in curves:
        drawn = resampled_weights(cells(x, n=len(x)), n=len(x), resamples=checked_resamples(resamples), rng=rng)
        weights = np.concatenate([np.ones((1, len(x))), drawn])
        beta = fit_logistic(np.stack([np.ones_like(x), x], axis=1), happened, weights=weights).beta
        runs_away = np.array([_is_separated(x[row > 0], happened[row > 0]) for row in weights])
        lines.append(np.where(runs_away[:, None], np.nan, beta))
    (a, k), (b, m) = lines[0].T, lines[1].T
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = (b - a) / (k - m)
    distinct = prod(distinct_resamples(cells(x, n=len(x)), happened) for x, happened in curves)
    what, n = "the crossing", sum(len(x) for x, _ in curves)
    few = min(fewest(cells(x, n=len(x))) for x, _ in curves)
    if not np.isfinite(draws[0]):
        return NotBounded(what, "P(grok) jumps from 0 to 1 between two neighbouring values, so the slope has no upper end")
    found = percentile_interval(what, float(draws[0]), draws[1:], level=level, n=n, few=few, freedom=n - 4, distinct=distinct)
    spread = max(float(x.max()) for x, _ in curves) - min(float(x.min()) for x, _ in curves)
    if isinstance(found, Estimate) and float(found.high or 0) - float(found.low or 0) > spread:
        return NotBounded(what, "its interval is wider than the range of x: the two curves are too nearly parallel")
    return found


def _is_separated(x: np.ndarray, happened: np.ndarray) -> bool:
    """Whether a value of x divides the outcomes, or there is one outcome only."""
    if happened.all() or not happened.any():
        return True
    yes, no = x[happened], x[~happened]
    return bool(yes.min() >= no.max() or yes.max() <= no.min())
