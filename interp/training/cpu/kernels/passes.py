"""The passes over all pairs, tables and weights, shared out among threads.

Each thread takes the chunks of its own tokens at position a, in a fixed order; what threads would have to share is kept per
thread and summed at the end, in the order of the threads. So equal inputs give equal bytes.

A pass is compiled once, as a function that computes one thread's share and is called by its address, and is launched in parallel
or not: a process with one thread never touches OpenMP.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from interp.process import forked
from interp.training.cpu.kernels.adamw import update_share
from interp.training.cpu.kernels.arrays import (
    Chunk,
    Gradients,
    Pairs,
    Setting,
    Signs,
    Sums,
    Tables,
    open_chunk,
    open_gradients,
    open_model,
    open_moments,
    open_pairs,
    open_setting,
    open_signs,
    open_sums,
    open_tables,
    open_work,
)
from interp.training.cpu.kernels.backpropagation import backpropagate_share
from interp.training.cpu.kernels.chunks import backward_chunk, forward_chunk, lose_chunk
from interp.training.cpu.kernels.compiler import VERSION, callback, entry, njit, share_openmp
from interp.training.cpu.kernels.lines import fill
from interp.training.cpu.kernels.signs import choose
from interp.training.cpu.kernels.summation import add_up_share, combine_share
from interp.training.cpu.kernels.tabulation import tabulate_share
from interp.training.cpu.kernels.vectors import INDEX


@njit
def _of_thread(chunks: Chunk, thread: int) -> Chunk:
    active, columns, softmax, weights, d_scores, d_neurons = chunks
    return Chunk(active[thread], columns[thread], softmax[thread], weights[thread], d_scores[thread], d_neurons[thread])


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
def _clear(gradients: Gradients, signs: Signs, thread: int) -> None:
    """Set to 0 what a thread only adds to. (Rows of near and far are overwritten; those of tokens without a pair stay 0.)"""
    zero, W_L = np.float32(0), gradients.W_L[thread]
    for neuron in range(signs.active.shape[1]):
        signs.active[thread, neuron] = 0
    for neuron in range(len(W_L)):
        fill(W_L[neuron], zero)
    if gradients.scores.shape[2] == 1:
        for h in range(gradients.scores.shape[1]):
            fill(gradients.scores[thread, h, 0], zero)


@njit
def _train_share(
    pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, gradients: Gradients, signs: Signs, sums: Sums, thread: int
) -> None:
    """One thread's share of a training pass."""
    chunk, loss, correct = _of_thread(chunks, thread), 0.0, 0
    _clear(gradients, signs, thread)
    for index in range(pairs.span[thread], pairs.span[thread + 1]):
        forward_chunk(pairs, tables, setting, index, chunk)
        more_loss, more_correct = lose_chunk(pairs, setting, index, chunk.columns, tables.far.shape[2])
        loss, correct = loss + more_loss, correct + more_correct
        backward_chunk(pairs, tables, setting, index, chunk, gradients, signs, thread)
    sums.loss[thread], sums.correct[thread] = loss, correct


class Passes(NamedTuple):
    """The passes, each as the address of the function that computes one thread's share of it.

    `tabulate` computes the tables, `evaluate` losses and accuracies, `train` the gradient of the tables, which `combine` and then
    `add_up` sum; `backpropagate` turns it into that of the weights, which `update` changes. `choose_signs` is for one thread.
    `tabulate` and `backpropagate` have stages, to be launched one after another.
    """

    tabulate: int
    evaluate: int
    train: int
    combine: int
    add_up: int
    backpropagate: int
    update: int
    choose_signs: int


def _compile(version: str) -> Passes:
    @callback
    def tabulate(work: int, stage: int, thread: int) -> None:
        len(version)  # see `compiler.VERSION`
        of = open_work(work)
        model, tables, signs = open_model(of.model), open_tables(of.tables), open_signs(of.signs)
        tabulate_share(model, tables, signs, open_setting(of.setting), stage, of.threads, thread)

    @callback
    def evaluate(work: int, stage: int, thread: int) -> None:
        len(version)
        of = open_work(work)
        pairs, tables, chunks, sums = open_pairs(of.pairs), open_tables(of.tables), open_chunk(of.chunks), open_sums(of.sums)
        _evaluate_share(pairs, tables, open_setting(of.setting), chunks, sums, thread)

    @callback
    def train(work: int, stage: int, thread: int) -> None:
        len(version)
        of = open_work(work)
        pairs, tables, chunks, sums = open_pairs(of.pairs), open_tables(of.tables), open_chunk(of.chunks), open_sums(of.sums)
        gradients, signs = open_gradients(of.gradients), open_signs(of.signs)
        _train_share(pairs, tables, open_setting(of.setting), chunks, gradients, signs, sums, thread)

    @callback
    def combine(work: int, stage: int, thread: int) -> None:
        len(version)
        of = open_work(work)
        combine_share(open_pairs(of.pairs).tokens, open_tables(of.tables), open_gradients(of.gradients), thread)

    @callback
    def add_up(work: int, stage: int, thread: int) -> None:
        len(version)
        of = open_work(work)
        add_up_share(open_gradients(of.gradients), of.threads, thread)

    @callback
    def backpropagate(work: int, stage: int, thread: int) -> None:
        len(version)
        of = open_work(work)
        model, tables, gradients, into = (
            open_model(of.model), open_tables(of.tables), open_gradients(of.gradients), open_model(of.into),
        )  # fmt: skip
        signs, setting = open_signs(of.signs), open_setting(of.setting)
        backpropagate_share(model, tables, gradients, into, signs, setting, stage, of.threads, thread)

    @callback
    def update(work: int, stage: int, thread: int) -> None:
        len(version)
        of = open_work(work)
        update_share(open_moments(of.moments), of.threads, thread)

    @callback
    def choose_signs(work: int, stage: int, thread: int) -> None:
        len(version)
        of = open_work(work)
        choose(open_signs(of.signs), len(open_pairs(of.pairs).a))

    return Passes(tabulate, evaluate, train, combine, add_up, backpropagate, update, choose_signs)


@cache
def passes() -> Passes:
    """The passes; compiled, or loaded from numba's cache, at the first call."""
    return _compile(VERSION)


@intrinsic
def call_share(context: Any, function: Any, work: Any, stage: Any, thread: Any) -> Any:
    """Call one thread's share of a pass."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function, *rest = arguments
        kind = ir.FunctionType(ir.VoidType(), [INDEX] * len(rest))
        builder.call(builder.inttoptr(function, kind.as_pointer()), rest)
        return context.get_dummy_value()

    return numba.void(*[numba.int64] * 4), generate


def _compile_launchers(version: str) -> tuple[Any, Any]:
    @entry(nogil=True)
    def serial(function: int, work: int, stage: int, threads: int) -> None:
        len(version)
        for thread in range(threads):
            call_share(function, work, stage, thread)

    @entry(parallel=True)
    def parallel(function: int, work: int, stage: int, threads: int) -> None:
        len(version)
        for thread in numba.prange(threads):
            call_share(function, work, stage, np.int64(thread))

    return serial, parallel


SERIAL, PARALLEL = _compile_launchers(VERSION)
"""Launch a pass, or a stage of one: ``(function, work, stage, threads)``."""


def can_be_parallel(threads: int) -> bool:
    """Whether passes can be launched in parallel: only where they can share OpenMP's threads with torch."""
    return threads > 1 and not forked() and share_openmp(threads)
