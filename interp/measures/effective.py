"""How many frequencies a matrix is spread over, as one number; numpy only."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from interp.errors import UsageError


def effective_number(norms: ArrayLike) -> Float64[np.ndarray, "*batch"]:
    """The effective number of parts, N = (sum_k e_k)^2 / sum_k e_k^2, of energies e_k = norms_k^2 along the last axis.

    m equal parts give N = m exactly; one part gives 1, and N never exceeds the number of parts. It does not depend on scale.
    Parts are those of any harmonics: frequencies of `embedding_spectrum`, or what `Harmonics.norms` of another group returns.
    The weights of a network that is about to grok lose theirs at a nearly constant relative rate all along the plateau
    (docs/forecast.md). In other fields it is called participation ratio, or the inverse of Simpson's or Herfindahl's index.

    Returns:
        N for each row; NaN where all norms are 0 or one is NaN.

    Raises:
        UsageError: for a negative norm, or an array without a last axis.

    >>> effective_number([[2.0, 2.0, 0.0, 2.0], [5.0, 0.0, 0.0, 0.0]]).tolist()
    [3.0, 1.0]
    """
    values = np.asarray(norms, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise UsageError(f"norms: given shape {values.shape}, expected the norm of at least one part along the last axis")
    if (values < 0).any():
        raise UsageError(f"norms: given {np.nanmin(values):g}, expected none to be negative")
    largest = values.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 and inf / inf are NaN, as said above
        energy = np.square(values / largest)
        return np.asarray(np.square(energy.sum(axis=-1)) / np.square(energy).sum(axis=-1))
