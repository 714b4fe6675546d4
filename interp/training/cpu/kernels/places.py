"""Where the elements of arrays are: what the kernels that work on addresses are given."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from llvmlite import ir
from numba.extending import intrinsic

from interp.training.cpu.kernels.vectors import INDEX


class Matrix(NamedTuple):
    """A float32 matrix: address of its first element, and elements from one row to the next."""

    first: int
    row: int


MATRIX = numba.types.NamedUniTuple(numba.int64, 2, Matrix)


def _address(context: Any, builder: Any, kind: Any, array: Any, *offsets: Any) -> Any:
    """Address of the element of an array at these places in its first dimensions."""
    parts = context.make_array(kind)(context, builder, value=array)
    where = builder.ptrtoint(parts.data, INDEX)
    for stride, offset in zip(_strides(builder, kind, parts), offsets, strict=False):
        where = builder.add(where, builder.mul(stride, offset))
    return where


def _strides(builder: Any, kind: Any, parts: Any) -> list[Any]:
    return [builder.extract_value(parts.strides, i) for i in range(kind.ndim)]


@intrinsic
def address(context: Any, array: Any) -> Any:
    """Address of an array's first element."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _address(context, builder, signature.args[0], arguments[0])

    return numba.int64(array), generate


@intrinsic
def at(context: Any, matrix: Any, row: Any, column: Any) -> Any:
    """Address of an element of a matrix."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _address(context, builder, signature.args[0], *arguments)

    return numba.int64(matrix, numba.int64, numba.int64), generate


def _row_length(builder: Any, kind: Any, parts: Any) -> Any:
    size = ir.Constant(INDEX, kind.dtype.bitwidth // 8)
    return builder.sdiv(_strides(builder, kind, parts)[-2], size)


@intrinsic
def row_length(context: Any, array: Any) -> Any:
    """Elements from one row of an array to the next, where rows are its last dimension."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (kind,) = signature.args
        return _row_length(builder, kind, context.make_array(kind)(context, builder, value=arguments[0]))

    return numba.int64(array), generate


@intrinsic
def matrix(context: Any, array: Any, row: Any, column: Any) -> Any:
    """The part of a matrix that begins at an element."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        parts = context.make_array(kind)(context, builder, value=arguments[0])
        first = _address(context, builder, kind, *arguments)
        return context.make_tuple(builder, signature.return_type, (first, _row_length(builder, kind, parts)))

    return MATRIX(array, numba.int64, numba.int64), generate
