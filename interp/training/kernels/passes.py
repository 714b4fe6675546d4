# numba's functions are untyped.
# mypy: disable-error-code="no-untyped-call, call-arg"
"""The passes over all pairs, or over all columns of the tables, shared out among threads.

Each thread takes the chunks of its own tokens at position a, in a fixed order; what threads would have to share is kept per
thread and summed at the end, in the order of the threads. So equal inputs give equal bytes.

Each pass exists twice, serial and parallel, from the same compiled body: a process with one thread never touches OpenMP.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from interp.process import forked
from interp.training.kernels.arrays import Chunk, Gradients, Pairs, Setting, Sums, Tables
from interp.training.kernels.chunks import backward_chunk, forward_chunk, lose_chunk
from interp.training.kernels.compiler import VERSION, entry, inlined, njit, share_openmp, wide
from interp.training.kernels.products import (
    add_transposed_product,
    at,
    row_length,
    row_products,
    set_product,
    set_transposed_product,
)
from interp.training.kernels.vectors import LANES


@njit
def _of_thread(chunks: Chunk, thread: int) -> Chunk:
    active, columns, softmax, weights, d_scores, near, d_neurons = chunks
    return Chunk(
        active[thread], columns[thread], softmax[thread], weights[thread], d_scores[thread], near[thread], d_neurons[thread]
    )


@njit
def _evaluate_share(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, sums: Sums, thread: int) -> None:
    """One thread's share of a pass that only measures."""
    chunk, loss, correct = _of_thread(chunks, thread), 0.0, 0
    for index in range(pairs.span[thread], pairs.span[thread + 1]):
        forward_chunk(pairs, tables, setting, index, chunk)
        more_loss, more_correct = lose_chunk(pairs, setting, index, chunk.columns, tables.far.shape[2])
        loss, correct = loss + more_loss, correct + more_correct
    sums.loss[thread], sums.correct[thread] = loss, correct


@njit
def _train_share(
    pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, gradients: Gradients, sums: Sums, thread: int
) -> None:
    """One thread's share of a training pass."""
    chunk, loss, correct = _of_thread(chunks, thread), 0.0, 0
    gradients.W_L[thread] = 0
    gradients.far[thread] = 0
    gradients.near[:, pairs.tokens[thread] : pairs.tokens[thread + 1]] = 0
    if gradients.scores.shape[2] == 1:
        gradients.scores[thread] = 0
    for index in range(pairs.span[thread], pairs.span[thread + 1]):
        forward_chunk(pairs, tables, setting, index, chunk)
        more_loss, more_correct = lose_chunk(pairs, setting, index, chunk.columns, tables.far.shape[2])
        loss, correct = loss + more_loss, correct + more_correct
        backward_chunk(pairs, tables, setting, index, chunk, gradients, thread)
    sums.loss[thread], sums.correct[thread] = loss, correct


@inlined
def _vectors_of(columns: int, threads: int, thread: int) -> Any:
    """The vectors of columns that a thread has when columns are shared out: the first and how many."""
    vectors = columns // LANES
    first = vectors * thread // threads
    return first, vectors * (thread + 1) // threads - first


@njit
def _prepare_share(tables: Tables, threads: int, thread: int) -> None:
    """One thread's columns of `Tables.far`."""
    wide()
    far, v, to_columns = tables.far, tables.v, tables.head_to_columns
    first, vectors = _vectors_of(far.shape[2], threads, thread)
    for h in range(far.shape[0]):
        size = (v.shape[1], vectors, v.shape[2])
        right, out = at(to_columns[h], 0, LANES * first), at(far[h], 0, LANES * first)
        set_product(at(v[h], 0, 0), v.shape[2], right, row_length(to_columns[h]), out, row_length(far[h]), 0, size)


@njit
def _add_row(out: np.ndarray, row: np.ndarray) -> None:
    wide()
    for j in range(len(out)):
        out[j] += row[j]


@njit
def _sum_of_head(gradients: Gradients, h: int, tokens: tuple[int, int], both: np.ndarray) -> None:
    """The sum of near and far of some tokens, a row each, and after them that of their near."""
    wide()
    first, last = tokens
    total = both[last - first]
    total[:] = 0
    for token in range(first, last):
        out, row = both[token - first], gradients.near[h, token]
        for j in range(len(out)):
            out[j] = row[j]
            total[j] += row[j]
        for each in range(gradients.far.shape[0]):
            _add_row(out, gradients.far[each, h, token])


@njit
def _sum_base(gradients: Gradients, tokens: tuple[int, int], rows: int, part: np.ndarray) -> None:
    """The base's gradient: this thread's part of the one there is, or those of its tokens."""
    near, far = gradients.near, gradients.far
    if len(gradients.columns) == rows + 1:
        part[:] = 0
        for token in range(*tokens):
            _add_row(part, near[len(near) - 1, token])
    else:
        for token in range(*tokens):
            out = gradients.columns[rows + token]
            out[:] = 0
            for each in range(far.shape[0]):
                _add_row(out, far[each, far.shape[1] - 1, token])


