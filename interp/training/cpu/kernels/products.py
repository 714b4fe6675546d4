"""Matrix products of the sizes a chunk of pairs has, written for the processor at hand.

A product is computed tile by tile: some rows by some vectors of 16 columns of the result stay in registers while the sum runs.
BLAS libraries are made for large matrices; on these (192 x 512 x 113, 4 x 7 x 640) SciPy's OpenBLAS reached half the speed, and
so did MKL on AMD. Besides, a tile can read scattered rows, which would otherwise take a pass of its own.

Matrices are given by address and row length (in elements), so that any part of any buffer will do. Columns that do not fill a
vector of 16 are computed in fours and one by one: buffers that are used often are padded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.cpu.kernels.compiler import WIDE_REGISTERS, inlined, njit, variant, wide, widen
from interp.training.cpu.kernels.vectors import (
    INDEX,
    LANES,
    SHORT,
    broadcast,
    constant,
    load,
    multiply_add,
    place,
    pointers,
    store,
    variable,
    zeros,
)

_ROWS = 4
_VECTORS = 4 if WIDE_REGISTERS else 1  # the 16 accumulators of a tile, and what it reads, fill the registers
_NARROW = 4  # lanes of the vector for columns that do not fill a whole one
_DEPTH = 128  # rows of b that one round of tiles reads: few enough for a tile's columns of them to stay in the first-level cache


class Matrix(NamedTuple):
    """A float32 matrix: address of its first element, and elements from one row to the next."""

    first: int
    row: int


class _Kind(NamedTuple):
    """Which elements a tile multiplies."""

    transposed: bool = False  # the rows of a are the dimension that is summed over
    scattered: bool = False  # the sum runs over the rows of b and columns of a that an index lists


def _tile(rows: int, vectors: int, kind: _Kind, *, lanes: int = LANES) -> Any:
    """The intrinsic that computes one tile of some rows by some vectors, or by one shorter vector."""

    def emit(builder: Any, arguments: Any) -> None:
        a, row_a, b, row_b, c, row_c, depth, index, is_fresh = arguments
        a, b, c = pointers(builder, a, b, c)
        index = builder.inttoptr(index, SHORT.as_pointer())
        cells = [(r, v) for r in range(rows) for v in range(vectors)]
        out = [place(builder, c, builder.mul(row_c, constant(r))) for r in range(rows)]
        before = {(r, v): load(builder, out[r], v, lanes=lanes) for r, v in cells}
        sums = {cell: variable(builder, builder.select(is_fresh, zeros(lanes), value)) for cell, value in before.items()}
        starts = [place(builder, a, constant(r) if kind.transposed else builder.mul(row_a, constant(r))) for r in range(rows)]
        with cgutils.for_range(builder, depth) as loop:
            i = builder.sext(builder.load(place(builder, index, loop.index)), INDEX) if kind.scattered else loop.index
            row = place(builder, b, builder.mul(i, row_b))
            right = [load(builder, row, v, lanes=lanes) for v in range(vectors)]
            along = builder.mul(i, row_a) if kind.transposed else i
            for r in range(rows):
                left = broadcast(builder, builder.load(place(builder, starts[r], along)), lanes=lanes)
                for v in range(vectors):
                    builder.store(multiply_add(builder, left, right[v], builder.load(sums[r, v])), sums[r, v])
        for r, v in cells:
            store(builder, builder.load(sums[r, v]), out[r], v)

    @intrinsic
    def tile(
        context: Any, a: Any, row_a: Any, b: Any, row_b: Any, c: Any, row_c: Any, depth: Any, index: Any, is_fresh: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            widen(builder)
            emit(builder, arguments)
            return context.get_dummy_value()

        return numba.void(*[numba.int64] * 8, numba.boolean), generate

    return tile


def _strip(kind: _Kind, vectors: int, lanes: int = LANES) -> Any:
    """The function that computes some columns of a product, in all rows."""
    block, single = _tile(_ROWS, vectors, kind, lanes=lanes), _tile(1, vectors, kind, lanes=lanes)
    transposed = kind.transposed

    @variant(*kind, vectors, lanes)
    def strip(a: Matrix, b: Matrix, c: Matrix, index: int, rows: int, depth: int, is_fresh: bool) -> None:
        wide()
        r = 0
        while r < rows:
            a_r, c_r = a.first + 4 * r * (1 if transposed else a.row), c.first + 4 * r * c.row
            if r + _ROWS <= rows:
                block(a_r, a.row, b.first, b.row, c_r, c.row, depth, index, is_fresh)
                r += _ROWS
            else:
                single(a_r, a.row, b.first, b.row, c_r, c.row, depth, index, is_fresh)
                r += 1

    return strip


@njit
def _from(matrix: Matrix, column: int) -> Matrix:
    return Matrix(matrix.first + 4 * column, matrix.row)


def _product(kind: _Kind) -> Any:
    """The function that computes a whole product of a kind, strip by strip.

    ``(a, b, c, size, is_fresh)``: c is overwritten if `is_fresh`, else added to; sizes: rows and columns of c, length of the sum.
    """
    several, vector, narrow, number = (_strip(kind, *size) for size in ((_VECTORS,), (1,), (1, _NARROW), (1, 1)))
    transposed = kind.transposed

    @variant(*kind)
    def product(a: Matrix, b: Matrix, c: Matrix, size: tuple[int, int, int], is_fresh: bool) -> None:
        rows, columns, depth = size
        for start in range(0, depth, _DEPTH):
            part, set_it = min(_DEPTH, depth - start), is_fresh and start == 0
            left = Matrix(a.first + 4 * start * (a.row if transposed else 1), a.row)
            b_part, j = Matrix(b.first + 4 * start * b.row, b.row), 0
            while j < columns:
                right, out, rest = _from(b_part, j), _from(c, j), columns - j
                if rest >= _VECTORS * LANES:
                    several(left, right, out, 0, rows, part, set_it)
                    j += _VECTORS * LANES
                elif rest >= LANES:
                    vector(left, right, out, 0, rows, part, set_it)
                    j += LANES
                elif rest >= _NARROW:
                    narrow(left, right, out, 0, rows, part, set_it)
                    j += _NARROW
                else:
                    number(left, right, out, 0, rows, part, set_it)
                    j += 1

    return product


multiply = _product(_Kind())
multiply_turned = _product(_Kind(transposed=True))
_scattered, _scattered_vector = (_strip(_Kind(scattered=True), vectors) for vectors in (_VECTORS, 1))


@njit
def multiply_scattered(a: Matrix, b: Matrix, c: Matrix, index: int, size: tuple[int, int, int], is_fresh: bool) -> None:
    """As `multiply`, over the columns of a and rows of b that the index at an address lists; sizes: rows, vectors, length."""
    rows, vectors, depth = size
    v = 0
    while v < vectors:
        right, out = _from(b, LANES * v), _from(c, LANES * v)
        if v + _VECTORS <= vectors:
            _scattered(a, right, out, index, rows, depth, is_fresh)
            v += _VECTORS
        else:
            _scattered_vector(a, right, out, index, rows, depth, is_fresh)
            v += 1


@inlined
def at(matrix: Any, row: Any, column: Any) -> Any:
    """Address of an element of a float32 matrix whose rows are contiguous."""
    return matrix.ctypes.data + row * matrix.strides[0] + 4 * column


@inlined
def row_length(matrix: Any) -> Any:
    """Elements from one row of a float32 matrix to the next."""
    return matrix.strides[0] // 4


@inlined
def matrix(array: Any, row: Any, column: Any) -> Any:
    """The part that begins at an element of a float32 matrix whose rows are contiguous."""
    return Matrix(array.ctypes.data + row * array.strides[0] + 4 * column, array.strides[0] // 4)
