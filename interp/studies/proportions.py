"""The share of runs that grok, with exact intervals, and what censored runs leave open."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from scipy.special import betaincinv

from interp.errors import UsageError
from interp.studies.durations import FEW, Durations, Estimate, checked_level
from interp.studies.survival import kaplan_meier


def exact_share(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """A share with the exact interval of Clopper and Pearson: at every true share it contains it at least as often as it says.

    Its ends are the shares at which so many successes or more, or so few or fewer, have probability ``(1 - level) / 2``:
    quantiles of Beta(k, n - k + 1) and Beta(k + 1, n - k). Source: Clopper and Pearson 1934, Biometrika 26, 404.

    Raises:
        UsageError: unless both are whole numbers, 0 <= successes <= n and n >= 1, and 0 < level < 1.

    >>> share = exact_share(0, 10)
    >>> share.value, share.low, round(share.high, 4)
    (0.0, 0.0, 0.3085)
    """
    if not (n >= 1 and 0 <= successes <= n and successes == int(successes) and n == int(n)):
        raise UsageError(
            f"share: given {successes} of {n}, expected whole numbers, at least one run and no more successes than runs"
        )
    tail = (1 - checked_level(level)) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Estimate(successes / n, low, high, level, n, n < FEW)


def grok_share(runs: Durations, *, within: float, level: float = 0.95) -> Estimate:
    """P(grok): the share of runs in which the event happens within a number of steps.

    Where every run was seen to that step, a count and `exact_share`. A run that was censored before is not left out: the value is
    ``1 - S(within)`` of the Kaplan-Meier curve, None where no run was seen for so long, and the interval reaches from the lower
    end if no such run would have had the event to the upper end if every one would.

    Args:
        within: steps; usually the budget.

    Raises:
        UsageError: if no run was seen to that step and none had the event; unless the steps are at least 0 and 0 < level < 1.

    >>> grok_share(Durations.of([100, 200, 500, 500], [1, 1, 0, 0]), within=500).value
    0.5
    """
    if not within >= 0:
        raise UsageError(f"share: given within = {within!r}, expected a number of steps, at least 0")
    checked_level(level)
    had = int((runs.event & (runs.time <= within)).sum())
    unknown = int((~runs.event & (runs.time < within)).sum())
    if unknown == 0:
        return exact_share(had, runs.n, level=level)
    if unknown == runs.n:
        raise UsageError(
            f"share: no run was seen for {within:g} steps; the longest was {runs.time.max():g}: give a smaller number of steps"
        )
    survives = kaplan_meier(runs, level=level).at(within).value
    low, high = exact_share(had, runs.n, level=level).low, exact_share(had + unknown, runs.n, level=level).high
    return Estimate(None if survives is None else 1 - survives, low, high, level, runs.n, runs.few)


def outcomes_within(runs: Durations, *, within: float) -> tuple[Bool[np.ndarray, " run"], Bool[np.ndarray, " run"]]:
    """Which runs had the event within a number of steps, and of which it is known: not of one censored before.

    >>> had, is_known = outcomes_within(Durations.of([100, 300, 500], [1, 0, 0]), within=400)
    >>> had.tolist(), is_known.tolist()
    ([True, False, False], [True, False, True])
    """
    return runs.event & (runs.time <= within), runs.event | (runs.time >= within)
