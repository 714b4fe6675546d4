"""The critical value of an axis: where half of the runs grok, with an interval that also exists where the change is abrupt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtri, entr

from interp.errors import UsageError
from interp.studies.durations import Estimate, NotBounded, cells, checked_level, fewest, numbers
from interp.studies.logistic import fit_logistic


@dataclass(frozen=True)
class CriticalPoint:
    """``P(grok) = 1 / (1 + exp(-k (x - x_c)))``. Prints as one line.

    Args:
        at: x_c; an end of its interval that would lie beyond all values of x is None.
        slope: k, negative where runs grok below x_c. None: every k up to infinity fits better than the last, because no run on
            one side did what those on the other do; then only one end exists.
        gap: the values next to the change where it is so abrupt, else None; x_c is then said to be halfway. Twice the same value:
            some of its runs grok, none on one side of it and all on the other.
        few: whether a value of x has fewer than 10 runs.
    """

    at: Estimate
    slope: Estimate
    gap: tuple[float, float] | None
    few: bool

    def __str__(self) -> str:
        value, low, high = ("?" if end is None else f"{end:.4g}" for end in (self.at.value, self.at.low, self.at.high))
        place, abrupt = f"at {value} ({low} to {high})", ""
        if self.gap:
            first, last = self.gap
            abrupt = f"; the change is abrupt, between {first:g} and {last:g}"
            if first == last:  # where exactly, beside this value, nothing tells
                ends = [f"above {low}" if self.at.low is not None else "", f"below {high}" if self.at.high is not None else ""]
                place = f"between {low} and {high}" if all(ends) else " ".join(filter(None, ends)) or f"about {value}"
                around = "none below it and all above" if self.slope.high is None else "all below it and none above"
                abrupt = f"; the change is abrupt: of the runs at {first:g} some grok, {around}"
        few = "; fewer than 10 runs at some values" if self.few else ""
        return f"one half {place}, by {self.at.n} runs{abrupt}{few}"


def critical_point(x: object, grokked: object, *, level: float = 0.95) -> CriticalPoint | NotBounded:
    """The value of an axis at which P(grok) is one half, by logistic regression.

    The interval is that of the likelihood ratio: every x_c at which the best likelihood, over all k, is within half a quantile of
    chi squared of the best. (Resampling cannot give one: where every run below a value fails and every run above succeeds, so
    it is in every resample, and the interval would have no width.)

    Args:
        x: one value for each run.
        grokked: whether it did within the budget. A run that was not seen for the whole budget and had not grokked has no
            outcome: finish it first, `outcomes_within` says which they are.
        level: of the intervals.

    Returns:
        The point, or `NotBounded`: all runs have one outcome, or P(grok) does not change along x by more than chance.

    Raises:
        UsageError: for unequal lengths, outcomes that are not true or false, or a level that is not between 0 and 1.

    >>> point = critical_point([0.2] * 10 + [0.3] * 10 + [0.4] * 10, [0] * 10 + [1, 0] * 5 + [1] * 10)
    >>> round(point.at.value, 6), 0.25 < point.at.low < 0.3 < point.at.high < 0.35
    (0.3, True)
    """
    happened, level = outcomes(grokked), checked_level(level)
    values = numbers("x", x, len(happened))
    if happened.all() or not happened.any():
        where = f"{values.min():g} to {values.max():g}"
        return NotBounded("the critical value", f"{'every run' if happened.all() else 'no run'} grokked from {where}")
    if len(np.unique(values)) < 2:
        return NotBounded("the critical value", f"all runs are at {values[0]:g}")
    # Searches have absolute tolerances: they are made in units of the axis' own spread, around its mean.
    middle, unit = float(values.mean()), float(np.std(values))
    gap, least, most = _gap(values, happened), *((end - middle) / unit for end in (values.min(), values.max()))
    profile = _Profile((values - middle) / unit, happened, float(chdtri(1, 1 - level)) / 2)
    groups = cells(values, n=len(values))
    few, n = fewest(groups), len(values)
    if profile.lead_over_none() < profile.drop:
        return NotBounded("the critical value", "the share of runs that grok does not change along x by more than chance")
    value = sum(profile.gap) / 2 if profile.gap else profile.centre
    if not least <= value <= most:
        side = "below" if (value < least) != profile.is_rising else "above"
        return NotBounded(
            "the critical value", f"the share of runs that grok stays {side} one half from {values.min():g} to {values.max():g}"
        )
    below, above = profile.ends(profile.excess_at, profile.centre, 1.0)
    # Beyond the values that there are runs at, the curve is a guess: there nothing bounds the point.
    below = None if below is None or below < least else below
    above = None if above is None or above > most else above
    # Of an abrupt change at a value where both outcomes occur the likelihood has its limit beside it, on one side.
    value = min(max(value, value if below is None else below), value if above is None else above)
    at = Estimate(value, below, above, level, n, few).rescaled(unit, middle)
    start = profile.steepness
    low, high = profile.ends(profile.excess_slope, start, max(abs(start), 1.0) / 4)
    if gap is not None:
        low, high = (low, None) if profile.is_rising else (None, high)
    slope = Estimate(None if gap else start, low, high, level, n, few).rescaled(1 / unit)
    return CriticalPoint(at, slope, gap, few)


def outcomes(grokked: object) -> Bool[np.ndarray, " run"]:
    """Outcomes as truth values.

    Raises:
        UsageError: if they are something else.
    """
    given = np.asarray(grokked)
    if given.ndim != 1 or not len(given) or (given.dtype != bool and not np.isin(given, (0, 1)).all()):
        raise UsageError(f"grokked: given {given!r}, expected one True or False for each run")
    return given.astype(bool)


class _Profile:
    """Log-likelihoods of logistic curves with one number held, along an axis of mean 0 and standard deviation 1."""

    def __init__(self, x: Float64[np.ndarray, " run"], happened: Bool[np.ndarray, " run"], drop: float) -> None:
        self.x, self.happened, self.drop = x, happened, drop
        best = fit_logistic(np.stack([np.ones_like(x), x], axis=1), happened)
        self.is_rising = bool(x[happened].mean() > x[~happened].mean())
        self.gap = _gap(x, happened)
        if self.gap is None:
            (intercept, slope), self.top = best.beta[0].tolist(), float(best.log_likelihood[0])
            self.centre, self.steepness = -intercept / (slope or np.inf), slope
        else:  # the maximum is a limit: only runs at a value where both outcomes occur cost anything
            at = happened[x == self.gap[0]] if self.gap[0] == self.gap[1] else happened[:0]
            self.top = -float(entr(at.mean()) + entr(1 - at.mean())) * len(at) if len(at) else 0.0
            nearest, sign = float(np.diff(np.unique(x)).min()), 1 if self.is_rising else -1
            # Where most runs of a value with both outcomes grok, x_c lies on that side of it, however near.
            side = sign * float(np.sign(at.mean() - 0.5)) if len(at) else 0.0
            self.centre, self.steepness = sum(self.gap) / 2 - 1e-3 * side * nearest, sign * 60 / nearest

    def lead_over_none(self) -> float:
        """Lead over a share that is everywhere the same."""
        none = fit_logistic(np.ones((len(self.x), 1)), self.happened)
        return float(self.top - none.log_likelihood[0])

    def excess_at(self, centre: float) -> float:
        """Above 0: x_c is not there."""
        held = fit_logistic((self.x - centre)[:, None], self.happened)
        return float(self.top - held.log_likelihood[0]) - self.drop

    def excess_slope(self, slope: float) -> float:
        """Above 0: k is not that."""
        sign, reach = np.where(self.happened, 1, -1), 20 / max(abs(slope), 1e-9)

        def loss(odds: float) -> float:  # convex in the log odds at the centre
            return float(np.logaddexp(0, -sign * (odds + slope * (self.x - self.centre))).sum())

        end = min(abs(slope) * (float(np.ptp(self.x)) + reach), 1e9)
        found = minimize_scalar(loss, bounds=(-end, end), method="bounded", options={"xatol": 1e-9})
        return self.top + min(float(found.fun), loss(0.0)) - self.drop

    def ends(self, excess: Callable[[float], float], centre: float, step: float) -> tuple[float | None, float | None]:
        """Where a profile has fallen by the drop, below and above its best."""
        found: list[float | None] = []
        for side in (-1.0, 1.0):
            inside, length, end = centre, side * step, None
            for _ in range(40):
                if excess(inside + length) > 0:
                    end = float(brentq(excess, inside, inside + length, xtol=1e-10))
                    break
                inside, length = inside + length, 2 * length
            found.append(end)
        return found[0], found[1]


def _gap(x: np.ndarray, happened: np.ndarray) -> tuple[float, float] | None:
    """The values between which every run changes its outcome, if they are separated."""
    low, high = (happened, ~happened) if x[happened].mean() < x[~happened].mean() else (~happened, happened)
    return (float(x[low].max()), float(x[high].min())) if x[low].max() <= x[high].min() else None
