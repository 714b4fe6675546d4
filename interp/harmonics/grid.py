"""Lines of the p x p grid of pairs, which reduce every projection onto a wave to one small matrix product.

A wave in a, in b, in a + b or in a - b is constant along lines of the grid, so that its inner product with a function of the
pair only needs the p sums of that function over those lines, followed by a p-point transform.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Int64
from torch import Tensor

from interp.errors import unknown

Line = Literal["a", "b", "sum", "difference"]

LINES: tuple[Line, ...] = get_args(Line)


def line_index(p: int, line: Line) -> Int64[Tensor, " pair"]:
    """For each of the p^2 pairs in row-major order: a, b, a + b or a - b, modulo p.

    Raises:
        UsageError: if it is not one of `LINES`.

    >>> line_index(3, "sum").tolist()
    [0, 1, 2, 1, 2, 0, 2, 0, 1]
    """
    if line not in LINES:
        raise unknown("line of the grid", line, LINES)
    residue = torch.arange(p)
    a, b = residue[:, None], residue
    match line:
        case "sum":
            grid = (a + b) % p
        case "difference":
            grid = (a - b) % p
        case _:
            grid = (a if line == "a" else b).expand(p, p)
    return grid.flatten()
