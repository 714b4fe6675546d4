"""AdamW's update, compiled: each thread updates a share of the weights and reads and writes each number once.

Numba cannot vectorise this loop, because the four arrays might overlap as far as it knows. So it is written with vectors.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.cpu.kernels.arrays import open_work
from interp.training.cpu.kernels.compiler import widen
from interp.training.cpu.kernels.lines import columns_of
from interp.training.cpu.kernels.places import address
from interp.training.cpu.kernels.units import unit
from interp.training.cpu.kernels.vectors import INDEX, LANES, broadcast, kind_of, load, multiply_add, place, pointers, store


def _root(builder: Any, value: Any) -> Any:
    kind = ir.FunctionType(kind_of(), [kind_of()])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f32"), [value])


@intrinsic
def _update(context: Any, flat: Any, gradient: Any, mean: Any, square: Any, rates: Any, first: Any, last: Any) -> Any:
    """Update the weights from `first` to `last`, in whole vectors; the other arguments are addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        flat, gradient, mean, square, rates = pointers(builder, *arguments[:5])
        keep, step, rest1, beta2, rest2, root, eps = (
            broadcast(builder, builder.load(place(builder, rates, ir.Constant(INDEX, i)))) for i in range(7)
        )
        step_by = ir.Constant(INDEX, LANES)
        with cgutils.for_range_slice(builder, arguments[5], arguments[6], step_by, intp=INDEX) as (i, _):
            weights, gradients, means, squares = (place(builder, each, i) for each in (flat, gradient, mean, square))
            g, m, s = (load(builder, each, 0) for each in (gradients, means, squares))
            m = multiply_add(builder, builder.fsub(g, m), rest1, m)
            s = multiply_add(builder, builder.fmul(g, g), rest2, builder.fmul(s, beta2))
            change = builder.fdiv(builder.fmul(step, m), builder.fadd(builder.fdiv(_root(builder, s), root), eps))
            store(builder, m, means, 0)
            store(builder, s, squares, 0)
            store(builder, builder.fsub(builder.fmul(load(builder, weights, 0), keep), change), weights, 0)
        return context.get_dummy_value()

    return numba.void(*[numba.int64] * 7), generate


@unit()
def update(work: int, thread: int) -> None:
    """One thread's share of the update."""
    of = open_work(work)
    moments = of.moments
    first, last = columns_of(len(moments.flat), of.threads, thread)
    addresses = address(moments.flat), address(moments.gradient), address(moments.mean), address(moments.square)
    _update(*addresses, address(moments.rates), first, last)
