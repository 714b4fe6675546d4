"""Where the next runs tell most about the value of an axis at which half of the runs grok."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.special import betaln, expit, log_expit, logsumexp

from interp.errors import UsageError
from interp.studies.critical import outcomes
from interp.studies.durations import FEW, Estimate, checked_level, numbers

POINTS, SLOPES = 401, 13
FINEST = 0.01

# Why runs do not say that there is a boundary in the range.
Doubt = Literal["none grok", "all grok", "reversed", "constant"]


@dataclass(frozen=True, eq=False)
class BoundarySearch:
    """What is believed about x_c and k of ``P(grok) = 1 / (1 + exp(-k (x - x_c)))``, on a grid of both.

    Beforehand every x_c of the range is equally likely, and every factor of k, from a change over the whole range to one over a
    hundredth of it. A value; `after` gives the next one.

    Args:
        low: lower end of the axis.
        high: upper end.
        falling: True where runs grok below x_c.
        log_belief: logarithm of the belief, up to a constant: the log-likelihood of the runs.
        log_reversed: the same, if runs grokked on the other side of x_c.
        n: runs so far.
        grokked: how many of them did.
    """

    low: float
    high: float
    falling: bool
    log_belief: Float64[np.ndarray, "point slope"]
    log_reversed: Float64[np.ndarray, "point slope"]
    n: int
    grokked: int

    @cached_property
    def points(self) -> Float64[np.ndarray, " point"]:
        """The grid of x_c."""
        return np.linspace(self.low, self.high, POINTS)

    @cached_property
    def slopes(self) -> Float64[np.ndarray, " slope"]:
        """The grid of k: from 4, over which P goes from .12 to .88 along the range, to 100 times that."""
        size = np.geomspace(4, 400, SLOPES) / (self.high - self.low)
        return -size if self.falling else size

    @cached_property
    def belief(self) -> Float64[np.ndarray, "point slope"]:
        """Probabilities of the grid."""
        likely = np.exp(self.log_belief - self.log_belief.max())
        return likely / likely.sum()

    def after(self, x: object, grokked: object) -> BoundarySearch:
        """The belief after further runs.

        Args:
            x: where each was.
            grokked: whether it did within the budget. One that was not seen for the whole budget has no outcome yet: finish it
                first.

        Raises:
            UsageError: for unequal lengths, values outside the range, or outcomes that are not true or false.
        """
        happened = outcomes(grokked)
        at = numbers("x", x, len(happened))
        if at.min() < self.low or at.max() > self.high:
            raise UsageError(f"x: given {at.min():g}..{at.max():g}, expected {self.low:g}..{self.high:g}")
        odds = self.slopes * (at[:, None, None] - self.points[:, None])
        sign = np.where(happened, 1, -1)[:, None, None]
        return replace(
            self,
            log_belief=self.log_belief + log_expit(sign * odds).sum(axis=0),
            log_reversed=self.log_reversed + log_expit(-sign * odds).sum(axis=0),
            n=self.n + len(at),
            grokked=self.grokked + int(happened.sum()),
        )

    @property
    def doubt(self) -> Doubt | None:
        """Why the runs do not say that there is an x_c in the range: the belief takes that for granted. None if they do.

        All of them grok, or none; or the runs are better explained, by their marginal likelihoods, by an x_c with the sides
        ``reversed``, or by a ``constant`` P(grok), of which every value is equally likely beforehand: B(grokked + 1, others + 1).
        """
        if not self.n:
            return None
        if self.grokked in (0, self.n):
            return "all grok" if self.grokked else "none grok"
        own, other = (float(logsumexp(each)) - np.log(each.size) for each in (self.log_belief, self.log_reversed))
        constant = float(betaln(self.grokked + 1, self.n - self.grokked + 1))
        if own >= max(other, constant):
            return None
        return "reversed" if other >= constant else "constant"

    def boundary(self, *, level: float = 0.95) -> Estimate:
        """x_c: the median of the belief and its central interval.

        Raises:
            UsageError: unless 0 < level < 1.
        """
        tail = (1 - checked_level(level)) / 2
        belief = self.belief.sum(axis=1)
        total = np.cumsum(belief) - belief / 2  # each point stands for the values around it
        low, value, high = (float(np.interp(share, total, self.points)) for share in (tail, 0.5, 1 - tail))
        return Estimate(value, low, high, level, self.n, self.n < FEW)

    def is_found(self, *, width: float, level: float = 0.95) -> bool:
        """Whether the runs say that there is an x_c in the range, and its interval is at most so wide.

        Raises:
            UsageError: as `is_narrow`.
        """
        return self.is_narrow(width=width, level=level) and self.doubt is None

    def is_narrow(self, *, width: float, level: float = 0.95) -> bool:
        """Whether the interval of x_c is at most so wide, if there is an x_c in the range; not before there are runs.

        Raises:
            UsageError: for a width that the grid of x_c does not resolve (narrow the range then), or a level that is not between
                0 and 1.
        """
        if not width >= FINEST * (self.high - self.low):
            raise UsageError(
                f"width: given {width:g}, expected at least {FINEST * (self.high - self.low):g}, a hundredth of the range; "
                "narrow the range for a finer one"
            )
        found = self.boundary(level=level)
        return self.n > 0 and float(found.high or 0.0) - float(found.low or 0.0) <= width


def boundary_search(low: float, high: float, *, falling: bool = False) -> BoundarySearch:
    """A search for the x_c between two ends, nothing known.

    Args:
        low: lower end of the axis; take logarithms of an axis that acts by factors.
        high: upper end.
        falling: True where runs grok below x_c.

    Raises:
        UsageError: unless low < high, both finite.

    >>> search = boundary_search(0.1, 0.9)
    >>> search.after([0.2, 0.4, 0.6], [False, False, True]).boundary().value > 0.4
    True
    """
    if not (np.isfinite([low, high]).all() and low < high):
        raise UsageError(f"range: given {low!r} to {high!r}, expected two finite numbers, the smaller first")
    nothing = np.zeros((POINTS, SLOPES))
    return BoundarySearch(float(low), float(high), falling, nothing, nothing, 0, 0)


def next_points(search: BoundarySearch, n: int = 1, *, among: Sequence[float] | None = None) -> list[float]:
    """Where to put the next n runs: those whose outcomes tell most about x_c.

    A run at x tells ``H(y) - E[H(y | x_c)]`` nats (mutual information) under the belief, k averaged out. Of several, each is
    chosen
    as if those before had come out as far as expected: their log-likelihoods are weighted by the chances of either outcome. The
    points depend on the belief alone, so that the same call after the same runs gives the same points.

    Args:
        search: what is believed.
        n: how many.
        among: the values that can be had, such as primes; by default any of 81 even steps of the range.

    Raises:
        UsageError: for n below 1 or values outside the range.

    Source: expected information, Lindley 1956, Ann. Math. Statist. 27, 986; for a threshold of unknown slope, Kontsevich and
    Tyler 1999, Vision Research 39, 2729.

    >>> next_points(boundary_search(0, 1))
    [0.5]
    """
    values = np.linspace(search.low, search.high, 81) if among is None else np.asarray(among, dtype=np.float64)
    if n < 1 or not len(values) or not (values.min() >= search.low and values.max() <= search.high):
        raise UsageError(
            f"next points: given {n} of {len(values)} values, expected at least one of values in {search.low:g}..{search.high:g}"
        )
    odds, shares = _table(search.low, search.high, search.falling, tuple(values.tolist()))
    chosen, believed = [], search
    for _ in range(n):
        best = int(np.argmax(_information(shares, believed.belief)))
        chosen.append(float(values[best]))
        expected = float((shares[best] * believed.belief).sum())
        gained = expected * log_expit(odds[best]) + (1 - expected) * log_expit(-odds[best])
        believed = replace(believed, log_belief=believed.log_belief + gained)
    return chosen


@lru_cache(maxsize=4)
def _table(low: float, high: float, falling: bool, values: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Log odds and chances of a run at each value, for every x_c and k: the same from call to call of one search."""
    search = boundary_search(low, high, falling=falling)
    odds = search.slopes * (np.array(values)[:, None, None] - search.points[:, None])
    return odds, expit(odds)


def _information(
    shares: Float64[np.ndarray, "value point slope"], belief: Float64[np.ndarray, "point slope"]
) -> Float64[np.ndarray, " value"]:
    """Nats about x_c in the outcome of a run at each value."""
    marginal = belief.sum(axis=1)
    given = np.einsum("vps,ps->vp", shares, belief) / np.maximum(marginal, 1e-300)
    return _entropy(given @ marginal) - _entropy(given) @ marginal


def _entropy(share: np.ndarray) -> np.ndarray:
    inside = np.clip(share, 1e-15, 1 - 1e-15)
    return -inside * np.log(inside) - (1 - inside) * np.log1p(-inside)
