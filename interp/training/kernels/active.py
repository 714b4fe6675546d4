# numba's intrinsics and llvmlite are untyped.
# mypy: disable-error-code="attr-defined, call-arg, no-untyped-call, import-untyped"
# ruff: noqa: ARG001, PLR0913, PLR0917  numba calls with these arguments, and a product has many
"""Products with W_L that do only what active neurons ask for.

About half of a ReLU's outputs are 0. They add nothing to a logit, and neither they nor their weights get a gradient from that
pair: of the three products with W_L, nine tenths of the arithmetic of the passes, half would be multiplying with zeros. Here a
pair's active neurons are the ones in words of 64 bits, and a row of W_L is touched for these only. Forward, a pair's logits stay
in registers while its active neurons are added. Backward, a neuron's row of W_L and that row's gradient stay there while the
pairs that activate it pass: each gradient of logits is read once for both.

Classes are done in strips that fit into registers. Where a few are left over they are a vector of 4. (Of 113 none are: logits
relative to the last class have 112 columns, see tabulation.py.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.kernels.compiler import WIDE_REGISTERS, njit, variant, wide, widen
from interp.training.kernels.products import Matrix
from interp.training.kernels.vectors import (
    BITS,
    INDEX,
    LANES,
    broadcast,
    constant,
    for_bits,
    lengthened,
    load,
    multiply_add,
    place,
    pointers,
    store,
    totals,
    variable,
    zeros,
)

WORD = 64
"""Neurons, or pairs, whose activity is told by one word."""

_NARROW = 4  # lanes of the vector for the last few classes
_PAIRS = 4  # that backward takes at once: their gradients are summed together
_FORWARD, _BACKWARD = (8, 8) if WIDE_REGISTERS else (4, 2)  # vectors of a strip: as many as registers hold, with what is summed


class Active(NamedTuple):
    """Which neurons of a chunk's pairs are active: address of the first pair's word, and words from one pair to the next."""

    first: int
    row: int


def _vectors(full: int, is_narrow: bool) -> list[tuple[int, int]]:
    """The vectors of a strip: place and lanes of each."""
    return [(v, LANES) for v in range(full)] + [(full, _NARROW)] * is_narrow


def _add_active(full: int, is_narrow: bool) -> Any:
    """The intrinsic for one pair's word: ``out += sum over the active j of neuron_j W_L_j``, one strip of it."""
    vectors = _vectors(full, is_narrow)

    def emit(builder: Any, word: Any, neurons: Any, W_L: Any, row_W_L: Any, out: Any) -> None:
        neurons, W_L, out = pointers(builder, neurons, W_L, out)
        sums = [variable(builder, load(builder, out, v, lanes=lanes)) for v, lanes in vectors]

        def add(j: Any) -> None:
            neuron, row = builder.load(place(builder, neurons, j)), place(builder, W_L, builder.mul(j, row_W_L))
            for (v, lanes), so_far in zip(vectors, sums, strict=True):
                left, right = broadcast(builder, neuron, lanes=lanes), load(builder, row, v, lanes=lanes)
                builder.store(multiply_add(builder, left, right, builder.load(so_far)), so_far)

        for_bits(builder, word, add)
        for (v, _), so_far in zip(vectors, sums, strict=True):
            store(builder, builder.load(so_far), out, v)

    @intrinsic
    def add_active(context: Any, word: Any, neurons: Any, W_L: Any, row_W_L: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            widen(builder)
            emit(builder, *arguments)
            return context.get_dummy_value()

        return numba.void(*[numba.int64] * 5), generate

    return add_active


def _pull_back(full: int, is_narrow: bool) -> Any:
    """The intrinsic for one neuron's word of pairs, one strip of classes.

    ``d_W_L += sum over the active pairs i of neuron_i d_logits_i`` and ``out_i = before_i + W_L . d_logits_i``.
    """
    vectors = _vectors(full, is_narrow)

    def emit(builder: Any, word: Any, *arguments: Any) -> None:
        neurons, row_neurons, d_logits, row_d_logits, W_L, d_W_L, before, row_before, out, row_out = arguments
        neurons, d_logits, W_L, d_W_L, before, out = pointers(builder, neurons, d_logits, W_L, d_W_L, before, out)
        weights = [load(builder, W_L, v, lanes=lanes) for v, lanes in vectors]
        sums = [variable(builder, zeros(lanes)) for _, lanes in vectors]

        def add(*pairs: Any) -> None:
            values = [builder.load(place(builder, neurons, builder.mul(i, row_neurons))) for i in pairs]
            rows = [place(builder, d_logits, builder.mul(i, row_d_logits)) for i in pairs]
            # Once for each length, before all else: in the loop LLVM would no longer keep all of it in registers.
            neuron = {lanes: [broadcast(builder, value, lanes=lanes) for value in values] for lanes in {n for _, n in vectors}}
            products: list[dict[int, Any]] = [{} for _ in pairs]
            for (v, lanes), weight, so_far in zip(vectors, weights, sums, strict=True):
                sum_of_pairs = builder.load(so_far)
                for left, row, product in zip(neuron[lanes], rows, products, strict=True):
                    d_logit = load(builder, row, v, lanes=lanes)
                    sum_of_pairs = multiply_add(builder, left, d_logit, sum_of_pairs)
                    first = lanes not in product
                    product[lanes] = (
                        builder.fmul(weight, d_logit) if first else multiply_add(builder, weight, d_logit, product[lanes])
                    )
                builder.store(sum_of_pairs, so_far)
            wholes = []
            for product in products:
                parts = [lengthened(builder, part) if lanes < LANES else part for lanes, part in product.items()]
                wholes.append(parts[0] if len(parts) == 1 else builder.fadd(*parts))
            for i, gradient in zip(pairs, totals(builder, wholes), strict=True):
                so_far = builder.load(place(builder, before, builder.mul(i, row_before)))
                builder.store(builder.fadd(gradient, so_far), place(builder, out, builder.mul(i, row_out)))

        for_bits(builder, word, add, at_once=_PAIRS)
        # Sums of sums of a word's pairs: rounding grows with the number of pairs in a word, not with that of all.
        for (v, lanes), so_far in zip(vectors, sums, strict=True):
            store(builder, builder.fadd(load(builder, d_W_L, v, lanes=lanes), builder.load(so_far)), d_W_L, v)

    @intrinsic
    def pull_back(
        context: Any, word: Any, neurons: Any, row_neurons: Any, d_logits: Any, row_d_logits: Any, W_L: Any, d_W_L: Any,
        before: Any, row_before: Any, out: Any, row_out: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            widen(builder)
            emit(builder, *arguments)
            return context.get_dummy_value()

        return numba.void(*[numba.int64] * 11), generate

    return pull_back


@intrinsic
def _by_neuron(context: Any, active: Any, row: Any, pairs: Any, words: Any) -> Any:
    """Turn the activity of 16 neurons in up to 64 pairs: bit i of word j is bit j of what the i-th pair has."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        active, row, pairs, words = arguments
        kind = ir.VectorType(INDEX, LANES)
        nothing = ir.Constant(kind, [0] * LANES)
        active, turned = builder.inttoptr(active, BITS.as_pointer()), variable(builder, nothing)
        with cgutils.for_range(builder, pairs) as loop:
            bits = builder.load(place(builder, active, builder.mul(loop.index, row)))
            mask = builder.bitcast(bits, ir.VectorType(ir.IntType(1), LANES))
            pair = broadcast(builder, builder.shl(constant(1), loop.index))
            builder.store(builder.or_(builder.load(turned), builder.select(mask, pair, nothing)), turned)
        builder.store(builder.load(turned), builder.inttoptr(words, kind.as_pointer())).align = 8
        return context.get_dummy_value()

    return numba.void(*[numba.int64] * 4), generate


@intrinsic
def _count(context: Any, words: Any, counts: Any) -> Any:
    """Add to 16 numbers those of the bits in 16 words."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        kind = ir.VectorType(INDEX, LANES)
        words, counts = (builder.inttoptr(each, kind.as_pointer()) for each in arguments)
        pop = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.ctpop.v{LANES}i64")
        bits, before = builder.load(words, align=8), builder.load(counts, align=8)
        builder.store(builder.add(before, builder.call(pop, [bits])), counts, align=8)
        return context.get_dummy_value()

    return numba.void(*[numba.int64] * 2), generate


@intrinsic
def _word(context: Any, address: Any) -> Any:
    """The word at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        return builder.load(builder.inttoptr(arguments[0], INDEX.as_pointer()))

    return numba.int64(numba.int64), generate


def _forward_strip(full: int, is_narrow: bool) -> Any:
    """The function that adds one strip of a chunk's logits."""
    add_active = _add_active(full, is_narrow)

    @variant("forward", full, is_narrow)
    def strip(neurons: Matrix, active: Active, W_L: Matrix, logits: Matrix, size: tuple[int, int]) -> None:
        wide()
        pairs, words = size
        for k in range(words):
            rows = W_L.first + 4 * WORD * k * W_L.row
            for i in range(pairs):
                word = _word(active.first + 8 * (i * active.row + k))
                add_active(
                    word, neurons.first + 4 * (i * neurons.row + WORD * k), rows, W_L.row, logits.first + 4 * i * logits.row
                )

    return strip


class Back(NamedTuple):
    """What `pull_back_active` reads and writes: neurons, their logits' gradient, W_L and its gradient, the neurons' gradient.

    At the address `counts`, if it is not 0, is a number for each neuron; that of the pairs for which it is active is added to it.

    Between strips of classes the neurons' gradient is kept in `so_far`; with the last one it is put into `out`, which may be
    `neurons`. A matrix whose rows are 0 apart is one zero: what there is before the first strip.
    """

    neurons: Matrix
    d_logits: Matrix
    W_L: Matrix
    d_W_L: Matrix
    so_far: Matrix
    out: Matrix
    counts: int


def _backward_strip(full: int, is_narrow: bool) -> Any:
    """The function that does one strip of classes backward."""
    pull_back = _pull_back(full, is_narrow)

    @variant("backward", full, is_narrow)
    def strip(back: Back, active: Active, size: tuple[int, int]) -> None:
        wide()
        pairs, vectors = size
        words = np.empty(LANES, np.int64)
        neurons, d_logits, W_L, d_W_L, so_far, out, counts = back
        for start in range(0, pairs, WORD):
            for v in range(vectors):
                first = active.first + 8 * start * active.row + 2 * v
                _by_neuron(first, 4 * active.row, min(WORD, pairs - start), words.ctypes.data)
                if counts:
                    _count(words.ctypes.data, counts + 8 * LANES * v)
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
    """The function that takes the strip for a number of full vectors, and a narrow one or not, from those up to a size."""
    with_narrow = make(full, True)
    if not full:

        @variant(make.__name__)
        def least(vectors: int, is_narrow: bool, arguments: Any) -> None:
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
    """Classes in full vectors, and whether a narrow one is left."""
    full, left = classes // LANES, classes % LANES
    return full + (left > _NARROW), 0 < left <= _NARROW


@njit
def add_logits(neurons: Matrix, active: Active, W_L: Matrix, logits: Matrix, size: tuple[int, int, int]) -> None:
    """``logits += neurons W_L``; sizes: pairs, words that tell a pair's active neurons, classes."""
    pairs, words, classes = size
    vectors, is_narrow = _cut(classes)
    for v in range(0, max(vectors, 1), _FORWARD):
        strip, column = min(_FORWARD, vectors - v), 4 * LANES * v
        right, out = Matrix(W_L.first + column, W_L.row), Matrix(logits.first + column, logits.row)
        _forward(strip, is_narrow and v + strip == vectors, (neurons, active, right, out, (pairs, words)))


@njit
def pull_back_active(back: Back, zero: Matrix, active: Active, size: tuple[int, int, int]) -> None:
    """``d_W_L += neurons^T d_logits``, and ``d_logits W_L^T`` where a neuron is active; `zero`: a matrix of one zero.

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
    """Whether so many classes are done backward in several strips."""
    return classes > LANES * _BACKWARD + _NARROW
