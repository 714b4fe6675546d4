"""Harmonics: which element of a group an answer is, and the projectors onto the waves of functions on that group.

A circuit that computes in a group shows in functions that depend on the answer alone. The group's irreducible representations
(for Z/n: its frequencies) split such functions into parts that no symmetry of the task mixes. A measure only needs to know which
answer each row has, and for each part a matrix that projects a function of the answer onto it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int, Int64, Shaped
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError, unknown

Name = int | str

# Largest entry by which a projector may differ from its square or its transpose, or its product with another from zero.
_ROUNDING = 1e-9

# Numbers processed at a time: what is made of them, too, stays in a core's second-level cache.
_BLOCK = 2**16


@runtime_checkable
class Harmonics(Protocol):
    """The waves of an answer.

    Measures take the rows of a task (for a binary operation: all pairs) and the classes of its logits in the order of `rows` and
    `classes`; in that order, the right answer of row i is class ``line[i]``.
    """

    @property
    def n(self) -> int:
        """Number of group elements."""
        ...

    @property
    def line(self) -> Int64[Tensor, " row"]:
        """For each row, the group element that its answer is, in 0..n-1. Rows of equal answer form a line."""
        ...

    @property
    def names(self) -> tuple[Name, ...]:
        """Name of each part except the constant: the frequencies of Z/n, or the irreducible representations of a group."""
        ...

    @property
    def rows(self) -> Int64[Tensor, " row"] | None:
        """Which of the task's rows take part, in the order of `line`; None for all of them in their own order."""
        ...

    @property
    def classes(self) -> Int64[Tensor, " n"] | None:
        """For each group element, its class (and token); None for the first n in their own order."""
        ...

    def projector(self, names: Collection[Name]) -> Float64[Tensor, "n n"]:
        """The matrix that projects a function on the group (first axis) onto some parts; symmetric and idempotent."""
        ...

    def norms(self, x: Float[Tensor, "n rest"]) -> Float64[Tensor, " name"]:
        """Norm of each named part of x (group elements along the first axis), taken over all other axes too."""
        ...


@dataclass(frozen=True, eq=False)
class GroupHarmonics:
    """The harmonics of any group, as a table: an answer for each row, and a projector for each part.

    Args:
        line: the answer of each row, as a group element.
        projectors: name -> matrix, for every part except the constant. For an irreducible representation with character chi and
            dimension d it is ``P[x, y] = d / n * chi(x y^-1)`` (for complex characters, the sum over a pair of conjugates).
        rows: which of the task's rows take part; all by default.
        classes: the class of each group element; the first n by default.

    Raises:
        UsageError: for an element out of range, and for matrices that are not orthogonal projectors without a constant part.

    >>> sign = torch.tensor([[0.5, -0.5], [-0.5, 0.5]], dtype=torch.float64)
    >>> harmonics = GroupHarmonics(torch.tensor([0, 1, 1, 0]), {"sign": sign})
    >>> harmonics.names, harmonics.norms(torch.tensor([[3.0], [1.0]])).round(decimals=6).tolist()
    (('sign',), [1.414214])
    """

    line: Int64[Tensor, " row"]
    projectors: Mapping[Name, Float64[Tensor, "_ _"]]
    rows: Int64[Tensor, " chosen"] | None = None
    classes: Int64[Tensor, " element"] | None = None

    def __post_init__(self) -> None:
        if not self.projectors:
            raise UsageError("GroupHarmonics: given no projector, expected one for each irreducible representation")
        if len(self.line) and not (int(self.line.min()) >= 0 and int(self.line.max()) < self.n):
            raise UsageError(f"line: given {int(self.line.min())}..{int(self.line.max())}, expected 0..{self.n - 1}")
        if self.rows is not None and len(self.rows) != len(self.line):
            raise UsageError(f"rows: given {len(self.rows)} for {len(self.line)} answers, expected as many of both")
        if self.classes is not None and len(self.classes) != self.n:
            raise UsageError(f"classes: given {len(self.classes)} for {self.n} group elements, expected as many of both")
        _check_projectors(self.projectors)

    @property
    def n(self) -> int:
        """Number of group elements."""
        return len(next(iter(self.projectors.values())))

    @cached_property
    def names(self) -> tuple[Name, ...]:
        """Name of each part."""
        return tuple(self.projectors)

    def projector(self, names: Collection[Name]) -> Float64[Tensor, "n n"]:
        """The sum of the named projectors.

        Raises:
            UsageError: for a name that is not one of `names`.
        """
        total = torch.zeros(self.n, self.n, dtype=torch.float64)
        for name in dict.fromkeys(names):
            if name not in self.projectors:
                raise unknown("irreducible representation", name, map(str, self.names))
            total += self.projectors[name]
        return total

    def norms(self, x: Float[Tensor, "n rest"]) -> Float64[Tensor, " name"]:
        """Norm of each named part of x."""
        return torch.stack([(matrix.to(x.device) @ x.double()).norm() for matrix in self.projectors.values()])


