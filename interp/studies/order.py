"""The order parameter of a cell: its mean, its spread and its Binder cumulant, with intervals from resampled runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from interp.studies.durations import FEW, Estimate, NotBounded, cells, checked_level, numbers
from interp.studies.resampling import RESAMPLES, checked_resamples, percentile_interval, resampled_weights


@dataclass(frozen=True)
class OrderCell:
    """The order parameter m of the runs of one size and one value of the axis.

    Args:
        size: such as p.
        x: the value of the axis.
        mean: <m>.
        variance: <m^2> - <m>^2 over runs; it is largest where runs go either way.
        binder: ``1 - <m^4> / (3 <m^2>^2)``: 2/3 where all runs agree on |m| > 0, 0 for normal scatter around 0.
        few: whether there are fewer than 10 runs.
    """

    size: float
    x: float
    mean: Estimate | NotBounded
    variance: Estimate | NotBounded
    binder: Estimate | NotBounded
    few: bool


def binder_cumulant(m: Float64[np.ndarray, "*fit run"]) -> Float64[np.ndarray, "*fit"]:
    """``U = 1 - <m^4> / (3 <m^2>^2)`` over the last axis. Source: Binder 1981, Z. Phys. B 43, 119. NaN where every m is 0.

    >>> float(binder_cumulant(np.array([1.0, 1.0, 1.0])).round(4))
    0.6667
    """
    return _binder(np.asarray(m, dtype=np.float64), np.ones(np.shape(m)[-1]))


def order_cells(
    x: object, size: object, m: object, *, seed: int = 0, level: float = 0.95, resamples: int = RESAMPLES
) -> list[OrderCell]:
    """The order parameter of every cell of size and x, in ascending order.

    Args:
        x: the value of the axis, for each run.
        size: such as p, for each run.
        m: the order parameter of each run, 0 without order: for accuracies ``(accuracy - 1/p) / (1 - 1/p)``.
        seed: of the resampling.
        level: of the intervals.
        resamples: how many.

    Raises:
        UsageError: for unequal lengths, or values that are not finite.
    """
    level, values = checked_level(level), np.asarray(m, dtype=np.float64)
    n = len(values) if values.ndim else 0
    at, sizes, order = numbers("x", x, n), numbers("size", size, n), numbers("m", m, n)
    rng, found = np.random.default_rng(seed), []
    for rows in cells(sizes, at, n=n):
        some = order[rows]
        drawn = resampled_weights([np.arange(len(some))], n=len(some), resamples=checked_resamples(resamples), rng=rng)
        weights = np.concatenate([np.ones((1, len(some))), drawn])
        mean = weights @ some / weights.sum(1)
        draws = {
            "the mean": mean,
            "the variance": np.maximum(weights @ some**2 / weights.sum(1) - mean**2, 0.0),
            "the Binder cumulant": _binder(some, weights),
        }
        few = len(some) < FEW
        alike = bool(np.ptp(some) == 0)  # then so are all resamples, which bound nothing
        each = [_estimate(name, values_, level=level, n=len(some), few=few, alike=alike) for name, values_ in draws.items()]
        found.append(OrderCell(float(sizes[rows[0]]), float(at[rows[0]]), each[0], each[1], each[2], few))
    return found


def _estimate(name: str, draws: np.ndarray, *, level: float, n: int, few: bool, alike: bool) -> Estimate | NotBounded:
    if not np.isfinite(draws[0]):
        return NotBounded(name, "the order parameter of every run is 0")
    if n == 1:
        return NotBounded(name, "there is one run")
    if alike:
        return Estimate(float(draws[0]), None, None, level, n, few)
    return percentile_interval(name, float(draws[0]), draws[1:], level=level, n=n, few=few, freedom=n - 1)


def _binder(m: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(-1)
    fourth, second = (m**4 * weights).sum(-1) / total, (m**2 * weights).sum(-1) / total
    return 1 - np.divide(fourth, 3 * second**2, out=np.full(np.shape(second), np.nan), where=second > 0)
