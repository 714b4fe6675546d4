"""The innermost part of the products with active neurons: one word, of 64 neurons or 64 pairs. active.py does whole chunks."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.cpu.kernels.compiler import widen
from interp.training.cpu.kernels.vectors import (
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

NARROW = 4
"""Lanes of the vector for the last few classes."""

_PAIRS = 4  # taken at once backward: their gradients are summed together


def _vectors(full: int, is_narrow: bool) -> list[tuple[int, int]]:
    """The vectors of a strip: position and number of lanes of each."""
    return [(v, LANES) for v in range(full)] + [(full, NARROW)] * is_narrow


def add_active_of(full: int, is_narrow: bool) -> Any:
    """The intrinsic for one pair's word and one strip of classes: ``out += sum over the active j of neuron_j W_L_j``."""
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


def pull_back_of(full: int, is_narrow: bool) -> Any:
    """The intrinsic for one neuron's word of pairs and one strip of classes.

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
            # Once for each length, ahead of the loop: inside it LLVM would no longer keep everything in registers.
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
        # The pairs of a word are summed first: rounding grows with the number of pairs in a word, not with that of all pairs.
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
def by_neuron(context: Any, active: Any, row: Any, pairs: Any, words: Any) -> Any:
    """Transpose the activity of 16 neurons in up to 64 pairs: bit i of word j is bit j of the i-th pair's word."""

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
def count(context: Any, words: Any, counts: Any) -> Any:
    """Add to each of 16 numbers how many bits are set in the word that belongs to it."""

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
def word_at(context: Any, address: Any) -> Any:
    """The word at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        return builder.load(builder.inttoptr(arguments[0], INDEX.as_pointer()))

    return numba.int64(numba.int64), generate
