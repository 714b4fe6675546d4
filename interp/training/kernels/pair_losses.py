# numba's intrinsics and llvmlite are untyped.
# mypy: disable-error-code="call-arg, no-untyped-call, import-untyped"
# ruff: noqa: ARG001  numba calls with these arguments
"""One pair's loss and the gradient of its logits, for each loss function; the same formulas as in losses.py."""

from __future__ import annotations

from math import exp, inf, log, log1p
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from interp.training.kernels.compiler import inlined, njit, wide
from interp.training.kernels.vectors import LANES

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


@njit
def _largest(values: np.ndarray) -> float:
    """Largest of a row whose length is a multiple of 16; lane by lane, so that it vectorises."""
    wide()
    lanes = np.empty(LANES, values.dtype)
    for i in range(LANES):
        lanes[i] = values[i]
    for start in range(LANES, len(values), LANES):
        for i in range(LANES):
            lanes[i] = values[start + i] if values[start + i] > lanes[i] else lanes[i]
    top = lanes[0]
    for i in range(1, LANES):
        top = max(top, lanes[i])
    return top


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
    top = _largest(row)
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
    missing = 1 / (1 + exp(-margin))
    factor = np.float32(missing / wrong * scale)
    # Subnormal numbers make every product they meet a hundred times slower, and a learned pair has little else.
    least = np.float32(_LEAST / max(missing / wrong * scale, 1e-300))
    for j in range(len(row)):
        row[j] = (row[j] if row[j] > least else np.float32(0)) * factor
    row[label] = -np.float32(missing * scale) if missing * scale > _LEAST else np.float32(0)
    return (margin if margin > 40 else log1p(exp(margin))), is_right


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
    return log1p(odds), is_right
