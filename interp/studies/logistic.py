"""Logistic regression of what happened and what did not, many fits at once, also where the two are perfectly separated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import expit, log_expit

STEPS, HALVINGS, TOLERANCE = 100, 30, 1e-9


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """Maxima of likelihood, one for each set of weights; of separated data their limit, from far along.

    Args:
        beta: coefficients of the log odds.
        log_likelihood: in nats.
    """

    beta: Float64[np.ndarray, "fit coefficient"]
    log_likelihood: Float64[np.ndarray, " fit"]


def fit_logistic(
    design: Float64[np.ndarray, "run coefficient"],
    happened: Bool[np.ndarray, " run"],
    *,
    weights: Float64[np.ndarray, "fit run"] | None = None,
) -> LogisticFit:
    """Maximize ``sum w (y ln P + (1 - y) ln(1 - P))``, ``P = 1 / (1 + exp(-X beta))``, for every row of weights.

    The log-likelihood is concave: Newton's steps, halved where they would lead down, end at its maximum, or within 1e-9 of what
    it tends to where coefficients run away.

    >>> fit = fit_logistic(np.ones((4, 1)), np.array([True, True, True, False]))
    >>> round(float(expit(fit.beta[0, 0])), 6)
    0.75
    """
    w = np.ones((1, len(happened))) if weights is None else weights
    sign = np.where(happened, 1.0, -1.0)
    scale = np.abs(design).max(axis=0)
    x = design / np.where(scale > 0, scale, 1.0)
    beta = np.zeros((len(w), design.shape[1]))

    def value(at: np.ndarray) -> np.ndarray:
        return (w * log_expit(sign * (at @ x.T))).sum(axis=1)

    for _ in range(STEPS):
        odds = beta @ x.T
        share = expit(odds)
        gradient = (w * (happened - share)) @ x
        hessian = (x.T * (w * share * (1 - share))[:, None, :]) @ x
        size = np.trace(hessian, axis1=1, axis2=2)[:, None, None]
        direction = np.linalg.solve(hessian + (1e-10 * size + 1e-14) * np.eye(x.shape[1]), gradient[:, :, None])[:, :, 0]
        is_done = (gradient * direction).sum(axis=1) < TOLERANCE
        before, length = value(beta), np.ones(len(w))
        for _ in range(HALVINGS):
            is_worse = ~(value(beta + length[:, None] * direction) >= before) & ~is_done
            if not is_worse.any():
                break
            length[is_worse] /= 2
        length[is_worse] = 0.0
        beta = beta + length[:, None] * direction
        if is_done.all():
            break
    return LogisticFit(beta / np.where(scale > 0, scale, 1.0), value(beta))
