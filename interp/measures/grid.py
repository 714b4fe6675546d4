"""Sums over lines of the p x p grid of pairs: what reduces every projection on a wave to one small matrix product.

A wave in a, in b, in a + b or in a - b is constant along lines of the grid, so that its inner product with a function of the
pair needs only that function's p sums over those lines, and p-point transforms do the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from interp.errors import UsageError, unknown
from interp.fourier import FourierBasis

Combination = Literal["sum", "difference"]
Line = Literal["a", "b", "sum", "difference"]

COMBINATIONS: tuple[Combination, ...] = get_args(Combination)
LINES: tuple[Line, ...] = get_args(Line)


def line_index(p: int, line: Line) -> Int64[Tensor, " pair"]:
    """For each of the p^2 pairs in row-major order: a, b, a + b or a - b, modulo p.

    >>> line_index(3, "sum").tolist()
    [0, 1, 2, 1, 2, 0, 2, 0, 1]
    """
    if line not in LINES:
        raise unknown("combination of a and b", line, LINES)
    pair = torch.arange(p * p)
    a, b = pair // p, pair % p
    return {"a": a, "b": b, "sum": (a + b) % p, "difference": (a - b) % p}[line]


def line_means(x: Float[Tensor, "pair rest"], p: int, line: Line) -> Float[Tensor, "p rest"]:
    """Mean of x over the p pairs on each line, in the precision of x.

    >>> line_means(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), 2, "a").tolist()
    [[0.5], [2.5]]
    """
    zeros = torch.zeros(p, x.shape[1], dtype=x.dtype, device=x.device)
    return zeros.index_add_(0, line_index(p, line).to(x.device), x) / p


def projector(basis: FourierBasis, frequencies: Collection[int]) -> Float64[Tensor, "p p"]:
    """The matrix that projects a function on Z/p (first axis) on the waves of some frequencies: symmetric and idempotent.

    Raises:
        UsageError: if a frequency is not in 1..floor(p/2).
    """
    wanted = torch.tensor(sorted({basis.check(k) for k in frequencies}), dtype=torch.int64)
    waves = basis.rows[torch.isin(basis.row_frequency, wanted)]
    return waves.T @ waves


def check_grid(x: Tensor, basis: FourierBasis, name: str) -> None:
    """Error unless x has one row for each of the p^2 pairs, and one more axis."""
    if x.ndim != 2 or x.shape[0] != basis.p**2:
        raise UsageError(f"{name}: given shape {tuple(x.shape)}, expected (p^2, ...) = ({basis.p**2}, ...): a row per pair")


def check_logits(logits: Tensor, basis: FourierBasis) -> None:
    """Error unless logits are those of the p residues on all p^2 pairs."""
    p = basis.p
    if logits.ndim != 2 or tuple(logits.shape) != (p * p, p):
        raise UsageError(
            f"logits: given shape {tuple(logits.shape)}, expected (p^2, p) = ({p * p}, {p}): all pairs in row-major order, "
            "and the p residues only (leave out the `=` class)"
        )


def check_finite(x: Tensor, name: str) -> None:
    """Error if anything in x is NaN or infinite: for functions whose result (a choice, a count) could not show it."""
    if not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x)).sum())
        raise UsageError(f"{name}: {bad} of {x.numel()} values are NaN or infinite; no conclusion can be drawn from them")
