"""Runs with normal scatter gathered by cells, so that a fit costs what the cells are, not what the runs are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from interp.studies.durations import cells


@dataclass(frozen=True, eq=False)
class Rows:
    """Fewer rows with the same likelihood as the runs they were gathered from, for every set of weights.

    Args:
        x: the value of the axis.
        log_time: natural logarithms of the times, for each fit.
        event: True: seen at that time; False: later than that.
        weights: how often each row counts, for each fit.
    """

    x: Float64[np.ndarray, " row"]
    log_time: Float64[np.ndarray, "fit row"]
    event: Bool[np.ndarray, " row"]
    weights: Float64[np.ndarray, "fit row"]


def gathered(
    x: Float64[np.ndarray, " run"],
    log_time: Float64[np.ndarray, " run"],
    event: Bool[np.ndarray, " run"],
    weights: Float64[np.ndarray, "fit run"],
) -> Rows:
    """Gather the runs of each value of x.

    Normal densities see the events of a cell only by their number, mean and variance, and so does a pair of events at the mean
    plus and minus the standard deviation, each with half of the number. Runs censored at the same time count together.

    >>> rows = gathered(np.zeros(4), np.array([1.0, 2.0, 3.0, 9.0]), np.array([True, True, True, False]), np.ones((1, 4)))
    >>> rows.log_time.round(3).tolist(), rows.weights.tolist()
    ([[2.816, 1.184, 9.0]], [[1.5, 1.5, 1.0]])
    """
    at, times, counts, seen = [], [], [], []
    of_events, of_others = np.flatnonzero(event), np.flatnonzero(~event)
    for some in cells(x[of_events], n=len(of_events)) if len(of_events) else []:
        rows = of_events[some]
        w, y = weights[:, rows], log_time[rows]
        total = w.sum(1)
        centre = float(y.mean())
        mean = w @ (y - centre) / np.maximum(total, 1e-300)
        spread = np.sqrt(np.maximum(w @ (y - centre) ** 2 / np.maximum(total, 1e-300) - mean**2, 0.0))
        for side in (spread, -spread):
            at.append(x[rows[0]])
            times.append(centre + mean + side)
            counts.append(total / 2)
            seen.append(True)
    for some in cells(x[of_others], log_time[of_others], n=len(of_others)) if len(of_others) else []:
        rows = of_others[some]
        at.append(x[rows[0]])
        times.append(np.full(len(weights), log_time[rows[0]]))
        counts.append(weights[:, rows].sum(1))
        seen.append(False)
    return Rows(np.array(at), np.stack(times, axis=1), np.array(seen), np.stack(counts, axis=1))
