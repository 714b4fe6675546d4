"""Bootstrap weights that keep every cell at its size, and intervals from what was fitted to them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr, stdtrit

from interp.errors import UsageError
from interp.studies.durations import Estimate, NotBounded

RESAMPLES = 1000


def resampled_weights(
    groups: list[np.ndarray], *, n: int, resamples: int, rng: np.random.Generator
) -> Float64[np.ndarray, "resample run"]:
    """How often each run counts in each resample, drawn within cells.

    From a cell of m runs m - 1 are drawn with replacement and count ``m / (m - 1)``: so the variance of a cell's mean is right;
    drawing m would make it too small by (m - 1) / m, half of it for pairs (Rao and Wu 1988, J. Amer. Statist. Assoc. 83, 231).
    Cells of one run are drawn from together.

    Args:
        groups: the rows of each cell.
        n: number of runs.
        resamples: how many.
        rng: where the draws come from.
    """
    single = [rows for rows in groups if len(rows) == 1]
    weights = np.ones((resamples, n))
    for rows in [rows for rows in groups if len(rows) > 1] + ([np.concatenate(single)] if len(single) > 1 else []):
        m = len(rows)
        counts = rng.multinomial(m - 1, np.full(m, 1 / m), size=resamples)
        weights[:, rows] = counts * (m / (m - 1))
    return weights


def percentile_interval(
    what: str, value: float, draws: Float64[np.ndarray, " resample"], *, level: float, n: int, few: bool, freedom: int
) -> Estimate | NotBounded:
    """A value with the percentiles of its resamples; `NotBounded` where so many failed (NaN) that the ends are unknown.

    Percentiles are those of Student's t where a normal distribution would have the level: with few runs the scatter is known
    badly, and plain percentiles are too narrow (Hesterberg 2015, Amer. Statist. 69, 371, expanded percentiles).

    Args:
        what: named if it is not bounded.
        value: from the runs themselves.
        draws: from each resample.
        level: of the interval.
        n: number of runs.
        few: whether a cell has fewer than 10.
        freedom: degrees of freedom: events less fitted parameters.
    """
    tail = float(ndtr(-stdtrit(max(freedom, 1), (1 + level) / 2)))
    failed = int((~np.isfinite(draws)).sum())
    if failed > tail * len(draws):
        return NotBounded(what, f"{failed} of {len(draws)} resamples of the runs have no best value for it")
    low, high = np.nanquantile(np.where(np.isfinite(draws), draws, np.nan), [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high), level, n, few)


def checked_resamples(resamples: int) -> int:
    """The number, if it is enough for the ends of an interval.

    Raises:
        UsageError: for fewer than 100.
    """
    if resamples < 100:
        raise UsageError(f"resamples: given {resamples}, expected at least 100: an interval's ends are the outer 2.5 % of them")
    return resamples
