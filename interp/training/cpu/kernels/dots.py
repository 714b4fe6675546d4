"""Scalar products of rows with rows, written for the processor at hand.

If one row is multiplied with four, every number of those four is loaded for a single multiplication. If four rows are multiplied
with four, each number is loaded for four multiplications, which halves the time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.cpu.kernels.compiler import WIDE_REGISTERS, njit, variant, wide, widen
from interp.training.cpu.kernels.places import Matrix
from interp.training.cpu.kernels.units import Unit, by_name, unit
from interp.training.cpu.kernels.vectors import (
    INDEX,
    LANES,
    SHORT,
    constant,
    load,
    multiply_add,
    place,
    pointers,
    totals,
    variable,
    zeros,
)

_ROWS = 4 if WIDE_REGISTERS else 1  # rows of a that are multiplied with four of b at once


class Places(NamedTuple):
    """Where the results go: address of the first, and the elements from one row, and from one column, to the next."""

    first: int
    row: int
    column: int


def _dots(rows: int, columns: int, *, scattered: bool) -> Any:
    """The intrinsic for the scalar products of some rows of a with some of b."""

    def emit(builder: Any, arguments: Any) -> None:
        a, row_a, index, b, row_b, vectors, out, row_out, column_out = arguments
        a, b, out = pointers(builder, a, b, out)
        index = builder.inttoptr(index, SHORT.as_pointer())
        sums = [variable(builder, zeros()) for _ in range(rows * columns)]
        which = [
            builder.sext(builder.load(place(builder, index, constant(r))), INDEX) if scattered else constant(r)
            for r in range(rows)
        ]
        lefts = [place(builder, a, builder.mul(row_a, r)) for r in which]
        rights = [place(builder, b, builder.mul(row_b, constant(c))) for c in range(columns)]
        with cgutils.for_range(builder, vectors) as loop:
            along = builder.mul(loop.index, constant(LANES))
            right = [load(builder, place(builder, each, along), 0) for each in rights]
            for r, each in enumerate(lefts):
                left = load(builder, place(builder, each, along), 0)
                for so_far, value in zip(sums[r * columns :], right, strict=False):
                    builder.store(multiply_add(builder, left, value, builder.load(so_far)), so_far)
        values = [builder.load(so_far) for so_far in sums]
        found = [value for start in range(0, len(values), 4) for value in totals(builder, values[start : start + 4])]
        for r, row in enumerate(which):
            for c in range(columns):
                offset = builder.add(builder.mul(row_out, row), builder.mul(column_out, constant(c)))
                builder.store(found[r * columns + c], place(builder, out, offset))

    @intrinsic
    def dots(
        context: Any, a: Any, row_a: Any, index: Any, b: Any, row_b: Any, vectors: Any, out: Any, row_out: Any, column_out: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            widen(builder)
            emit(builder, arguments)
            return context.get_dummy_value()

        return numba.void(*[numba.int64] * 9), generate

    return dots


def _strip_of_dots(rows: int, *, scattered: bool) -> Any:
    """The function for the scalar products of some rows of a with all of b."""
    several, single = (_dots(rows, columns, scattered=scattered) for columns in (4, 1))

    @variant("dots", rows, scattered)
    def strip(a: Matrix, index: int, b: Matrix, out: Places, columns: int, vectors: int) -> None:
        wide()
        c = 0
        while c < columns:
            right, where = b.first + 4 * c * b.row, out.first + 4 * c * out.column
            if c + 4 <= columns:
                several(a.first, a.row, index, right, b.row, vectors, where, out.row, out.column)
                c += 4
            else:
                single(a.first, a.row, index, right, b.row, vectors, where, out.row, out.column)
                c += 1

    return strip


def _row_products(*, scattered: bool) -> Unit:
    """The unit for the scalar products of rows of a with rows of b."""
    one, two, three, four = (_strip_of_dots(rows, scattered=scattered) for rows in (1, 2, 3, 4))

    @unit("rows", scattered)
    def products(
        a_first: int, a_row: int, index: int, b_first: int, b_row: int,
        out_first: int, out_row: int, out_column: int, rows: int, columns: int, vectors: int,
    ) -> None:  # fmt: skip
        a, b, out, r = Matrix(a_first, a_row), Matrix(b_first, b_row), Places(out_first, out_row, out_column), 0
        while r < rows:
            left, where, step = a, out, min(_ROWS, rows - r)
            if not scattered:
                left, where = Matrix(a.first + 4 * r * a.row, a.row), Places(out.first + 4 * r * out.row, out.row, out.column)
            if step == 1:
                one(left, index + 4 * r, b, where, columns, vectors)
            elif step == 2:
                two(left, index + 4 * r, b, where, columns, vectors)
            elif step == 3:
                three(left, index + 4 * r, b, where, columns, vectors)
            else:
                four(left, index + 4 * r, b, where, columns, vectors)
            r += step

    return products


UNITS = tuple(_row_products(scattered=scattered) for scattered in (False, True))

scattered_row_products = by_name(UNITS[1])
"""``(a, index, b, out, size)``: as `row_products`, for the rows of a, and of the result, that the index at an address lists."""

_row_products_of = by_name(UNITS[0])


@njit
def row_products(a: Matrix, b: Matrix, out: Places, size: tuple[int, int, int]) -> None:
    """Scalar products of rows, ``a b^T``; sizes: rows of a, rows of b, whole vectors in a row."""
    _row_products_of(a, 0, b, out, size)
