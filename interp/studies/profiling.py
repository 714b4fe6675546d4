"""Fits with one parameter that is not linear: the best value of it for every row of weights, by a search along the profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from interp.studies.censored_fit import Fit, fit_censored

COARSE, GOLDEN = 16, 14
RATIO = (5**0.5 - 1) / 2

# From the nonlinear parameter of every fit, (fit, 1): regressors, what is subtracted from log T, which runs have a time.
Bent = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class ProfiledFit:
    """The best fits, one for each set of weights.

    Args:
        bend: the nonlinear parameter.
        fit: the others.
    """

    bend: Float64[np.ndarray, " fit"]
    fit: Fit


def fit_bent(
    log_time: Float64[np.ndarray, "*fit run"],
    event: Bool[np.ndarray, " run"],
    bent: Bent,
    *,
    weights: Float64[np.ndarray, "fit run"],
    ends: tuple[Float64[np.ndarray, " fit"], Float64[np.ndarray, " fit"]],
) -> ProfiledFit:
    """Maximize the likelihood over the linear parameters at every value of the nonlinear one, and then over that.

    A run to which the law gives no time (below a critical value: it never happens) must be censored, and then agrees with it.

    Args:
        log_time: natural logarithms of the times, or one row of them for each fit.
        event: True: seen at that time.
        bent: what the nonlinear parameter makes of the runs.
        weights: how often each run counts, for each fit.
        ends: of the search, for each fit.
    """

    def fitted(bend: np.ndarray, near: Fit | None = None) -> Fit:
        regressors, offset, is_timed = bent(bend[:, None])
        return fit_censored(log_time - offset, event, regressors, weights=weights * is_timed, near=near)

    low, high = ends
    grid = low + (high - low) * np.linspace(0, 1, COARSE)[:, None]
    fits: list[Fit] = []
    for bend in grid:
        fits.append(fitted(bend, fits[-1] if fits else None))
    likelihood = np.stack([fit.log_likelihood for fit in fits])
    best, each = likelihood.argmax(axis=0), np.arange(len(low))
    left, right = grid[np.maximum(best - 1, 0), each], grid[np.minimum(best + 1, COARSE - 1), each]
    a, b = right - RATIO * (right - left), left + RATIO * (right - left)
    last = fitted(a, fits[COARSE // 2])
    at_a, at_b = last.log_likelihood, fitted(b, last).log_likelihood
    for _ in range(GOLDEN):
        goes_left = at_a >= at_b
        left, right = np.where(goes_left, left, a), np.where(goes_left, b, right)
        new = np.where(goes_left, right - RATIO * (right - left), left + RATIO * (right - left))
        last = fitted(new, last)
        at_new = last.log_likelihood
        a, b = np.where(goes_left, new, b), np.where(goes_left, a, new)
        at_a, at_b = np.where(goes_left, at_new, at_b), np.where(goes_left, at_a, at_new)
    bend = (left + right) / 2
    return ProfiledFit(bend, fitted(bend, last))
