"""A small vocabulary of LLVM instructions on vectors of float32, in which the innermost loops of the kernels are written.

Numba vectorises loops, but decides by itself what stays in registers. Here that is what matters, so it is stated explicitly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16
"""Numbers in a vector: as many as the widest registers hold; where registers are narrower, LLVM uses several per vector."""

FLOAT, INDEX, SHORT = ir.FloatType(), ir.IntType(64), ir.IntType(32)
BITS = ir.IntType(LANES)


def kind_of(lanes: int = LANES) -> Any:
    """The type of a vector of float32."""
    return ir.VectorType(FLOAT, lanes)


def zeros(lanes: int = LANES) -> Any:
    """A vector of zeros."""
    return ir.Constant(kind_of(lanes), [0.0] * lanes)


def constant(value: int) -> ir.Constant:
    """An index."""
    return ir.Constant(INDEX, value)


def pointers(builder: Any, *addresses: Any) -> list[Any]:
    """Pointers to float32 from addresses."""
    return [builder.inttoptr(address, FLOAT.as_pointer()) for address in addresses]


def place(builder: Any, pointer: Any, offset: Any) -> Any:
    """The pointer, moved on by so many elements."""
    return builder.gep(pointer, [offset])


def load(builder: Any, pointer: Any, vector: int, *, lanes: int = LANES) -> Any:
    """The vector that lies some whole vectors after a pointer; all of it, or its first lanes."""
    value = builder.load(builder.bitcast(place(builder, pointer, constant(LANES * vector)), kind_of(lanes).as_pointer()))
    value.align = 4
    return value


def store(builder: Any, value: Any, pointer: Any, vector: int) -> None:
    """Write a vector, or the first lanes of one, some whole vectors after a pointer."""
    where = builder.bitcast(place(builder, pointer, constant(LANES * vector)), value.type.as_pointer())
    builder.store(value, where).align = 4


def broadcast(builder: Any, value: Any, *, lanes: int = LANES) -> Any:
    """A vector with one value in every lane."""
    undefined, lane = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), SHORT
    first = builder.insert_element(undefined, value, ir.Constant(lane, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(lane, lanes), [0] * lanes))


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """``a b + c``, fused where the processor can do that; where it cannot, `llvm.fma` would call a function for each number."""
    return _call(builder, "fmuladd", a, b, c)


def _call(builder: Any, name: str, *values: Any) -> Any:
    """Call LLVM's intrinsic of this name, on numbers or on vectors."""
    kind = values[0].type
    of = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(values)), f"llvm.{name}.{of}")
    return builder.call(function, values)


def exponential(builder: Any, x: Any) -> Any:
    """exp(x) for x <= 0, a number or a vector, to 2 units in the last place; for x < -87 it is exp(-87)."""
    # exp(x) = 2^n exp(r), |r| <= ln(2) / 2, with ln 2 in two parts so that r is exact; Taylor series to the 7th order.
    is_vector = isinstance(x.type, ir.VectorType)

    def of(value: float, kind: ir.Type = FLOAT) -> ir.Constant:
        return ir.Constant(ir.VectorType(kind, x.type.count), [value] * x.type.count) if is_vector else ir.Constant(kind, value)

    x = builder.select(builder.fcmp_ordered("<", x, of(-87.0)), of(-87.0), x)
    n = _call(builder, "floor", multiply_add(builder, x, of(1.4426950408889634), of(0.5)))
    r = multiply_add(builder, n, of(-0.693145751953125), x)
    r = multiply_add(builder, n, of(-1.428606765330187e-06), r)
    y = of(1 / 5040)
    for coefficient in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0):
        y = multiply_add(builder, y, r, of(coefficient))
    exponent = builder.shl(builder.add(builder.fptosi(n, of(0, SHORT).type), of(127, SHORT)), of(23, SHORT))
    return builder.fmul(y, builder.bitcast(exponent, x.type))


def lengthened(builder: Any, value: Any) -> Any:
    """A whole vector that begins with the lanes of a shorter one; the other lanes are 0."""
    lanes = value.type.count
    order = [min(lane, lanes) for lane in range(LANES)]
    return builder.shuffle_vector(value, zeros(lanes), ir.Constant(ir.VectorType(SHORT, LANES), order))


def largest(builder: Any, value: Any) -> Any:
    """The largest of a vector's numbers, none of which may be NaN."""
    kind = ir.FunctionType(FLOAT, [value.type])
    most = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fmax.v{value.type.count}f32")
    return builder.call(most, [value], fastmath=("nnan",))


def total(builder: Any, value: Any) -> Any:
    """Sum of a vector's numbers, in an order that suits the processor."""
    kind = ir.FunctionType(FLOAT, [FLOAT, value.type])
    add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{value.type.count}f32")
    return builder.call(add, [ir.Constant(FLOAT, 0.0), value], fastmath=("reassoc",))


def _shuffled(builder: Any, one: Any, other: Any, order: list[int]) -> Any:
    """The numbers at these places of two vectors, taken one after the other."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(SHORT, len(order)), order))


def totals(builder: Any, values: list[Any]) -> list[Any]:
    """`total` of each of several vectors; those of four vectors are computed together, with half the instructions.

    First, pairs of vectors are added crosswise, so that each quarter of the result holds the four vectors' sums over a quarter.
    """
    if len(values) != 4:
        return [total(builder, value) for value in values]

    def added(one: Any, other: Any, *places: list[int]) -> Any:
        orders = [[start + place for start in range(0, LANES, 4) for place in some] for some in places]
        return builder.fadd(*(_shuffled(builder, one, other, order) for order in orders))

    low, high = [0, LANES, 1, LANES + 1], [2, LANES + 2, 3, LANES + 3]
    first, second = (added(one, other, low, high) for one, other in (values[:2], values[2:]))
    sums = added(first, second, [0, 1, LANES, LANES + 1], [2, 3, LANES + 2, LANES + 3])
    for size in (LANES // 2, LANES // 4):
        sums = builder.fadd(*(_shuffled(builder, sums, sums, list(range(start, start + size))) for start in (0, size)))
    return [builder.extract_element(sums, ir.Constant(SHORT, place)) for place in range(4)]


def variable(builder: Any, value: Any) -> Any:
    """A place for a value that changes in a loop; LLVM keeps it in a register."""
    slot = cgutils.alloca_once(builder, value.type)
    builder.store(value, slot)
    return slot


def for_bits(builder: Any, word: Any, body: Callable[..., None], *, at_once: int = 1) -> None:
    """Emit a loop over the places of the set bits of a 64-bit word, lowest first; `body` emits what is done for given places.

    They are taken `at_once` at a time while that many are left, then one by one.
    """
    left = variable(builder, word)
    for size in (at_once, 1) if at_once > 1 else (1,):
        head, inside, after = (builder.append_basic_block(f"bits.{name}") for name in ("head", "inside", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        bits = builder.load(left)
        some = builder.icmp_unsigned("!=", bits, constant(0))
        enough = builder.icmp_unsigned(">=", builder.ctpop(bits), constant(size)) if size > 1 else some
        builder.cbranch(enough, inside, after)
        builder.position_at_end(inside)
        places = []
        for _ in range(size):
            places.append(builder.cttz(bits, ir.Constant(ir.IntType(1), 1)))
            bits = builder.and_(bits, builder.sub(bits, constant(1)))
        builder.store(bits, left)
        body(*places)
        builder.branch(head)
        builder.position_at_end(after)
