"""The passes over all pairs, tables and weights, shared out among threads.

Each thread takes the chunks of its own tokens at position a, in a fixed order; what threads would have to share is kept per
thread and summed at the end, in the order of the threads. So equal inputs give equal bytes.

A pass is a list of stages, and a stage one of units, each of which computes one thread's share and is called by its address. It
is launched in parallel or not: a process with one thread never touches OpenMP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np

from interp.training.cpu.kernels import backpropagation, chunks, dots, products, rows, tabulation
from interp.training.cpu.kernels.active import strips_for
from interp.training.cpu.kernels.active_words import word_at
from interp.training.cpu.kernels.adamw import update
from interp.training.cpu.kernels.arrays import Gradients, Signs, Strips, open_work
from interp.training.cpu.kernels.chunks import backward_chunk, forward_chunk
from interp.training.cpu.kernels.compiler import VERSION, entry, njit
from interp.training.cpu.kernels.lines import fill
from interp.training.cpu.kernels.pair_losses import LOSSES
from interp.training.cpu.kernels.signs import choose_signs
from interp.training.cpu.kernels.summation import add_up, combine
from interp.training.cpu.kernels.units import Unit, at_address, unit


@unit()
def _evaluate(work: int, thread: int) -> None:
    """One thread's share of a pass that only measures."""
    of = open_work(work)
    pairs, loss, sums = of.pairs, of.setting.loss, of.sums
    sums.loss[thread], sums.correct[thread] = 0, 0
    for index in range(pairs.span[thread], pairs.span[thread + 1]):
        forward_chunk(work, thread, index)
        at_address(loss, work, thread, index)


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


@unit()
def _train(work: int, thread: int) -> None:
    """One thread's share of a training pass."""
    of = open_work(work)
    pairs, loss, sums = of.pairs, of.setting.loss, of.sums
    sums.loss[thread], sums.correct[thread] = 0, 0
    _clear(of.gradients, of.signs, thread)
    for index in range(pairs.span[thread], pairs.span[thread + 1]):
        forward_chunk(work, thread, index)
        at_address(loss, work, thread, index)
        backward_chunk(work, thread, index)


@dataclass(frozen=True)
class Layout:
    """What decides which units a run needs.

    Args:
        equals_sign: whether the input ends with ``=``.
        biases: whether the model has any biases.
        columns: number of classes that products need.
        loss: name of the loss function.
    """

    equals_sign: bool
    biases: bool
    columns: int
    loss: str


def units_for(layout: Layout) -> list[Unit]:
    """All units that a run needs, each after those that it calls."""
    named = [*products.UNITS, *dots.UNITS, rows.row, *chunks.UNITS]
    strips = [unit for *pair, _ in strips_for(layout.columns) for unit in pair]
    passes = [unit for each in _stages(layout) for stage in each for unit in stage]
    return list(dict.fromkeys([*named, *strips, LOSSES[layout.loss], *passes]))


def _stages(layout: Layout) -> Sequence[Sequence[Sequence[Unit]]]:
    """The stages of each of the `Passes`."""
    biases, equals_sign = layout.biases, layout.equals_sign
    forward = tabulation.stages(equals_sign=equals_sign, biases=biases)
    backward = backpropagation.stages(equals_sign=equals_sign, biases=biases)
    return forward, [[_evaluate]], [[_train]], [[combine]], [[add_up]], backward, [[update]], [[choose_signs]]


class Stage(NamedTuple):
    """What one launch does: address and number of the addresses of its units, and the array that holds these."""

    first: int
    number: int
    addresses: np.ndarray


Pass = tuple[Stage, ...]
"""The stages of a pass, to be launched one after another."""


class Passes(NamedTuple):
    """The passes.

    `tabulate` computes the tables, `evaluate` losses and accuracies, `train` the gradient of the tables, which `combine` and then
    `add_up` sum; `backpropagate` turns it into that of the weights, which `update` changes. `choose_signs` is for one thread.
    """

    tabulate: Pass
    evaluate: Pass
    train: Pass
    combine: Pass
    add_up: Pass
    backpropagate: Pass
    update: Pass
    choose_signs: Pass


def passes_for(layout: Layout) -> Passes:
    """The passes of a run. Its units are compiled, or loaded from the cache, where that was not done before."""
    for each in units_for(layout):
        each.address  # noqa: B018  in this order: none can be called before what it calls

    def stage(units: Sequence[Unit]) -> Stage:
        addresses = np.array([unit.address for unit in units])
        return Stage(addresses.ctypes.data, len(units), addresses)

    return Passes(*(tuple(stage(units) for units in stages) for stages in _stages(layout)))


def strips_of(layout: Layout) -> tuple[Strips, Strips]:
    """The units that multiply with W_L, forward and backward."""
    forward, backward = (Strips(whole.address, last.address, number) for whole, last, number in strips_for(layout.columns))
    return forward, backward


def _compile_launchers(version: str) -> tuple[Any, Any]:
    @entry(nogil=True)
    def serial(first: int, number: int, work: int, threads: int) -> None:
        len(version)  # see `compiler.VERSION`
        for thread in range(threads):
            for i in range(number):
                at_address(word_at(first + 8 * i), work, thread)

    @entry(parallel=True)
    def parallel(first: int, number: int, work: int, threads: int) -> None:
        len(version)
        for thread in numba.prange(threads):
            for i in range(number):
                at_address(word_at(first + 8 * i), work, np.int64(thread))

    return serial, parallel


SERIAL, PARALLEL = _compile_launchers(VERSION)
"""Launch a stage of a pass: ``(first, number, work, threads)``."""
