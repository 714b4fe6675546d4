"""The order parameter of a cell: its mean, its spread and its Binder cumulant, with intervals that hold with few runs too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import stdtrit

from interp.errors import UsageError
from interp.studies.durations import FEW, Estimate, NotBounded, cells, checked_level, numbers

# Of statistics of all runs or all but one, one per row -> a scale without ends, on which the scatter is more nearly normal; back.
_Scale = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class OrderCell:
    """The order parameter m of the runs of one size and one value of the axis.

    Args:
        size: such as p.
        x: the value of the axis.
        mean: <m>.
        variance: ``sum (m - <m>)^2 / (n - 1)``, without bias; it is largest where runs go either way.
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
    values = np.asarray(m, dtype=np.float64)
    fourth, second = (values**4).mean(-1), (values**2).mean(-1)
    return 1 - np.divide(fourth, 3 * second**2, out=np.full(np.shape(second), np.nan), where=second > 0)


def order_cells(x: object, size: object, m: object, *, level: float = 0.95) -> list[OrderCell]:
    """The order parameter of every cell of size and x, in ascending order.

    The interval of the mean is Student's. Those of the others are Student's around ``ln variance`` and ``ln(2/3 - U)``, with
    the standard error of the jackknife, n - 1 degrees of freedom (Miller 1974, Biometrika 61, 1): percentiles of resampled runs
    are too narrow, since no resample scatters more than the runs do. An end is None where leaving out one run leaves no scatter.

    Args:
        x: the value of the axis, for each run.
        size: such as p, for each run.
        m: the order parameter of each run, 0 without order: for accuracies ``(accuracy - 1/p) / (1 - 1/p)``.
        level: of the intervals.

    Raises:
        UsageError: for no runs, unequal lengths, values that are not finite, or a level that is not between 0 and 1.

    >>> (cell,) = order_cells([0.3] * 4, [59] * 4, [0.1, 0.2, 0.4, 0.9])
    >>> round(cell.mean.value, 3), round(cell.variance.low, 3), round(cell.variance.value, 3)
    (0.4, 0.001, 0.127)
    """
    level, n = checked_level(level), len(np.atleast_1d(np.asarray(m)))
    if not n:
        raise UsageError("m: given no runs, expected the order parameter of at least one")
    at, sizes, order = numbers("x", x, n), numbers("size", size, n), numbers("m", m, n)
    return [
        OrderCell(
            float(sizes[rows[0]]), float(at[rows[0]]), _mean(order[rows], level=level),
            _jackknifed("the variance", _variance, order[rows], (np.log, np.exp), level=level),
            _jackknifed("the Binder cumulant", binder_cumulant, order[rows], _BELOW_ITS_LIMIT, level=level),
            len(rows) < FEW,
        )
        for rows in cells(sizes, at, n=n)
    ]  # fmt: skip


def _mean(m: np.ndarray, *, level: float) -> Estimate | NotBounded:
    n, value = len(m), float(m.mean())
    if n == 1:
        return NotBounded("the mean", "there is one run")
    error = float(stdtrit(n - 1, (1 + level) / 2) * m.std(ddof=1) / np.sqrt(n))
    known = np.ptp(m) > 0
    return Estimate(value, value - error if known else None, value + error if known else None, level, n, n < FEW)


def _variance(m: np.ndarray) -> np.ndarray:
    return np.var(m, axis=-1, ddof=1) if m.shape[-1] > 1 else np.zeros(m.shape[:-1])


# U is at most 2/3, as <m^4> is at least <m^2>^2.
_BELOW_ITS_LIMIT: _Scale = (lambda u: np.log(np.maximum(2 / 3 - u, 0.0)), lambda y: 2 / 3 - np.exp(y))


def _jackknifed(
    name: str, statistic: Callable[[np.ndarray], np.ndarray], m: np.ndarray, scale: _Scale, *, level: float
) -> Estimate | NotBounded:
    n, value = len(m), float(statistic(m))
    if not np.isfinite(value):
        return NotBounded(name, "the order parameter of every run is 0")
    if n == 1:
        return NotBounded(name, "there is one run")
    without_one = np.stack([np.delete(m, run) for run in range(n)])
    onto, back = scale
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, each = float(onto(np.asarray(value))), onto(statistic(without_one))
        error = float(stdtrit(n - 1, (1 + level) / 2) * np.sqrt((n - 1) * each.var()))
        low, high = sorted(float(back(np.asarray(middle + side * error))) for side in (-1, 1))
    # Rounding alone tells m that are equal apart.
    if not (np.isfinite([middle, error]).all() and error > 1e-9):
        return Estimate(value, None, None, level, n, n < FEW)
    return Estimate(value, low, high, level, n, n < FEW)
