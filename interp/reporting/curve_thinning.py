"""Curves with no more points than can be seen: a point goes if the straight line between those that stay passes it closely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def thinned(steps: np.ndarray, values: np.ndarray, *, tolerance: float) -> np.ndarray:
    """Which points of a curve stay, as indices: the first, the last, and so many that no other is further from the line
    between its neighbours that stay than a tolerance.

    One pass: from the last point that stays, the slopes are kept that pass all later ones closely enough; where none is left,
    the point before stays too. (The doors of Bristol 1990, "Swinging door trending", held to what is left out.)

    Args:
        steps: ascending.
        values: finite, as they are drawn: logarithms on a logarithmic axis.
        tolerance: in the units of the values.

    >>> thinned(np.arange(5), np.array([0.0, 0, 0, 1, 1]), tolerance=0.01).tolist()
    [0, 2, 3, 4]
    """
    x: Sequence[float] = steps.tolist()
    y: Sequence[float] = values.tolist()
    if len(x) < 3:
        return np.arange(len(x))
    kept, start = [0], 0
    low, high = -np.inf, np.inf
    for i in range(1, len(x)):
        run = x[i] - x[start]
        slope = (y[i] - y[start]) / run
        if not low <= slope <= high:
            start = i - 1
            kept.append(start)
            run = x[i] - x[start]
            low, high = (y[i] - y[start] - tolerance) / run, (y[i] - y[start] + tolerance) / run
            continue
        low, high = max(low, slope - tolerance / run), min(high, slope + tolerance / run)
    kept.append(len(x) - 1)
    return np.array(kept)
