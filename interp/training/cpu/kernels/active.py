"""Products with W_L that skip the neurons that are 0.

For each pair more than half of the neurons are 0 (signs.py sees to that). Such a neuron adds nothing to a logit, and neither it
nor its weights get a gradient from that pair: the three products with W_L are most of the arithmetic of the passes, and two
thirds of it would be multiplication by zero. Here a pair's active neurons are the set bits of 64-bit words, and only their rows
of W_L are touched. Forward, a pair's logits stay in registers while its active neurons are added. Backward, a neuron's row of W_L
and the gradient of that row stay in registers while the loop runs over the pairs that activate it: each gradient of logits is
read once for both.

Classes are processed in strips that fit into registers; the last few, if any are left over, form a vector of 4. (Of 113 none are
left: logits relative to the last class have 112 columns, see tabulation.py.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from interp.training.cpu.kernels.active_words import NARROW, add_active_of, by_neuron, count, pull_back_of, word_at
from interp.training.cpu.kernels.compiler import WIDE_REGISTERS, njit, variant, wide
from interp.training.cpu.kernels.products import Matrix
from interp.training.cpu.kernels.vectors import LANES

WORD = 64
"""Number of neurons, or of pairs, whose activity one word holds."""

_FORWARD, _BACKWARD = (8, 8) if WIDE_REGISTERS else (4, 2)  # vectors of a strip: as many as fit into registers with their sums


class Active(NamedTuple):
    """Which neurons are active for a chunk's pairs: address of the first pair's word, and words from one pair to the next."""

    first: int
    row: int


def _forward_strip(full: int, is_narrow: bool) -> Any:
    """The function that adds one strip of a chunk's logits."""
    add_active = add_active_of(full, is_narrow)

    @variant("forward", full, is_narrow)
    def strip(neurons: Matrix, active: Active, W_L: Matrix, logits: Matrix, size: tuple[int, int]) -> None:
        wide()
        pairs, words = size
        for k in range(words):
            rows = W_L.first + 4 * WORD * k * W_L.row
            for i in range(pairs):
                word = word_at(active.first + 8 * (i * active.row + k))
                add_active(
                    word, neurons.first + 4 * (i * neurons.row + WORD * k), rows, W_L.row, logits.first + 4 * i * logits.row
                )

    return strip


class Back(NamedTuple):
    """What `pull_back_active` reads and writes: neurons, the gradient of the logits, W_L and its gradient, the neurons' gradient.

    `counts`, if it is not 0, is the address of one number per neuron, to which the number of pairs that activate it is added.

    Between strips of classes the neurons' gradient is kept in `so_far`; the last strip writes it to `out`, which may be
    `neurons`. A matrix whose rows are 0 apart is a single zero: the gradient before the first strip.
    """

    neurons: Matrix
    d_logits: Matrix
    W_L: Matrix
    d_W_L: Matrix
    so_far: Matrix
    out: Matrix
    counts: int


def _backward_strip(full: int, is_narrow: bool) -> Any:
    """The function that computes one strip of classes backward."""
    pull_back = pull_back_of(full, is_narrow)

    @variant("backward", full, is_narrow)
    def strip(back: Back, active: Active, size: tuple[int, int]) -> None:
        wide()
        pairs, vectors = size
        words = np.empty(LANES, np.int64)
        neurons, d_logits, W_L, d_W_L, so_far, out, counts = back
        for start in range(0, pairs, WORD):
            for v in range(vectors):
                first = active.first + 8 * start * active.row + 2 * v
                by_neuron(first, 4 * active.row, min(WORD, pairs - start), words.ctypes.data)
                if counts:
                    count(words.ctypes.data, counts + 8 * LANES * v)
                for j in range(LANES):
                    neuron = LANES * v + j
                    pull_back(
                        words[j],
                        neurons.first + 4 * (start * neurons.row + neuron), neurons.row,
                        d_logits.first + 4 * start * d_logits.row, d_logits.row,
                        W_L.first + 4 * neuron * W_L.row, d_W_L.first + 4 * neuron * d_W_L.row,
                        so_far.first + 4 * (start * so_far.row + neuron * (so_far.row > 0)), so_far.row,
                        out.first + 4 * (start * out.row + neuron), out.row,
                    )  # fmt: skip

    return strip


def _choice(make: Callable[[int, bool], Any], full: int) -> Any:
    """The function that picks the strip for a given number of full vectors (at most `full`), with or without a narrow one."""
    with_narrow = make(full, True)
    if not full:

        @variant(make.__name__)
        def least(vectors: int, is_narrow: bool, arguments: Any) -> None:  # noqa: ARG001  as `choose`
            if is_narrow:
                with_narrow(*arguments)

        return least
    without, fewer = make(full, False), _choice(make, full - 1)

    @variant(make.__name__, full)
    def choose(vectors: int, is_narrow: bool, arguments: Any) -> None:
        if vectors < full:
            fewer(vectors, is_narrow, arguments)
        elif is_narrow:
            with_narrow(*arguments)
        else:
            without(*arguments)

    return choose


_forward, _backward = _choice(_forward_strip, _FORWARD), _choice(_backward_strip, _BACKWARD)


@njit
def _cut(classes: int) -> tuple[int, bool]:
    """Number of full vectors of classes, and whether a narrow one is left over."""
    full, left = classes // LANES, classes % LANES
    return full + (left > NARROW), 0 < left <= NARROW


@njit
def add_logits(neurons: Matrix, active: Active, W_L: Matrix, logits: Matrix, size: tuple[int, int, int]) -> None:
    """``logits += neurons W_L``; sizes: pairs, words of activity per pair, classes."""
    pairs, words, classes = size
    vectors, is_narrow = _cut(classes)
    for v in range(0, max(vectors, 1), _FORWARD):
        strip, column = min(_FORWARD, vectors - v), 4 * LANES * v
        right, out = Matrix(W_L.first + column, W_L.row), Matrix(logits.first + column, logits.row)
        _forward(strip, is_narrow and v + strip == vectors, (neurons, active, right, out, (pairs, words)))


@njit
def pull_back_active(back: Back, zero: Matrix, active: Active, size: tuple[int, int, int]) -> None:
    """``d_W_L += neurons^T d_logits``, and ``d_logits W_L^T`` where a neuron is active; `zero` is a matrix of one zero.

    Sizes: pairs, vectors of neurons, classes.
    """
    pairs, vectors_of_neurons, classes = size
    vectors, is_narrow = _cut(classes)
    for v in range(0, max(vectors, 1), _BACKWARD):
        strip, column = min(_BACKWARD, vectors - v), 4 * LANES * v
        is_last = v + strip == vectors
        this = Back(
            back.neurons,
            Matrix(back.d_logits.first + column, back.d_logits.row),
            Matrix(back.W_L.first + column, back.W_L.row),
            Matrix(back.d_W_L.first + column, back.d_W_L.row),
            back.so_far if v > 0 else zero,
            back.out if is_last else back.so_far,
            back.counts if v == 0 else 0,
        )
        _backward(strip, is_narrow and is_last, (this, active, (pairs, vectors_of_neurons)))


def needs_strips(classes: int) -> bool:
    """Whether this many classes take several strips backward."""
    return classes > LANES * _BACKWARD + NARROW