def take_rows(harmonics: Harmonics, values: Shaped[Tensor, " all_rows *rest"]) -> Shaped[Tensor, " row *rest"]:
    """Values of all of a task's rows, in the order of the harmonics' rows; no copy is made if that order is the task's own."""
    return values if harmonics.rows is None else values[harmonics.rows.to(values.device)]


def take_classes(harmonics: Harmonics, values: Shaped[Tensor, " all_classes *rest"]) -> Shaped[Tensor, " n *rest"]:
    """Rows of a matrix over tokens or classes (W_E, W_L), in the order of the group elements."""
    # Contiguous in memory whether or not classes are reordered, so that sums over it round in the same way.
    return values[: harmonics.n].contiguous() if harmonics.classes is None else values[harmonics.classes.to(values.device)]


def take_logits(harmonics: Harmonics, logits: Float[Tensor, "all_rows all_classes"]) -> Float[Tensor, "row n"]:
    """Logits of all of a task's rows, in the order of the harmonics' rows and group elements."""
    if harmonics.classes is None:
        return take_rows(harmonics, logits)[:, : harmonics.n]
    return take_rows(harmonics, logits)[:, harmonics.classes.to(logits.device)]


def positions(harmonics: Harmonics, rows: Int[Tensor, " chosen"]) -> Int64[Tensor, " found"]:
    """Positions, among the harmonics' rows, of rows given by their indices in the task; rows that take no part are dropped."""
    if harmonics.rows is None:
        return rows.long()
    where = torch.full((int(harmonics.rows.max()) + 1,), -1)
    where[harmonics.rows] = torch.arange(len(harmonics.rows))
    found = where[rows[rows < len(where)]]
    return found[found >= 0]


@torch_threads(1)
def line_means(
    x: Float[Tensor, "row rest"], harmonics: Harmonics, *, dtype: torch.dtype | None = None
) -> Float[Tensor, "n rest"]:
    """Mean of x over the rows of each answer; NaN for an answer that no row has.

    Args:
        dtype: in which sums are taken, by default that of x.
    """
    line, dtype = harmonics.line.to(x.device), dtype or x.dtype
    total = torch.zeros(harmonics.n, x.shape[1], dtype=dtype, device=x.device)
    for rows, block in copied(x, dtype):
        total.index_add_(0, line[rows], block)
    counts = torch.bincount(line, minlength=harmonics.n)
    return total / counts[:, None]


def blocks(rows: int, width: int) -> Iterator[slice]:
    """All rows of an array of some width, as many at a time as stay in a core's second-level cache."""
    step = _rows_at_a_time(width)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def copied(x: Float[Tensor, "row rest"], dtype: torch.dtype) -> Iterator[tuple[slice, Float[Tensor, "block rest"]]]:
    """All rows of x, block by block, in another precision; each block is overwritten by the next, which costs no new memory."""
    buffer = torch.empty(min(len(x), _rows_at_a_time(x.shape[1])), x.shape[1], dtype=dtype, device=x.device)
    for rows, block in zip(blocks(*x.shape), torch.split(x, max(1, len(buffer))), strict=False):  # of no rows there is no block
        yield rows, (buffer if len(block) == len(buffer) else buffer[: len(block)]).copy_(block)


def _rows_at_a_time(width: int) -> int:
    return max(1, _BLOCK // max(1, width))


def _check_projectors(projectors: Mapping[Name, Tensor]) -> None:
    shapes = {tuple(matrix.shape) for matrix in projectors.values()}
    if len(shapes) > 1 or any(len(shape) != 2 or shape[0] != shape[1] for shape in shapes):
        raise UsageError(f"projectors: given shapes {sorted(shapes)}, expected one and the same (n, n)")
    for name, matrix in projectors.items():
        if matrix.dtype != torch.float64 or not bool(torch.isfinite(matrix).all()):
            raise UsageError(f"projector {name!r}: given {matrix.dtype}, expected finite numbers in float64")
        _refuse(name, "symmetric", matrix - matrix.T)
        _refuse(name, "idempotent", matrix @ matrix - matrix)
        _refuse(name, "without a constant", matrix.sum(dim=0))
    for (name, matrix), (other, its) in combinations(projectors.items(), 2):
        _refuse(name, f"orthogonal to {other!r}", matrix @ its)


def _refuse(name: Name, what: str, difference: Tensor) -> None:
    """Error unless a difference is zero up to rounding."""
    if float(difference.abs().max()) > _ROUNDING:
        raise UsageError(
            f"projector {name!r}: it is not {what} (off by {float(difference.abs().max()):.2g}); "
            "d / n * chi(x y^-1) is, for a character chi of dimension d"
        )
