"""Maximum likelihood of log times that are linear in something, with runs that were not seen to the end, many fits at once.

``log T = X beta + sigma eps``: eps standard normal (T is log-normal), or the logarithm of an exponential (T is Weibull). A run
with the event contributes the density, a censored one the probability of lasting longer. In ``gamma = 1 / sigma`` and
``delta = beta / sigma`` (Olsen 1978, Econometrica 46, 1211) both log-likelihoods are concave, so that Newton's steps lead to
the only maximum from anywhere. A few numbers each, many at once: hundreds of resamples are one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import log_ndtr

# A value, its slope and its curvature at every z.
Jet = tuple[np.ndarray, np.ndarray, np.ndarray]
STEPS, HALVINGS, TOLERANCE = 60, 30, 1e-9
# Times that scatter by less, one step in 10,000, do not scatter as far as steps tell: what is left is how they were rounded.
LEAST_SCATTER = 1e-4


def _normal_density(z: np.ndarray) -> Jet:
    return -(z**2) / 2 - np.log(2 * np.pi) / 2, -z, -np.ones_like(z)


def _normal_survival(z: np.ndarray) -> Jet:
    survival = log_ndtr(-z)
    hazard = np.exp(-(z**2) / 2 - np.log(2 * np.pi) / 2 - survival)
    return survival, -hazard, -hazard * (hazard - z)


def _gumbel_density(z: np.ndarray) -> Jet:
    risk = np.exp(np.minimum(z, 50.0))
    return z - risk, 1 - risk, -risk


def _gumbel_survival(z: np.ndarray) -> Jet:
    risk = np.exp(np.minimum(z, 50.0))
    return -risk, -risk, -risk


# The distribution of times -> density and survival of eps.
FAMILIES: dict[str, tuple[Callable[[np.ndarray], Jet], Callable[[np.ndarray], Jet]]] = {
    "log-normal": (_normal_density, _normal_survival),
    "weibull": (_gumbel_density, _gumbel_survival),
}


def without_scatter(what: str, around: str) -> str:
    """Why no interval is known of times that scatter by less than `LEAST_SCATTER`."""
    least = f"{100 * LEAST_SCATTER:g} %"
    return f"the {what} do not scatter around {around}, or by less than {least}, and without scatter there are no intervals"


# The median of eps: the median of T is exp(X beta + sigma median).
MEDIANS = {"log-normal": 0.0, "weibull": float(np.log(np.log(2)))}


@dataclass(frozen=True, eq=False)
class Fit:
    """Maxima of likelihood, one for each set of weights.

    Args:
        beta: coefficients.
        sigma: scatter of log T.
        log_likelihood: of log T, at the maximum.
        converged: whether it is one; False where the likelihood grows for ever (sigma shrinks to 0, or a coefficient runs away).
    """

    beta: Float64[np.ndarray, "fit coefficient"]
    sigma: Float64[np.ndarray, " fit"]
    log_likelihood: Float64[np.ndarray, " fit"]
    converged: Bool[np.ndarray, " fit"]

    def start(self, problem: _Problem) -> np.ndarray:
        """The same fits as a beginning for another problem; least scatter where they had none."""
        gamma = 1 / np.maximum(self.sigma, 1e-3)
        theta = np.concatenate([self.beta * gamma[:, None], gamma[:, None]], axis=1)
        fresh = _start(-problem.design[:, :, :-1], problem.design[:, :, -1], problem.weights)
        is_usable = self.converged & np.isfinite(problem.value(theta))
        return np.where(is_usable[:, None], theta, fresh)


def fit_censored(
    log_time: Float64[np.ndarray, "*fit run"],
    event: Bool[np.ndarray, " run"],
    regressors: Float64[np.ndarray, "*fit run coefficient"],
    *,
    weights: Float64[np.ndarray, "fit run"] | None = None,
    family: str = "log-normal",
    near: Fit | None = None,
) -> Fit:
    """Fit ``log T = X beta + sigma eps`` for every row of weights.

    Args:
        log_time: natural logarithms of the times, or one row of them for each fit.
        event: True: seen at that time; False: later than that.
        regressors: X, or one for each fit.
        weights: how often each run counts, for each fit; 1 by default.
        family: ``log-normal`` or ``weibull``.
        near: fits of nearly the same problem, to begin from: it saves steps and changes nothing else.

    >>> times, seen = np.log([100.0, 200.0, 400.0]), np.array([True, True, True])
    >>> fit = fit_censored(times, seen, np.ones((3, 1)))
    >>> bool(np.isclose(np.exp(fit.beta[0, 0]), 200)), round(float(fit.sigma[0]), 4)  # the root of the mean square
    (True, 0.566)
    """
    w = np.ones((1, len(event))) if weights is None else weights
    fits, runs, k = len(w), len(event), regressors.shape[-1]
    y = np.broadcast_to(log_time, (fits, runs))
    x = np.broadcast_to(regressors, (fits, runs, k))
    problem = _Problem(np.concatenate([-x, y[:, :, None]], axis=2), event, w, family)
    theta = _start(x, y, w) if near is None else near.start(problem)
    for _ in range(STEPS):
        theta, is_done = problem.step(theta)
        if is_done.all():
            break
    gamma = theta[:, -1]
    return Fit(theta[:, :-1] / gamma[:, None], 1 / gamma, problem.value(theta), is_done)


def _start(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Least squares, as if every time were an event."""
    k = x.shape[2]
    gram = np.einsum("br,brk,brl->bkl", w, x, x) + 1e-9 * np.eye(k)
    beta = np.linalg.solve(gram, np.einsum("br,brk,br->bk", w, x, y)[:, :, None])[:, :, 0]
    residual = y - np.einsum("brk,bk->br", x, beta)
    gamma = 1 / np.sqrt((w * residual**2).sum(1) / np.maximum(w.sum(1), 1e-9) + 1e-4)
    return np.concatenate([beta * gamma[:, None], gamma[:, None]], axis=1)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The log-likelihood as a function of theta = (delta, gamma): z = A theta."""

    design: Float64[np.ndarray, "fit run theta"]
    event: Bool[np.ndarray, " run"]
    weights: Float64[np.ndarray, "fit run"]
    family: str

    def jet(self, theta: np.ndarray) -> Jet:
        """Log-likelihood of each run, with slope and curvature in z."""
        z = (self.design @ theta[:, :, None])[:, :, 0]
        density, survival = FAMILIES[self.family]
        found = (np.empty_like(z), np.empty_like(z), np.empty_like(z))
        for of, rows in ((density, self.event), (survival, ~self.event)):
            for whole, part in zip(found, of(z[:, rows]), strict=True):
                whole[:, rows] = part
        return found

    def value(self, theta: np.ndarray) -> np.ndarray:
        """Log-likelihood of each fit; minus infinity where gamma is not positive."""
        gamma = theta[:, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (self.weights * self.jet(theta)[0]).sum(1) + (self.weights @ self.event) * np.log(gamma)
        return np.where((gamma > 0) & np.isfinite(found), found, -np.inf)

    def step(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One of Newton's steps, halved until it does not lead down, and where there was nothing left to gain."""
        value, slope, curvature = self.jet(theta)
        gamma, seen = theta[:, -1], self.weights @ self.event
        turned = self.design.transpose(0, 2, 1)
        gradient = (turned @ (self.weights * slope)[:, :, None])[:, :, 0]
        gradient[:, -1] += seen / gamma
        hessian = (turned * (self.weights * curvature)[:, None, :]) @ self.design
        hessian[:, -1, -1] -= seen / gamma**2
        size = np.trace(hessian, axis1=1, axis2=2)[:, None, None]
        direction = np.linalg.solve(hessian + (1e-12 * size - 1e-12) * np.eye(theta.shape[1]), -gradient[:, :, None])[:, :, 0]
        gain = (gradient * direction).sum(1)
        before = (self.weights * value).sum(1) + seen * np.log(gamma)
        is_done = np.abs(gain) < TOLERANCE  # a difference that rounding hides is not looked for
        length = np.ones(len(theta))
        for _ in range(HALVINGS):
            is_worse = ~(self.value(theta + length[:, None] * direction) >= before) & ~is_done
            if not is_worse.any():
                break
            length[is_worse] /= 2
        length[is_worse] = 0.0
        moved = theta + length[:, None] * direction
        return np.where(moved[:, -1:] > 0, moved, theta), is_done
