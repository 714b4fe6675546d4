# numba's functions and intrinsics are untyped.
# mypy: disable-error-code="attr-defined, call-arg, no-untyped-call"
# ruff: noqa: ARG001  numba calls with these arguments
"""Several products of torch's matrices at once, by the tiles of products.py; each thread does a share of every one.

The products of a step's tables take a tenth of a millisecond each: starting the threads for every single one, and waiting for the
last of them, would take as long as the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numba.extending import intrinsic
from numba.np.unsafe.ndarray import to_fixed_tuple
from torch import Tensor

from interp.training.kernels.compiler import VERSION, entry, njit
from interp.training.kernels.products import set_deep_product, set_deep_transposed_product
from interp.training.kernels.vectors import LANES, pointers


class _Task(NamedTuple):
    """Addresses and row lengths (in elements) of ``out = a b``, and its sizes.

    What is turned is stored by columns. `room` is where b is then put by rows, as long as those of `out`; 0 where it is not.
    """

    out: int
    row_out: int
    a: int
    row_a: int
    a_is_turned: int
    b: int
    row_b: int
    room: int
    rows: int
    vectors: int
    depth: int


_FIELDS = len(_Task._fields)


@intrinsic
def _copy(context: Any, source: Any, target: Any) -> Any:
    """Copy the number at an address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target = pointers(builder, *arguments)
        builder.store(builder.load(source), target)
        return context.get_dummy_value()

    return numba.void(numba.int64, numba.int64), generate


@njit
def _turn(source: int, row_source: int, target: int, row_target: int, rows: int, columns: int) -> None:
    """Transpose, some rows at a time: as many cache lines are in use then as the first-level cache has."""
    for start in range(0, rows, LANES):
        for j in range(columns):
            for i in range(start, min(start + LANES, rows)):
                _copy(source + 4 * (j * row_source + i), target + 4 * (i * row_target + j))


@njit
def _multiply_share(task: Any, threads: int, thread: int) -> None:
    """One thread's columns of a product or, where it has more of them, its rows."""
    out, row_out, a, row_a, a_is_turned, b, row_b, room, rows, vectors, depth = task
    if rows > LANES * vectors and not room:
        first, last = rows * thread // threads, rows * (thread + 1) // threads
        out, a, rows = out + 4 * first * row_out, a + 4 * first * (1 if a_is_turned else row_a), last - first
    else:
        first, last = LANES * (vectors * thread // threads), LANES * (vectors * (thread + 1) // threads)
        out, vectors = out + 4 * first, (last - first) // LANES
        if room:
            _turn(b + 4 * first * row_b, row_b, room + 4 * first, row_out, depth, last - first)
            b, row_b = room, row_out
        b += 4 * first
    if a_is_turned:
        set_deep_transposed_product(a, row_a, b, row_b, out, row_out, (rows, vectors, depth))
    else:
        set_deep_product(a, row_a, b, row_b, out, row_out, (rows, vectors, depth))


@njit
def _multiply_shares(tasks: np.ndarray, threads: int, thread: int) -> None:
    for i in range(len(tasks)):
        _multiply_share(to_fixed_tuple(tasks[i], _FIELDS), threads, thread)


def _compile(version: str) -> tuple[Any, Any]:
    @entry(nogil=True)
    def serial(tasks: np.ndarray, threads: int) -> None:
        len(version)  # see `compiler.VERSION`
        for thread in range(threads):
            _multiply_shares(tasks, threads, thread)

    @entry(parallel=True)
    def parallel(tasks: np.ndarray, threads: int) -> None:
        len(version)
        for thread in numba.prange(threads):
            _multiply_shares(tasks, threads, np.int64(thread))

    return serial, parallel


_SERIAL, _PARALLEL = _compile(VERSION)


def multiply(products: Sequence[tuple[Tensor, Tensor]], *, threads: int = 1, parallel: bool = False) -> list[Tensor]:
    """The product of each pair of float32 matrices, none of which needs another's; leading dimensions are taken one by one.

    A matrix may be stored by rows or by columns. What tiles do not fit is left to torch.
    """
    results: list[Tensor] = []
    tasks: list[_Task] = []
    kept: list[Tensor] = []  # what the tasks' addresses point into
    for a, b in products:
        # The transposed product where only its sizes make whole vectors.
        turns = b.shape[-1] % LANES != 0 and a.shape[-2] % LANES == 0
        left, right = (b.mT, a.mT) if turns else (a, b)
        if right.shape[-1] % LANES:
            results.append(a @ b)
            continue
        leading = torch.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        out = left.new_empty(*leading, left.shape[-2], right.shape[-1])
        results.append(out.mT if turns else out)
        parts = (each.expand(*leading, *each.shape[-2:]).reshape(-1, *each.shape[-2:]) for each in (left, right))
        for each in zip(*parts, out.reshape(-1, *out.shape[-2:]), strict=True):
            task, more = _task(*each)
            tasks.append(task)
            kept += more
    if tasks:
        (_PARALLEL if parallel else _SERIAL)(np.array(tasks, dtype=np.int64), threads)
    return results


def _task(a: Tensor, b: Tensor, out: Tensor) -> tuple[_Task, list[Tensor]]:
    """The task for two matrices, and those it has to keep until it is done."""
    a, b = (each if 1 in each.stride() else each.contiguous() for each in (a, b))
    a_is_turned, b_is_turned = a.stride(1) != 1, b.stride(1) != 1
    room = torch.empty(b.shape[0], out.shape[1]) if b_is_turned else None
    return _Task(
        out.data_ptr(), row_out=out.stride(0),
        a=a.data_ptr(), row_a=a.stride(1) if a_is_turned else a.stride(0), a_is_turned=a_is_turned,
        b=b.data_ptr(), row_b=b.stride(1) if b_is_turned else b.stride(0), room=0 if room is None else room.data_ptr(),
        rows=a.shape[0], vectors=b.shape[1] // LANES, depth=a.shape[1],
    ), [a, b] if room is None else [a, b, room]  # fmt: skip
