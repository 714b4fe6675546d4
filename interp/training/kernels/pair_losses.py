# numba's intrinsics and llvmlite are untyped.
# mypy: disable-error-code="call-arg, no-untyped-call, import-untyped"
# ruff: noqa: ARG001  numba calls with these arguments
"""One pair's loss and the gradient of its logits, for each loss function; the same formulas as in losses.py."""

from __future__ import annotations

from math import inf, isnan, log, log1p
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.kernels.compiler import inlined, njit, wide, widen
from interp.training.kernels.vectors import LANES, constant, kind_of, load, place, pointers, variable

# Gradients below this are no longer kept: beside AdamW's epsilon, unless that is as small, they move nothing.
_LEAST = 1e-30


@intrinsic
def _float_from_bits(context: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return numba.float32(numba.int32), generate


@inlined
def exp_of_negative(x: Any) -> Any:
    """exp(x) for x <= 0, to 2 units in the last place, from operations that vectorise; below -87 the value at -87."""
    # exp(x) = 2^n exp(r), |r| <= ln(2) / 2, with ln 2 in two parts so that r is exact; Taylor to the 7th order.
    x = np.float32(-87.0) if x < np.float32(-87.0) else x
    n = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = (x - n * np.float32(0.693145751953125)) - n * np.float32(1.428606765330187e-06)
    y = np.float32(1 / 5040)
    y = y * r + np.float32(1 / 720)
    y = y * r + np.float32(1 / 120)
    y = y * r + np.float32(1 / 24)
    y = y * r + np.float32(1 / 6)
    y = y * r + np.float32(0.5)
    y = y * r + np.float32(1.0)
    y = y * r + np.float32(1.0)
    return y * _float_from_bits((np.int32(n) + np.int32(127)) << np.int32(23))


@intrinsic
def _largest_of(context: Any, address: Any, vectors: Any) -> Any:
    """The largest number of some vectors, by address; a NaN is passed over."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        row, vectors = pointers(builder, arguments[0])[0], arguments[1]
        so_far = variable(builder, load(builder, row, 0))
        with cgutils.for_range(builder, vectors) as loop:
            value, before = load(builder, place(builder, row, builder.mul(loop.index, constant(LANES))), 0), builder.load(so_far)
            builder.store(builder.select(builder.fcmp_ordered(">", value, before), value, before), so_far)
        kind = ir.FunctionType(ir.FloatType(), [kind_of()])
        most = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fmax.v{LANES}f32")
        return builder.call(most, [builder.load(so_far)])

    return numba.float32(numba.int64, numba.int64), generate


@njit
def _is_right(row: np.ndarray, label: int, top: float) -> bool:
    """Whether the right logit is the largest: it is larger than the largest wrong one, or equals it and comes first."""
    if row[label] != top:
        return row[label] > top
    first = 0
    while row[first] != top:
        first += 1
    return first == label


@njit
def _against_the_others(row: np.ndarray, label: int, classes: int) -> tuple[float, bool]:
    """The largest wrong logit, and whether the answer is right; columns that are no class become -inf."""
    wide()
    right = row[label]
    row[label] = -inf
    row[classes:] = -inf
    top = _largest_of(row.ctypes.data, len(row) // LANES)
    row[label] = right
    return top, _is_right(row, label, top)


@njit
def cross_entropy(row: np.ndarray, label: int, classes: int, scale: float) -> tuple[float, bool]:
    """Loss of one pair and whether it is right; its logits give way to their gradient times scale. See losses.cross_entropy."""
    wide()
    right = row[label]
    top, is_right = _against_the_others(row, label, classes)
    for j in range(len(row)):
        row[j] = exp_of_negative(row[j] - top)
    row[label] = 0
    row[classes:] = 0
    wrong = np.float32(0)
    for j in range(len(row)):
        wrong += row[j]
    margin = np.float64(top) + log(np.float64(wrong)) - np.float64(right)
    e = np.float64(exp_of_negative(-abs(margin)))
    missing = (1 if margin > 0 else e) / (1 + e)
    factor = np.float32(missing / wrong * scale)
    # Subnormal numbers make every product they meet a hundred times slower, and a learned pair has little else.
    least = np.float32(_LEAST / max(missing / wrong * scale, 1e-300))
    for j in range(len(row)):
        row[j] = (row[j] if row[j] > least else np.float32(0)) * factor
    row[label] = -np.float32(missing * scale) if missing * scale > _LEAST else np.float32(0)
    # A NaN is found by the loss: it is in the sum over all wrong logits, or is the right one.
    return max(margin, 0.0) + log1p(e), is_right and not isnan(margin)


@njit
def stablemax(row: np.ndarray, label: int, classes: int, scale: float) -> tuple[float, bool]:
    """As `cross_entropy`, for StableMax. See losses.stablemax_cross_entropy; s' = 1 where s >= 1, else s^2."""
    wide()
    _, is_right = _against_the_others(row, label, classes)
    for j in range(len(row)):
        row[j] = row[j] + np.float32(1) if row[j] >= 0 else np.float32(1) / (np.float32(1) - row[j])
    s_right = np.float64(row[label])
    row[label] = 0
    row[classes:] = 0
    wrong = np.float32(0)
    for j in range(len(row)):
        wrong += row[j]
    odds = np.float64(wrong) / s_right
    factor = np.float32(scale / (wrong + s_right))
    for j in range(len(row)):
        row[j] = factor if row[j] >= np.float32(1) else factor * row[j] * row[j]
    row[label] = -factor * odds * (1.0 if s_right >= 1 else s_right * s_right)
    row[classes:] = 0
    return log1p(odds), is_right and not isnan(odds)
