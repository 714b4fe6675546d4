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

from functools import cache
from typing import NamedTuple

import numpy as np

from interp.training.cpu.kernels.active_words import NARROW, add_active_of, by_neuron, count, pull_back_of, word_at
from interp.training.cpu.kernels.arrays import Strips
from interp.training.cpu.kernels.compiler import WIDE_REGISTERS, njit, wide
from interp.training.cpu.kernels.places import Matrix, address
from interp.training.cpu.kernels.units import Unit, at_address, unit
from interp.training.cpu.kernels.vectors import LANES

WORD = 64
"""Number of neurons, or of pairs, whose activity one word holds."""

_FORWARD, _BACKWARD = (8, 8) if WIDE_REGISTERS else (4, 2)  # vectors of a strip: as many as fit into registers with their sums


class Active(NamedTuple):
    """Which neurons are active for a chunk's pairs: address of the first pair's word, and words from one pair to the next."""

    first: int
    row: int


@cache
def forward_strip(full: int, is_narrow: bool) -> Unit:
    """The unit that adds one strip of a chunk's logits: so many vectors of classes, and perhaps a narrow one."""
    add_active = add_active_of(full, is_narrow)

    @unit("forward", full, is_narrow)
    def strip(
        neurons: int, row_neurons: int, active: int, row_active: int, W_L: int, row_W_L: int, logits: int, row_logits: int,
        pairs: int, words: int,
    ) -> None:  # fmt: skip
        wide()
        for k in range(words):
            rows = W_L + 4 * WORD * k * row_W_L
            for i in range(pairs):
                word = word_at(active + 8 * (i * row_active + k))
                add_active(word, neurons + 4 * (i * row_neurons + WORD * k), rows, row_W_L, logits + 4 * i * row_logits)

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


@cache
def backward_strip(full: int, is_narrow: bool) -> Unit:
    """The unit that computes one strip of classes backward."""
    pull_back = pull_back_of(full, is_narrow)

    @unit("backward", full, is_narrow)
    def strip(
        neurons: int, row_neurons: int, d_logits: int, row_d_logits: int, W_L: int, row_W_L: int, d_W_L: int, row_d_W_L: int,
        so_far: int, row_so_far: int, out: int, row_out: int, counts: int, active: int, row_active: int, pairs: int, vectors: int,
    ) -> None:  # fmt: skip
        wide()
        words = np.empty(LANES, np.int64)
        for start in range(0, pairs, WORD):
            for v in range(vectors):
                first = active + 8 * start * row_active + 2 * v
                by_neuron(first, 4 * row_active, min(WORD, pairs - start), address(words))
                if counts:
                    count(address(words), counts + 8 * LANES * v)
                for j in range(LANES):
                    neuron = LANES * v + j
                    pull_back(
                        words[j],
                        neurons + 4 * (start * row_neurons + neuron), row_neurons,
                        d_logits + 4 * start * row_d_logits, row_d_logits,
                        W_L + 4 * neuron * row_W_L, d_W_L + 4 * neuron * row_d_W_L,
                        so_far + 4 * (start * row_so_far + neuron * (row_so_far > 0)), row_so_far,
                        out + 4 * (start * row_out + neuron), row_out,
                    )  # fmt: skip

    return strip


def _cut(classes: int, most: int) -> tuple[int, int, bool]:
    """Number of strips, vectors of the last one, and whether it has a narrow one after them."""
    full, left = divmod(classes, LANES)
    vectors = full + (left > NARROW)
    strips = max(1, -(-vectors // most))
    return strips, vectors - most * (strips - 1), 0 < left <= NARROW


def strips_for(classes: int) -> tuple[tuple[Unit, Unit, int], tuple[Unit, Unit, int]]:
    """What `Strips` holds for so many classes, forward and backward, with units in place of their addresses."""
    found = []
    for make, most in ((forward_strip, _FORWARD), (backward_strip, _BACKWARD)):
        number, *last = _cut(classes, most)
        found.append((make(*((most, False) if number > 1 else last)), make(*last), number))
    return found[0], found[1]


@njit
def add_logits(strips: Strips, neurons: Matrix, active: Active, W_L: Matrix, logits: Matrix, size: tuple[int, int]) -> None:
    """``logits += neurons W_L``; sizes: pairs, words of activity per pair."""
    for i in range(strips.number):
        column, strip = 4 * LANES * _FORWARD * i, strips.last if i == strips.number - 1 else strips.whole
        right, out = Matrix(W_L.first + column, W_L.row), Matrix(logits.first + column, logits.row)
        at_address(strip, neurons, active, right, out, size)


@njit
def pull_back_active(strips: Strips, back: Back, zero: Matrix, active: Active, size: tuple[int, int]) -> None:
    """``d_W_L += neurons^T d_logits``, and ``d_logits W_L^T`` where a neuron is active; `zero` is a matrix of one zero.

    Sizes: pairs, vectors of neurons.
    """
    for i in range(strips.number):
        column, is_last = 4 * LANES * _BACKWARD * i, i == strips.number - 1
        this = Back(
            back.neurons,
            Matrix(back.d_logits.first + column, back.d_logits.row),
            Matrix(back.W_L.first + column, back.W_L.row),
            Matrix(back.d_W_L.first + column, back.d_W_L.row),
            back.so_far if i > 0 else zero,
            back.out if is_last else back.so_far,
            back.counts if i == 0 else 0,
        )
        at_address(strips.last if is_last else strips.whole, this, active, size)


def needs_strips(classes: int) -> bool:
    """Whether this many classes take several strips backward."""
    return classes > LANES * _BACKWARD + NARROW