@njit
def _combine_share(tokens: np.ndarray, tables: Tables, gradients: Gradients, thread: int) -> None:
    """For one thread's tokens: sum what was kept apart, and go on to the two factors of `Tables.far`.

    A thread's own rows of near and far it has in its caches; by columns it would have to fetch half of everything.
    """
    wide()
    v, to_columns, both, parts = tables.v, tables.head_to_columns, gradients.both[thread], gradients.parts[thread]
    first, last, d_head, vectors = tokens[thread], tokens[thread + 1], v.shape[2], to_columns.shape[2] // LANES
    _sum_base(gradients, (first, last), len(parts) - 1, parts[len(parts) - 1])
    for h in range(len(v)):
        _sum_of_head(gradients, h, (first, last), both)
        total, out = at(both, last - first, 0), at(parts, h * d_head, 0)
        row, row_out = row_length(both), row_length(parts)
        set_transposed_product(at(v[h], v.shape[1] - 1, 0), d_head, total, row, out, row_out, 0, (d_head, vectors, 1))
        size = (d_head, vectors, last - first)
        add_transposed_product(at(v[h], first, 0), d_head, at(both, 0, 0), row, out, row_out, 0, size)
        right, row_right, size_of_dots = at(to_columns[h], 0, 0), row_length(to_columns[h]), (d_head, vectors)
        for token in range(first, last):
            row_products(at(both, token - first, 0), right, row_right, at(gradients.v[h], token, 0), 1, size_of_dots)
        row_products(total, right, row_right, at(gradients.last_v[thread], h, 0), 1, size_of_dots)


@njit
def _sum_W_L(W_L: np.ndarray, first: int, last: int) -> None:
    """Add what the threads have to what the first one has, from one neuron to another."""
    wide()
    for each in range(1, len(W_L)):
        for neuron in range(first, last):
            out, row = W_L[0, neuron], W_L[each, neuron]
            for j in range(len(out)):
                out[j] += row[j]


@njit
def _add_up_share(gradients: Gradients, threads: int, thread: int) -> None:
    """For one thread's columns (of W_L: rows): add what all threads have."""
    wide()
    parts, columns, W_L, last = gradients.parts, gradients.columns, gradients.W_L, gradients.v.shape[1] - 1
    first, vectors = _vectors_of(columns.shape[1], threads, thread)
    cut = slice(LANES * first, LANES * (first + vectors))
    rows = parts.shape[1] - 1
    for row in range(rows + (len(columns) == rows + 1)):
        out = columns[row, cut]
        out[:] = parts[0, row, cut]
        for each in range(1, threads):
            _add_row(out, parts[each, row, cut])
    if thread == 0:
        for h in range(len(gradients.v)):
            gradients.v[h, last] = gradients.last_v[0, h]
            for each in range(1, threads):
                _add_row(gradients.v[h, last], gradients.last_v[each, h])
    _sum_W_L(W_L, W_L.shape[1] * thread // threads, W_L.shape[1] * (thread + 1) // threads)


class Passes(NamedTuple):
    """The compiled passes.

    `prepare` finishes the tables, `evaluate` measures, `train` finds gradients; `combine`, then `add_up`, sums them.
    """

    prepare: Any
    evaluate: Any
    train: Any
    combine: Any
    add_up: Any


def _compile(version: str) -> tuple[Passes, Passes]:
    """The serial and the parallel passes, each a function of its own: numba's cache goes by the function, not by its options."""

    @entry(nogil=True)
    def prepare_serial(tables: Tables, threads: int) -> None:
        len(version)  # see `compiler.VERSION`
        for thread in range(threads):
            _prepare_share(tables, threads, thread)

    @entry(parallel=True)
    def prepare_parallel(tables: Tables, threads: int) -> None:
        len(version)
        for thread in numba.prange(threads):
            _prepare_share(tables, threads, np.int64(thread))

    @entry(nogil=True)
    def evaluate_serial(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, sums: Sums) -> None:
        len(version)
        for thread in range(len(pairs.span) - 1):
            _evaluate_share(pairs, tables, setting, chunks, sums, thread)

    @entry(parallel=True)
    def evaluate_parallel(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, sums: Sums) -> None:
        len(version)
        for thread in numba.prange(len(pairs.span) - 1):
            _evaluate_share(pairs, tables, setting, chunks, sums, np.int64(thread))

    @entry(nogil=True)
    def train_serial(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, gradients: Gradients, sums: Sums) -> None:
        len(version)
        for thread in range(len(pairs.span) - 1):
            _train_share(pairs, tables, setting, chunks, gradients, sums, thread)

    @entry(parallel=True)
    def train_parallel(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, gradients: Gradients, sums: Sums) -> None:
        len(version)
        for thread in numba.prange(len(pairs.span) - 1):
            _train_share(pairs, tables, setting, chunks, gradients, sums, np.int64(thread))

    # Each on its own: numba fuses parallel loops over one range, and would begin the next before all threads are done.

    @entry(nogil=True)
    def combine_serial(tokens: np.ndarray, tables: Tables, gradients: Gradients) -> None:
        len(version)
        for thread in range(len(tokens) - 1):
            _combine_share(tokens, tables, gradients, thread)

    @entry(parallel=True)
    def combine_parallel(tokens: np.ndarray, tables: Tables, gradients: Gradients) -> None:
        len(version)
        for thread in numba.prange(len(tokens) - 1):
            _combine_share(tokens, tables, gradients, np.int64(thread))

    @entry(nogil=True)
    def add_up_serial(gradients: Gradients) -> None:
        len(version)
        for thread in range(len(gradients.parts)):
            _add_up_share(gradients, len(gradients.parts), thread)

    @entry(parallel=True)
    def add_up_parallel(gradients: Gradients) -> None:
        len(version)
        for thread in numba.prange(len(gradients.parts)):
            _add_up_share(gradients, len(gradients.parts), np.int64(thread))

    return (
        Passes(prepare_serial, evaluate_serial, train_serial, combine_serial, add_up_serial),
        Passes(prepare_parallel, evaluate_parallel, train_parallel, combine_parallel, add_up_parallel),
    )


SERIAL, PARALLEL = _compile(VERSION)


def can_be_parallel(threads: int) -> bool:
    """Whether the parallel passes can be used: only where they can share OpenMP's threads with torch."""
    return threads > 1 and not forked() and share_openmp(threads)
