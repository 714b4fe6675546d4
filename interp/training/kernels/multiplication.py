# numba's functions are untyped.
# mypy: disable-error-code="no-untyped-call"
"""The product of two matrices of torch's, by the tiles of products.py; each thread does some of the result's columns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from torch import Tensor

from interp.training.kernels.compiler import VERSION, entry, njit
from interp.training.kernels.products import add_deep_product, add_deep_transposed_product
from interp.training.kernels.vectors import LANES


class _Task(NamedTuple):
    """Addresses and row lengths (in elements) of ``out += a b``, and its sizes."""

    out: int
    row_out: int
    a: int
    row_a: int
    transposed: bool
    b: int
    row_b: int
    rows: int
    vectors: int
    depth: int


@njit
def _add_columns(task: _Task, threads: int, thread: int) -> None:
    """One thread's columns."""
    first = task.vectors * thread // threads
    out, b = task.out + 4 * LANES * first, task.b + 4 * LANES * first
    size = (task.rows, task.vectors * (thread + 1) // threads - first, task.depth)
    if task.transposed:
        add_deep_transposed_product(task.a, task.row_a, b, task.row_b, out, task.row_out, size)
    else:
        add_deep_product(task.a, task.row_a, b, task.row_b, out, task.row_out, size)


def _compile(version: str) -> tuple[Any, Any]:
    @entry(nogil=True)
    def serial(task: _Task, threads: int) -> None:
        len(version)  # see `compiler.VERSION`
        for thread in range(threads):
            _add_columns(task, threads, thread)

    @entry(parallel=True)
    def parallel(task: _Task, threads: int) -> None:
        len(version)
        for thread in numba.prange(threads):
            _add_columns(task, threads, np.int64(thread))

    return serial, parallel


_SERIAL, _PARALLEL = _compile(VERSION)


def multiply(a: Tensor, b: Tensor, *, threads: int = 1, parallel: bool = False) -> Tensor:
    """The product of two float32 matrices, each stored by rows or by columns; by torch where tiles do not fit their sizes."""
    add = _PARALLEL if parallel else _SERIAL
    if _fits(b):
        return _multiply(a, b, add, threads)
    if _fits(a.mT):
        return _multiply(b.mT, a.mT, add, threads).mT
    return _multiply(a, b.contiguous(), add, threads) if b.shape[1] % LANES == 0 else a @ b


def _fits(b: Tensor) -> bool:
    """Whether rows are contiguous and whole numbers of vectors."""
    return b.stride(1) == 1 and b.shape[1] % LANES == 0


def _multiply(a: Tensor, b: Tensor, add: Any, threads: int) -> Tensor:
    transposed = a.stride(1) != 1
    out = a.new_zeros(a.shape[0], b.shape[1])
    row_a, vectors = a.stride(1) if transposed else a.stride(0), b.shape[1] // LANES
    place = (out.data_ptr(), out.stride(0), a.data_ptr(), row_a, transposed, b.data_ptr(), b.stride(0))
    add(_Task(*place, rows=a.shape[0], vectors=vectors, depth=a.shape[1]), threads)
    return out
