# numba's intrinsics and llvmlite are untyped.
# mypy: disable-error-code="attr-defined, call-arg, no-untyped-call, import-untyped"
# ruff: noqa: ARG001, PLR0913, PLR0917  numba calls with these arguments, and a product has many
"""Matrix products of the sizes a chunk of pairs has, written for the processor at hand.

A product is done tile by tile: some rows of the result by some vectors of 16 columns stay in registers while the sum runs. BLAS
libraries are made for large matrices; on these (192 x 512 x 113, 4 x 7 x 640) SciPy's OpenBLAS reached half the speed, and MKL on
AMD no more. And a tile can take scattered rows, which would be a pass of its own.

Matrices are given by address and row length (in elements), so that any part of any buffer will do. Columns come in whole vectors
of 16: buffers are padded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.kernels.compiler import WIDE_REGISTERS, inlined, njit, variant, wide, widen
from interp.training.kernels.vectors import (
    INDEX,
    LANES,
    broadcast,
    constant,
    load,
    multiply_add,
    place,
    pointers,
    store,
    total,
    variable,
    zeros,
)

_ROWS = 4
_VECTORS = 4 if WIDE_REGISTERS else 1  # 16 accumulators of a tile, and what it reads, fill the registers
_DEPTH = 128  # rows of b that one round of tiles reads: a tile's columns of them stay in the first-level cache


class _Kind(NamedTuple):
    """What a tile does besides ``c += a b``."""

    fresh: bool = False  # c = a b, whatever was in c
    transposed: bool = False  # a is stored with the summed dimension as its rows
    scattered: bool = False  # the sum runs over the rows of b and columns of a that an index names


def _tile(rows: int, vectors: int, kind: _Kind) -> Any:
    """The intrinsic that computes one tile."""

    def emit(builder: Any, arguments: Any) -> None:
        a, row_a, b, row_b, c, row_c, depth, index = arguments
        a, b, c = pointers(builder, a, b, c)
        index = builder.inttoptr(index, ir.IntType(32).as_pointer())
        cells = [(r, v) for r in range(rows) for v in range(vectors)]
        out = [place(builder, c, builder.mul(row_c, constant(r))) for r in range(rows)]
        sums = {(r, v): variable(builder, zeros() if kind.fresh else load(builder, out[r], v)) for r, v in cells}
        starts = [place(builder, a, constant(r) if kind.transposed else builder.mul(row_a, constant(r))) for r in range(rows)]
        with cgutils.for_range(builder, depth) as loop:
            i = builder.sext(builder.load(place(builder, index, loop.index)), INDEX) if kind.scattered else loop.index
            row = place(builder, b, builder.mul(i, row_b))
            right = [load(builder, row, v) for v in range(vectors)]
            along = builder.mul(i, row_a) if kind.transposed else i
            for r in range(rows):
                left = broadcast(builder, builder.load(place(builder, starts[r], along)))
                for v in range(vectors):
                    builder.store(multiply_add(builder, left, right[v], builder.load(sums[r, v])), sums[r, v])
        for r, v in cells:
            store(builder, builder.load(sums[r, v]), out[r], v)

    @intrinsic
    def tile(context: Any, a: Any, row_a: Any, b: Any, row_b: Any, c: Any, row_c: Any, depth: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            widen(builder)
            emit(builder, arguments)
            return context.get_dummy_value()

        return numba.void(*[numba.int64] * 8), generate

    return tile


def _product(kind: _Kind) -> Any:
    """The function that does a whole product of a kind, in tiles.

    ``(a, row_a, b, row_b, c, row_c, index, (rows, vectors, depth))``: addresses and row lengths of the three matrices, address of
    the index (or 0), sizes of the result and of the sum.
    """
    block, strip = _tile(_ROWS, _VECTORS, kind), _tile(1, _VECTORS, kind)
    column, cell = _tile(_ROWS, 1, kind), _tile(1, 1, kind)
    transposed = kind.transposed

    @variant(*kind)
    def product(a: int, row_a: int, b: int, row_b: int, c: int, row_c: int, index: int, size: tuple[int, int, int]) -> None:
        wide()
        rows, vectors, depth = size
        v = 0
        while v < vectors:
            is_full = v + _VECTORS <= vectors
            b_v, c_v, r = b + 64 * v, c + 64 * v, 0
            while r < rows:
                a_r, c_r = a + 4 * r * (1 if transposed else row_a), c_v + 4 * r * row_c
                if r + _ROWS <= rows:
                    if is_full:
                        block(a_r, row_a, b_v, row_b, c_r, row_c, depth, index)
                    else:
                        column(a_r, row_a, b_v, row_b, c_r, row_c, depth, index)
                    r += _ROWS
                else:
                    if is_full:
                        strip(a_r, row_a, b_v, row_b, c_r, row_c, depth, index)
                    else:
                        cell(a_r, row_a, b_v, row_b, c_r, row_c, depth, index)
                    r += 1
            v += _VECTORS if is_full else 1

    return product


add_product = _product(_Kind())
add_transposed_product = _product(_Kind(transposed=True))
add_scattered_product = _product(_Kind(scattered=True))
set_product = _product(_Kind(fresh=True))
set_transposed_product = _product(_Kind(fresh=True, transposed=True))


@njit
def set_deep_product(a: int, row_a: int, b: int, row_b: int, c: int, row_c: int, size: tuple[int, int, int]) -> None:
    """``c = a b`` for a long sum: a part of it at a time."""
    rows, vectors, depth = size
    set_product(a, row_a, b, row_b, c, row_c, 0, (rows, vectors, min(_DEPTH, depth)))
    for k in range(_DEPTH, depth, _DEPTH):
        add_product(a + 4 * k, row_a, b + 4 * k * row_b, row_b, c, row_c, 0, (rows, vectors, min(_DEPTH, depth - k)))


@njit
def set_deep_transposed_product(a: int, row_a: int, b: int, row_b: int, c: int, row_c: int, size: tuple[int, int, int]) -> None:
    """``c = a^T b`` for a long sum: a part of it at a time."""
    rows, vectors, depth = size
    set_transposed_product(a, row_a, b, row_b, c, row_c, 0, (rows, vectors, min(_DEPTH, depth)))
    for k in range(_DEPTH, depth, _DEPTH):
        here, there = a + 4 * k * row_a, b + 4 * k * row_b
        add_transposed_product(here, row_a, there, row_b, c, row_c, 0, (rows, vectors, min(_DEPTH, depth - k)))


def _dots(rows: int) -> Any:
    """The intrinsic for the scalar products of one row with several."""

    @intrinsic
    def dots(context: Any, a: Any, b: Any, row_b: Any, vectors: Any, out: Any, row_out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            widen(builder)
            a, b, row_b, vectors, out, row_out = arguments
            a, b, out = pointers(builder, a, b, out)
            sums = [variable(builder, zeros()) for _ in range(rows)]
            with cgutils.for_range(builder, vectors) as loop:
                along = builder.mul(loop.index, constant(LANES))
                left, right = load(builder, place(builder, a, along), 0), place(builder, b, along)
                for r, so_far in enumerate(sums):
                    value = load(builder, place(builder, right, builder.mul(row_b, constant(r))), 0)
                    builder.store(multiply_add(builder, left, value, builder.load(so_far)), so_far)
            for r, so_far in enumerate(sums):
                value = total(builder, builder.load(so_far))
                builder.store(value, place(builder, out, builder.mul(row_out, constant(r))))
            return context.get_dummy_value()

        return numba.void(*[numba.int64] * 6), generate

    return dots


_four_dots, _one_dot = _dots(4), _dots(1)


@njit
def row_products(a: int, b: int, row_b: int, out: int, row_out: int, size: tuple[int, int]) -> None:
    """Scalar products of the row at `a` with several rows of b: ``out[r] = a . b[r]``; sizes: rows of b, vectors in a row."""
    wide()
    rows, vectors = size
    r = 0
    while r < rows:
        if r + 4 <= rows:
            _four_dots(a, b + 4 * r * row_b, row_b, vectors, out + 4 * r * row_out, row_out)
            r += 4
        else:
            _one_dot(a, b + 4 * r * row_b, row_b, vectors, out + 4 * r * row_out, row_out)
            r += 1


@inlined
def at(matrix: Any, row: Any, column: Any) -> Any:
    """Address of an element of a float32 matrix whose rows are contiguous."""
    return matrix.ctypes.data + row * matrix.strides[0] + 4 * column


@inlined
def row_length(matrix: Any) -> Any:
    """Elements from one row of a float32 matrix to the next."""
    return matrix.strides[0] // 4
