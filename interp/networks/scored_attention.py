"""Attention over all pairs (a, b) from the scores of single tokens, where the last position is that of `=`. Numpy alone."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def odds_of(
    scores: Float[np.ndarray, "*more 2 p"],
) -> tuple[Float[np.ndarray, "*more 2 p"], Float[np.ndarray, "*more 2 p"]]:
    """r and c with which ordinary attention to a, and then to b, is 1 / (1 + exp(r_a + c_b)).

    Args:
        scores: of a and of b, less that of `=`.
    """
    a, b = scores[..., 0, :], scores[..., 1, :]
    with np.errstate(invalid="ignore"):  # of a checkpoint that is not finite
        return np.stack([-a, np.logaddexp(0, a)], axis=-2), np.stack([np.logaddexp(0, b), -b], axis=-2)


def attention_of(scores: Float[np.ndarray, "*more 2 p"], total: float) -> Float[np.ndarray, "*more 2 p p"]:
    """Attention to a and to b for all pairs.

    Args:
        scores: of a and of b, less that of `=`.
        total: the sum of attention over all three positions, 1 for ordinary attention.

    >>> attention_of(np.zeros((2, 1), dtype=np.float32), 0.75).tolist()  # all three places alike
    [[[0.25]], [[0.25]]]
    """
    rows, columns = odds_of(scores)
    rate = (3 - total) / 2  # total = rate + 3 (1 - rate)
    with np.errstate(over="ignore"):
        ordinary = 1 / (1 + np.exp(rows[..., :, None] + columns[..., None, :]))
    return ordinary if rate == 1 else (rate * ordinary + (1 - rate)).astype(scores.dtype)
