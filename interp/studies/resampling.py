"""Bootstrap weights that keep every cell at its size, and intervals from what was fitted to them."""

from __future__ import annotations

from math import comb, prod

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr, stdtrit

from interp.errors import UsageError
from interp.studies.durations import Estimate, NotBounded, cells
from interp.wording import counted

RESAMPLES = 1000
_MANY = 10**9


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
    weights = np.ones((resamples, n))
    for rows in drawn_together(groups):
        m = len(rows)
        counts = rng.multinomial(m - 1, np.full(m, 1 / m), size=resamples)
        weights[:, rows] = counts * (m / (m - 1))
    return weights


def drawn_together(groups: list[np.ndarray]) -> list[np.ndarray]:
    """The rows among which runs are drawn: cells, and all cells of one run together.

    >>> [rows.tolist() for rows in drawn_together([np.array([0, 1]), np.array([2]), np.array([3])])]
    [[0, 1], [2, 3]]
    """
    single = [rows for rows in groups if len(rows) == 1]
    return [rows for rows in groups if len(rows) > 1] + ([np.concatenate(single)] if len(single) > 1 else [])


def distinct_resamples(groups: list[np.ndarray], *facts: np.ndarray) -> int:
    """How many different resamples there are: runs of a cell that are alike in all that is known of them are interchangeable.
    Of more than a thousand million so many are counted.

    Args:
        groups: the rows of each cell.
        facts: of each run.

    >>> distinct_resamples([np.array([0, 1]), np.array([2, 3])], np.arange(4))
    4
    """
    kinds = [(len(rows), len(cells(*(fact[rows] for fact in facts), n=len(rows)))) for rows in drawn_together(groups)]
    return min(prod(comb(runs - 1 + of_them - 1, of_them - 1) for runs, of_them in kinds), _MANY)


def percentile_interval(
    what: str,
    value: float,
    draws: Float64[np.ndarray, " resample"],
    *,
    level: float,
    n: int,
    few: bool,
    freedom: int,
    distinct: int,
) -> Estimate | NotBounded:
    """A value with the percentiles of its resamples; `NotBounded` where so many failed (NaN) that the ends are unknown.

    So it is where fewer different resamples exist than an end needs for one of them to lie beyond it: with pairs of runs in 3
    cells they are 8, and their least and greatest held the truth in 69 to 80 % in place of 95.

    Percentiles are those of Student's t where a normal distribution would have the level: with few runs the scatter is known
    badly, and plain percentiles are too narrow (Hesterberg 2015, Amer. Statist. 69, 371, expanded percentiles).

    Args:
        what: named if it is not bounded.
        value: from the runs themselves.
        draws: from each resample.
        level: of the interval.
        n: number of runs.
        few: whether a cell has fewer than 10.
        freedom: degrees of freedom of the scatter that is resampled: runs less cells.
        distinct: resamples that there can be, see `distinct_resamples`.
    """
    tail = float(ndtr(-stdtrit(max(freedom, 1), (1 + level) / 2)))
    if distinct * tail < 1:
        ways = f"{counted(distinct, 'way')} only, too few for an interval: add runs at each value"
        return NotBounded(what, f"the runs can be resampled in {ways}")
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
