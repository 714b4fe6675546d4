"""Sums of units over the lines of the grid of all pairs, in one pass: all that shares and fits of degree 2 need of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from interp.cores import torch_threads
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.grid import LINES, Line, line_index
from interp.measures.checks import check_grid

# Numbers processed at a time: about as many as a core's second-level cache holds.
BLOCK = 2**19


@dataclass(frozen=True, eq=False)
class LineSums:
    """What shares and fits need of units: their means, and relative to them their energies and their sums over lines.

    Args:
        mean: of each unit over all p^2 pairs.
        energy: sum of squares about the mean.
        lines: for ``a``, ``b``, ``sum`` (a + b) and ``difference`` (a - b), modulo p: the sum over the p pairs of each value.
        dead: whether a unit is constant over all pairs (up to the rounding of its precision).
    """

    mean: Float[Tensor, " unit"]
    energy: Float64[Tensor, " unit"]
    lines: dict[Line, Float[Tensor, "p unit"]]
    dead: Bool[Tensor, " unit"]


@torch_threads(1)
def line_sums(x: Float[Tensor, "pair unit"], *, harmonics: CyclicHarmonics) -> LineSums:
    """The sums of units over the lines of the grid of all pairs, in one pass over them, in their precision.

    Raises:
        UsageError: if x does not have a row for each row of the harmonics.

    >>> from interp.harmonics import addition
    >>> sums = line_sums(torch.arange(9.0)[:, None], harmonics=addition(3))
    >>> sums.lines["sum"].flatten().tolist()  # about the mean, over the pairs with a + b = 0, 1, 2
    [0.0, 0.0, 0.0]
    """
    check_grid(x, harmonics, "units")
    p, units = harmonics.n, x.shape[1]
    step = max(1, BLOCK // max(1, p * units))
    of_a, of_b, of_sum, of_difference = (x.new_zeros(p, units) for _ in LINES)
    along_sum, along_difference = (line_index(p, line).to(x.device).reshape(p, p) for line in ("sum", "difference"))
    energy = torch.zeros(units, dtype=torch.float64, device=x.device)
    grid, buffer = x.reshape(p, p, units), x.new_empty(min(step, p), p, units)
    for some in (slice(start, min(start + step, p)) for start in range(0, p, step)):
        # About the mean of each a nothing cancels, and the sums over all other lines miss the same number each.
        torch.mean(grid[some], 1, out=of_a[some])
        block = torch.sub(grid[some], of_a[some, None], out=buffer[: some.stop - some.start])
        of_b += block.sum(dim=0)
        of_sum.index_add_(0, along_sum[some].flatten(), block.flatten(0, 1))
        of_difference.index_add_(0, along_difference[some].flatten(), block.flatten(0, 1))
        energy += block.square_().flatten(0, 1).sum(dim=0)
    mean = of_a.mean(dim=0)
    of_a -= mean
    energy += p * of_a.double().square().sum(dim=0)
    rounding = 8 * torch.finfo(x.dtype).eps
    dead = energy <= rounding**2 * (energy + len(x) * mean.double().square())
    return LineSums(mean, energy, {"a": p * of_a, "b": of_b, "sum": of_sum, "difference": of_difference}, dead)
