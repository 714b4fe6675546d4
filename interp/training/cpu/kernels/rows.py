"""One pair's neurons and direct logits from the rows of the tables, in one sweep over the columns.

``base + sum_heads (A_a near[head] + A_b far[head])``; then, for the neurons, the ReLU and which of them are active. Some vectors
of columns stay in registers while the heads are added, so that a pair's row is written only once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.cpu.kernels.compiler import WIDE_REGISTERS, variant, wide, widen
from interp.training.cpu.kernels.units import by_name, unit
from interp.training.cpu.kernels.vectors import (
    BITS,
    LANES,
    broadcast,
    constant,
    load,
    multiply_add,
    place,
    pointers,
    store,
    variable,
    zeros,
)

_BLOCK = 8 if WIDE_REGISTERS else 4  # vectors whose sums stay in registers


class Sources(NamedTuple):
    """Where one pair's row comes from: addresses, and elements from one head's row to the next.

    `near` are the rows of the token at position a, `far` those of the one at b; `at_a`, `at_b` is each head's attention to them.
    """

    base: int
    near: int
    row_near: int
    far: int
    row_far: int
    at_a: int
    at_b: int
    row_attention: int
    heads: int


def _block(vectors: int, *, are_neurons: bool) -> Any:
    """The intrinsic for some vectors of a row."""

    def emit(builder: Any, sources: Any, out: Any, active: Any) -> None:
        base, near, row_near, far, row_far, at_a, at_b, row_attention, heads = sources
        base, near, far, at_a, at_b, out = pointers(builder, base, near, far, at_a, at_b, out)
        sums = [variable(builder, load(builder, base, v)) for v in range(vectors)]
        with cgutils.for_range(builder, heads) as loop:
            for table, row, attention in ((near, row_near, at_a), (far, row_far, at_b)):
                rows = place(builder, table, builder.mul(loop.index, row))
                weight = broadcast(builder, builder.load(place(builder, attention, builder.mul(loop.index, row_attention))))
                for v, so_far in enumerate(sums):
                    builder.store(multiply_add(builder, weight, load(builder, rows, v), builder.load(so_far)), so_far)
        for v, so_far in enumerate(sums):
            value = builder.load(so_far)
            if are_neurons:
                is_active = builder.fcmp_unordered(">", value, zeros())  # a NaN is active, and so stays a NaN
                value = builder.select(is_active, value, zeros())
                bits = builder.inttoptr(active, BITS.as_pointer())
                builder.store(builder.bitcast(is_active, BITS), place(builder, bits, constant(v)))
            store(builder, value, out, v)

    @intrinsic
    def block(
        context: Any, base: Any, near: Any, row_near: Any, far: Any, row_far: Any, at_a: Any, at_b: Any, row_attention: Any,
        heads: Any, out: Any, active: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            widen(builder)
            emit(builder, arguments[:9], *arguments[9:])
            return context.get_dummy_value()

        return numba.void(*[numba.int64] * 11), generate

    return block


def _columns(*, are_neurons: bool) -> Any:
    """The function for the vectors of a row from `first` to `last`."""
    block, single = _block(_BLOCK, are_neurons=are_neurons), _block(1, are_neurons=are_neurons)

    @variant(are_neurons)
    def columns(sources: Sources, out: int, active: int, first: int, last: int) -> None:
        wide()
        base, near, row_near, far, row_far, at_a, at_b, row_attention, heads = sources
        v = first
        while v < last:
            step, bits = 4 * LANES * v, active + 2 * v
            places = (base + step, near + step, row_near, far + step, row_far, at_a, at_b, row_attention, heads, out + step, bits)
            if v + _BLOCK <= last:
                block(*places)
                v += _BLOCK
            else:
                single(*places)
                v += 1

    return columns


_neurons, _logits = _columns(are_neurons=True), _columns(are_neurons=False)


@unit()
def row(
    base: int, near: int, row_near: int, far: int, row_far: int, at_a: int, at_b: int, row_attention: int, heads: int,
    out: int, active: int, neurons: int, vectors: int,
) -> None:  # fmt: skip
    """A pair's row."""
    sources = Sources(base, near, row_near, far, row_far, at_a, at_b, row_attention, heads)
    _neurons(sources, out, active, 0, neurons)
    _logits(sources, out, active, neurons, vectors)


set_row = by_name(row)
"""``(sources, out, active, (neurons, vectors))``: write a pair's row to `out`, and to `active` a bit per neuron; sizes: vectors
of neurons, and of all columns."""
