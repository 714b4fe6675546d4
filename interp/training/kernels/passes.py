# numba's functions are untyped.
# mypy: disable-error-code="no-untyped-call, call-arg"
"""The passes over all pairs, or over all columns of the tables, shared out among threads.

Each thread takes the chunks of its own tokens at position a, in a fixed order; what threads would have to share is kept per
thread and summed at the end, each thread its own columns (of W_L: rows). So equal inputs give equal bytes.

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
from interp.training.kernels.products import at, row_length, row_products, set_product, set_transposed_product
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
def _sum_heads(gradients: Gradients, h: int, start: int, stop: int) -> None:
    """`Gradients.both` of a head, from one column to another."""
    wide()
    near, far, both = gradients.near, gradients.far, gradients.both
    last = both.shape[1] - 1
    difference = both[h, last]
    difference[start:stop] = 0
    for token in range(last):
        out, row = both[h, token], near[h, token]
        for j in range(start, stop):
            out[j] = row[j]
            difference[j] += row[j]
        for each in range(far.shape[0]):
            more = far[each, h, token]
            for j in range(start, stop):
                out[j] += more[j]


@njit
def _sum_base(gradients: Gradients, start: int, stop: int) -> None:
    """`Gradients.base`, from one column to another."""
    wide()
    near, far, out = gradients.near, gradients.far, gradients.base
    out[:, start:stop] = 0
    if len(out) == 1:
        for token in range(near.shape[1]):
            row = near[len(near) - 1, token]
            for j in range(start, stop):
                out[0, j] += row[j]
    else:
        for token in range(len(out)):
            for each in range(far.shape[0]):
                row = far[each, far.shape[1] - 1, token]
                for j in range(start, stop):
                    out[token, j] += row[j]


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
def _combine_share(tables: Tables, gradients: Gradients, thread: int) -> None:
    """For one thread's columns (of W_L: rows): sum what was kept apart, and go on to the two factors of `Tables.far`."""
    wide()
    both, v, to_columns, threads = gradients.both, tables.v, tables.head_to_columns, len(gradients.far)
    first, vectors = _vectors_of(both.shape[2], threads, thread)
    start = LANES * first
    _sum_base(gradients, start, start + LANES * vectors)
    for h in range(both.shape[0]):
        _sum_heads(gradients, h, start, start + LANES * vectors)
        d_to_columns = gradients.head_to_columns[h]
        size, rows, out = (v.shape[2], vectors, v.shape[1]), at(both[h], 0, start), at(d_to_columns, 0, start)
        set_transposed_product(at(v[h], 0, 0), v.shape[2], rows, row_length(both[h]), out, row_length(d_to_columns), 0, size)
        d_v, right = gradients.v[thread, h], at(to_columns[h], 0, start)
        for token in range(both.shape[1]):
            row_products(at(both[h], token, start), right, row_length(to_columns[h]), at(d_v, token, 0), 1, (v.shape[2], vectors))
    neurons = gradients.W_L.shape[1]
    _sum_W_L(gradients.W_L, neurons * thread // threads, neurons * (thread + 1) // threads)


class Passes(NamedTuple):
    """The compiled passes: `prepare` finishes the tables, `evaluate` measures, `train` finds gradients, `combine` sums them."""

    prepare: Any
    evaluate: Any
    train: Any
    combine: Any


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

    # Not at the end of `train`: numba fuses parallel loops over the same range, and would combine before all threads are done.

    @entry(nogil=True)
    def combine_serial(tables: Tables, gradients: Gradients) -> None:
        len(version)
        for thread in range(len(gradients.far)):
            _combine_share(tables, gradients, thread)

    @entry(parallel=True)
    def combine_parallel(tables: Tables, gradients: Gradients) -> None:
        len(version)
        for thread in numba.prange(len(gradients.far)):
            _combine_share(tables, gradients, np.int64(thread))

    return (
        Passes(prepare_serial, evaluate_serial, train_serial, combine_serial),
        Passes(prepare_parallel, evaluate_parallel, train_parallel, combine_parallel),
    )


SERIAL, PARALLEL = _compile(VERSION)


def can_be_parallel(threads: int) -> bool:
    """Whether the parallel passes can be used: only where they can share OpenMP's threads with torch."""
    return threads > 1 and not forked() and share_openmp(threads)
