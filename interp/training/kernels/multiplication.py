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

from interp.training.kernels.compiler import VERSION, entry, njit, widen
from interp.training.kernels.products import set_deep_product, set_deep_transposed_product
from interp.training.kernels.vectors import LANES, pointers


class _Task(NamedTuple):
    """Addresses and row lengths (in elements) of ``out = a b``, and its sizes.

    What is turned is stored by columns. `room` is where b is then put by rows, as long as those of `out`; 0 where it is not. Of
    each there may be several matrices, so many elements after one another.
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
    times: int
    next_out: int
    next_a: int
    next_b: int


_FIELDS = len(_Task._fields)


@intrinsic
def _copy(context: Any, source: Any, target: Any) -> Any:
    """Copy the number at an address to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
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
def _multiply_share(matrices: Any, size: tuple[int, int, int], threads: int, thread: int) -> None:
    """One thread's columns of a product or, where it has more of them and b is not turned, its rows.

    By rows every thread reads all of b, and would turn all of it into the same room.
    """
    out, row_out, a, row_a, a_is_turned, b, row_b, room = matrices
    rows, vectors, depth = size
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
    """One thread's share of every product."""
    for i in range(len(tasks)):
        task: Any = to_fixed_tuple(tasks[i], _FIELDS)
        out, row_out, a, row_a, a_is_turned, b, row_b, room, rows, vectors, depth, times, next_out, next_a, next_b = task
        for n in range(times):
            matrices = (out + 4 * n * next_out, row_out, a + 4 * n * next_a, row_a, a_is_turned, b + 4 * n * next_b, row_b, room)
            _multiply_share(matrices, (rows, vectors, depth), threads, thread)


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


def multiply(products: Sequence[tuple[Tensor, ...]], *, threads: int = 1, parallel: bool = False) -> list[Tensor]:
    """The product of each pair of float32 matrices, none of which needs another's; put into a third tensor where one is given.

    Either factor may be several matrices (one leading dimension), as many as the other or one. They may be stored by rows or by
    columns. What tiles do not fit is left to torch.
    """
    results: list[Tensor] = []
    tasks: list[_Task] = []
    kept: list[Tensor] = []  # what the tasks' addresses point into
    late: list[tuple[Tensor, Tensor]] = []  # what is to be copied when the products are there
    for a, b, *wanted in products:
        # The transposed product where only its sizes make whole vectors.
        turns = b.shape[-1] % LANES != 0 and a.shape[-2] % LANES == 0
        left, right = (b.mT, a.mT) if turns else (a, b)
        if right.shape[-1] % LANES or max(a.ndim, b.ndim) > 3:
            results.append(torch.matmul(a, b, out=wanted[0]) if wanted else a @ b)
            continue
        direct = wanted[0] if wanted and not turns and wanted[0].stride(-1) == 1 else None
        task, out = _task(left, right, kept, out=direct)
        tasks.append(task)
        results.append(out.mT if turns else out)
        if wanted and direct is None:
            late.append((wanted[0], results[-1]))
    if tasks:
        (_PARALLEL if parallel else _SERIAL)(np.array(tasks, dtype=np.int64), threads)
    for into, product in late:
        into.copy_(product)
    return results


def _task(a: Tensor, b: Tensor, kept: list[Tensor], *, out: Tensor | None) -> tuple[_Task, Tensor]:
    """The task for a product, and where its result will be; what has to outlive the task is added to `kept`."""
    (rows, depth), columns = a.shape[-2:], b.shape[-1]
    a, b = (each if 1 in each.stride()[-2:] else each.contiguous() for each in (a, b))
    times = max(_several(a), _several(b))
    if out is None:
        out = a.new_empty((times, rows, columns) if max(a.ndim, b.ndim) > 2 else (rows, columns))
    step_a, step_b, step_out = a.stride(), b.stride(), out.stride()
    a_is_turned, b_is_turned = step_a[-1] != 1, step_b[-1] != 1
    room = a.new_empty(depth, step_out[-2]) if b_is_turned else out
    kept += [a, b, room]
    return _Task(
        out.data_ptr(), row_out=step_out[-2],
        a=a.data_ptr(), row_a=step_a[-1] if a_is_turned else step_a[-2], a_is_turned=a_is_turned,
        b=b.data_ptr(), row_b=step_b[-1] if b_is_turned else step_b[-2], room=room.data_ptr() if b_is_turned else 0,
        rows=rows, vectors=columns // LANES, depth=depth, times=times, next_out=step_out[0] if times > 1 else 0,
        next_a=step_a[0] if _several(a) > 1 else 0, next_b=step_b[0] if _several(b) > 1 else 0,
    ), out  # fmt: skip


def _several(matrices: Tensor) -> int:
    """How many matrices there are."""
    return matrices.shape[0] if matrices.ndim > 2 else 1
