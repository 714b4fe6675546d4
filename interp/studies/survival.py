"""The Kaplan-Meier curve: how many runs have not grokked yet, step by step, with runs that were not seen to the end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, isnan

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import ndtri

from interp.errors import UsageError
from interp.studies.durations import Durations, Estimate, checked_level

QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class SurvivalCurve:
    """Kaplan and Meier's estimate: S(t), the share of runs in which the event has not happened by step t.

    Args:
        time: the steps at which events happened, ascending; S falls there and is 1 before the first.
        at_risk: runs seen to that step without the event before it. A run censored at the same step is one of them.
        events: events at that step.
        survival: S from that step on.
        low: lower ends of pointwise intervals.
        high: upper ends.
        last: the last step at which a run was seen; nothing is said about later ones.
        level: of the intervals.
        n: number of runs.
        few: whether they are fewer than 10.
        exact: S as fractions, by which quantiles are decided: "half of the runs" is a count, not a rounded product.
        looks: the last step at which each run was seen without the event, or that of its event.
    """

    time: Float64[np.ndarray, " event"]
    at_risk: Int64[np.ndarray, " event"]
    events: Int64[np.ndarray, " event"]
    survival: Float64[np.ndarray, " event"]
    low: Float64[np.ndarray, " event"]
    high: Float64[np.ndarray, " event"]
    last: float
    level: float
    n: int
    few: bool
    exact: tuple[Fraction, ...]
    looks: Float64[np.ndarray, " run"]

    def at(self, step: float) -> Estimate:
        """S at a step, with its interval; None after the last step at which a run was seen.

        Before the first event the lower end is that of the exact interval of none of the runs that were seen for so long.

        Raises:
            UsageError: if the step is no number.
        """
        if isnan(step):
            raise UsageError("curve: given nan, expected a step")
        row = int(np.searchsorted(self.time, step, side="right")) - 1
        if step > self.last and (not self.exact or self.exact[-1] > 0):
            return Estimate(None, None, None, self.level, self.n, self.few)
        if row < 0:
            low = self._before_events(int((self.looks >= step).sum()))
            return Estimate(1.0, low, 1.0, self.level, self.n, self.few)
        return Estimate(float(self.survival[row]), float(self.low[row]), float(self.high[row]), self.level, self.n, self.few)

    def quantile(self, share: float = 0.5) -> Estimate:
        """The first step at which at least a share of the runs have had the event; None: not reached.

        Where exactly the share has had it, it is reached. The interval are the steps at which the intervals of S contain 1 -
        share (Brookmeyer and Crowley 1982, Biometrics 38, 29); an end that the curve does not reach is None. So is the lower end
        where that holds from the beginning: of up to 5 runs none can have had the event by a step although half of all would
        (95 %), and of up to 12 although a quarter would.

        Args:
            share: 0.5, the median; 0.25 and 0.75, the quartiles.

        Raises:
            UsageError: unless 0 < share < 1.
        """
        if not 0 < share < 1:
            raise UsageError(f"quantile: given {share}, expected a share between 0 and 1")
        remaining = 1 - Fraction(share).limit_denominator(10**6)
        value = self._first(np.array([exact <= remaining for exact in self.exact], dtype=bool))
        low, high = self._lower_end(float(remaining)), self._first(self.high <= float(remaining))
        return Estimate(value, low, high, self.level, self.n, self.few)

    def _lower_end(self, remaining: float) -> float | None:
        """The first step from which on the interval of S reaches down to a share; None: it does so from the beginning, or never.

        Before the first event it grows where runs are seen for the last time: by the exact interval of none of those that stay.
        """
        until = float(self.time[0]) if len(self.time) else self.last
        looks = np.unique(np.append(self.looks, 0.0))
        for step in looks[looks < until]:
            if self._before_events(int((self.looks > step).sum())) <= remaining:
                return float(step) or None
        return self._first(self.low <= remaining)

    def _before_events(self, watched: int) -> float:
        """The lower end of S while none of so many runs has had the event."""
        return float(((1 - self.level) / 2) ** (1 / watched))

    def restricted_mean(self, until: float) -> Estimate:
        """The mean of min(T, until): the area under S up to a step.

        Variance ``sum_i A_i^2 d_i / (n_i (n_i - d_i))`` with A_i the area from step t_i on (Klein and Moeschberger 2003, section
        4.5). None if no run was seen to that step. Where no event before it has runs left after it the variance is 0, which says
        nothing of the scatter: both ends are None.

        Raises:
            UsageError: unless the step is a finite number above 0.
        """
        if not (isfinite(until) and until > 0):
            raise UsageError(f"restricted mean: given {until!r}, expected a finite number of steps above 0")
        if until > self.last and (not self.exact or self.exact[-1] > 0):
            return Estimate(None, None, None, self.level, self.n, self.few)
        kept = self.time < until
        edges = np.concatenate([[0.0], self.time[kept], [until]])
        areas = np.concatenate([[1.0], self.survival[kept]]) * np.diff(edges)
        after, remain = np.cumsum(areas[::-1])[::-1][1:], (self.at_risk - self.events)[kept]
        shares = np.divide(self.events[kept], self.at_risk[kept] * remain, out=np.zeros(len(after)), where=remain > 0)
        error = _z(self.level) * float(np.sqrt((after**2 * shares).sum()))
        mean = float(areas.sum())
        if error == 0:
            return Estimate(mean, None, None, self.level, self.n, self.few)
        return Estimate(mean, max(mean - error, 0.0), min(mean + error, until), self.level, self.n, self.few)

    def _first(self, holds: np.ndarray) -> float | None:
        rows = np.flatnonzero(holds)
        return float(self.time[rows[0]]) if len(rows) else None


def kaplan_meier(runs: Durations, *, level: float = 0.95) -> SurvivalCurve:
    """The Kaplan-Meier curve of one cell: ``S(t) = prod_{t_i <= t} (1 - d_i / n_i)``.

    Intervals are those of ``log(-log S)`` with Greenwood's variance ``sum d_i / (n_i (n_i - d_i))``, so that they stay between
    0 and 1 (Kalbfleisch and Prentice 2002, section 1.4). Where S = 0 the variance does not exist: the lower end is 0, the upper
    one that of the step before.

    Args:
        runs: steps of an event, or of the last look at a run without it.
        level: of the intervals.

    Raises:
        UsageError: unless 0 < level < 1.

    >>> curve = kaplan_meier(Durations.of([100, 200, 300, 400], [1, 1, 0, 1]))
    >>> curve.time.tolist(), curve.survival.tolist()
    ([100.0, 200.0, 400.0], [0.75, 0.5, 0.0])
    >>> curve.quantile(0.5).value
    200.0
    """
    times, events = np.unique(runs.time[runs.event], return_counts=True)
    at_risk = runs.n - np.searchsorted(np.sort(runs.time), times, side="left")
    exact, product = [], Fraction(1)
    for n_i, d_i in zip(at_risk.tolist(), events.tolist(), strict=True):
        product *= Fraction(n_i - d_i, n_i)
        exact.append(product)
    survival = np.array([float(value) for value in exact])
    low, high = _log_log_interval(survival, at_risk, events, _z(level))
    return SurvivalCurve(
        time=times, at_risk=at_risk.astype(np.int64), events=events.astype(np.int64), survival=survival, low=low, high=high,
        last=float(runs.time.max()), level=level, n=runs.n, few=runs.few, exact=tuple(exact), looks=runs.time,
    )  # fmt: skip


def _log_log_interval(
    survival: np.ndarray, at_risk: np.ndarray, events: np.ndarray, z: float
) -> tuple[Float64[np.ndarray, " event"], Float64[np.ndarray, " event"]]:
    some = survival > 0
    low, high = np.zeros(len(survival)), np.ones(len(survival))
    terms = events[some] / (at_risk[some] * (at_risk[some] - events[some]))
    # S^(exp(-z se)) and S^(exp(z se)), se of log(-log S).
    spread = np.exp(z * np.sqrt(np.cumsum(terms)) / -np.log(survival[some]))
    low[some], high[some] = survival[some] ** spread, survival[some] ** (1 / spread)
    if not some.all() and some.any():
        high[~some] = high[some][-1]
    return low, high


def _z(level: float) -> float:
    """The normal quantile of a two-sided interval."""
    return float(ndtri((1 + checked_level(level)) / 2))
