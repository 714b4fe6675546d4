"""Stray evaluations: a single measurement far beyond what lies before and after it is no level that was reached; numpy only.

The rule is this toolkit's own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64


def strays(values: Float64[np.ndarray, " step"], *, level: float, base: float) -> Bool[np.ndarray, " step"]:
    """Which measurements are stray: alone beyond half way from base to level, before the level was reached otherwise.

    Half way between base and level is far from the level. A stray measurement lies on the level's side of it; the one before and
    the two after it lie on the other. What follows is then longer than the visit itself. Neither of the last two is ever
    stray: whether they are confirmed is not known yet. Once the level was reached by a measurement that is not stray, there are
    dips, and no strays.

    Args:
        level: above `base` for a curve that rises to it, below for one that falls.
        base: where the curve comes from, such as its first value; `level` itself if it began there: no strays.

    >>> strays(np.array([0.0, 0.02, 1.0, 0.03, 0.03, 0.9, 1.0]), level=0.99, base=0.0).nonzero()[0].tolist()
    [2]
    """
    sign, found = np.sign(level - base), np.zeros(len(values), dtype=bool)
    beyond = sign * values > sign * (base + level) / 2
    found[1:-2] = beyond[1:-2] & ~beyond[:-3] & ~beyond[2:-1] & ~beyond[3:]
    reached = (sign * values >= sign * level) & ~found
    if sign == 0 or reached.any():
        found[int(reached.argmax()) if sign else 0 :] = False
    return found


def confirmed(values: Float64[np.ndarray, " step"], *, level: float, base: float) -> Float64[np.ndarray, " step"]:
    """The same curve with each stray measurement replaced by the one before it."""
    found = np.flatnonzero(strays(values, level=level, base=base))
    kept = values.copy()
    kept[found] = values[found - 1]
    return kept
