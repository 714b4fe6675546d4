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

from interp.training.cpu.kernels.compiler import WIDE_REGISTERS, variant, wide, widen
from interp.training.cpu.kernels.places import Matrix
from interp.training.cpu.kernels.units import Unit, by_name, unit
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


def _product(kind: _Kind) -> Unit:
    """The unit that computes a whole product of a kind, strip by strip."""
    several, vector, narrow, number = (_strip(kind, *size) for size in ((_VECTORS,), (1,), (1, _NARROW), (1, 1)))
    transposed = kind.transposed

    @unit(*kind)
    def product(
        a: int, row_a: int, b: int, row_b: int, c: int, row_c: int, rows: int, columns: int, depth: int, is_fresh: int
    ) -> None:
        for start in range(0, depth, _DEPTH):
            part, set_it = min(_DEPTH, depth - start), is_fresh != 0 and start == 0
            left, j = Matrix(a + 4 * start * (row_a if transposed else 1), row_a), 0
            while j < columns:
                right, out = Matrix(b + 4 * (start * row_b + j), row_b), Matrix(c + 4 * j, row_c)
                rest = columns - j
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


def _scattered_product() -> Unit:
    """The unit that computes a product over scattered rows."""
    several, vector = (_strip(_Kind(scattered=True), vectors) for vectors in (_VECTORS, 1))

    @unit("scattered")
    def product(
        a: int, row_a: int, b: int, row_b: int, c: int, row_c: int, index: int, rows: int, vectors: int, depth: int, is_fresh: int
    ) -> None:
        left, v = Matrix(a, row_a), 0
        while v < vectors:
            right, out = Matrix(b + 4 * LANES * v, row_b), Matrix(c + 4 * LANES * v, row_c)
            if v + _VECTORS <= vectors:
                several(left, right, out, index, rows, depth, is_fresh != 0)
                v += _VECTORS
            else:
                vector(left, right, out, index, rows, depth, is_fresh != 0)
                v += 1

    return product


UNITS = _product(_Kind()), _product(_Kind(transposed=True)), _scattered_product()

multiply = by_name(UNITS[0])
"""``(a, b, c, size, is_fresh)``: c = a b if `is_fresh`, else c += a b; sizes: rows and columns of c, length of the sum."""

multiply_turned = by_name(UNITS[1])
"""As `multiply`, of the transpose of a."""

multiply_scattered = by_name(UNITS[2])
"""``(a, b, c, index, size, is_fresh)``: as `multiply`, over the columns of a and rows of b that the index at an address lists;
sizes: rows, vectors, length."""
