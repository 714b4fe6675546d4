"""Weights over a whole run in little space: arrays that drift slowly from checkpoint to checkpoint, as a few patterns and how
much of each there is at every step.

The stack X (step, ...) is scaled to root mean square 1 at every step, rotated to its principal directions over the steps (U^T X,
no more of them than there are steps), and rounded to multiples of one width. Whatever rounds to 0 everywhere is dropped: late
patterns are small, so that hundreds of checkpoints cost little more than ten. The error of an entry is about width / sqrt(12) of
the root mean square at its step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST = 128  # patterns kept at most
# Finer ones are not seen: at a tenth of the root mean square an entry is off by 3 % of that, and a neuron sums hundreds of them.
_WIDTHS = tuple(0.1 * 2 ** (i / 2) for i in range(12))

# Entries that are scaled at a time.
_AT_ONCE = 2**13

# Below this width a stack takes more space as modes than as it is.
_FINEST = 1e-3


@dataclass(frozen=True, eq=False)
class Modes:
    """A stack (step, ...) as ``weights @ codes``: weights (step, mode) in single precision, codes (mode, entries) in 16 bits."""

    weights: np.ndarray
    codes: np.ndarray
    shape: tuple[int, ...]

    def at(self, step: int) -> np.ndarray:
        """The array at one step, nearly: as it is stored."""
        flat: np.ndarray = self.weights[step] @ self.codes.astype(np.float32)
        return flat.reshape(self.shape[1:])

    def part(self, chosen: np.ndarray | slice) -> np.ndarray:
        """Some rows of the array, at every step: (step, chosen, ...)."""
        codes = self.codes.reshape(-1, *self.shape[1:])[:, chosen]
        return np.tensordot(self.weights, codes.astype(np.float32), axes=1)


def modes(stacks: Sequence[np.ndarray], *, budget: int) -> list[Modes]:
    """Each stack by its modes, all with the same relative width: the finest whose codes fit into `budget` bytes, or the coarsest.

    The bytes are those that a perfect coder would need for each mode by itself.
    """
    rotated = [_rotated(stack) for stack in stacks]
    for width in _WIDTHS:
        found = [_rounded(stack.shape, *parts, width) for stack, parts in zip(stacks, rotated, strict=True)]
        if sum(_bytes(one.codes) for one in found) <= budget:
            break
    return found


def close_modes(stack: np.ndarray, *, tolerance: float) -> Modes | None:
    """A stack by its modes with no entry off by more than `tolerance`; None if MOST patterns are not enough."""
    rotated, width = _rotated(stack), _WIDTHS[0]
    while width > _FINEST:
        found = _rounded(stack.shape, *rotated, width)
        if np.nanmax(np.abs(found.weights @ found.codes.astype(np.float32) - stack.reshape(len(stack), -1))) <= tolerance:
            return found
        width /= 2**0.5
    return None


def _rotated(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (step, mode) and patterns (mode, entries) with stack = weights @ patterns; patterns ordered, the largest first.

    Of a step that is not finite the weights are NaN; it leaves no trace in the patterns.
    """
    rows = stack.reshape(len(stack), -1).astype(np.float32, copy=False)
    is_finite = np.asarray(np.isfinite(rows).all(axis=1))
    if not is_finite.all():
        rows = np.where(is_finite[:, None], rows, np.float32(0))
    # One step at a time, as double precision takes much space.
    size = np.array([np.sqrt(np.square(row, dtype=np.float64).mean()) for row in rows])
    size = np.where(size > 0, size, 1.0).astype(np.float32)
    # Scaled to 1 at every step, some entries at a time: a copy of all of them would take as much memory again.
    parts = [slice(start, start + _AT_ONCE) for start in range(0, rows.shape[1], _AT_ONCE)]
    alike = np.zeros((len(rows), len(rows)))
    for part in parts:
        scaled = rows[:, part] / size[:, None]
        alike += scaled @ scaled.T
    directions = np.linalg.eigh(alike)[1][:, ::-1][:, :MOST].astype(np.float32)
    patterns = np.empty((directions.shape[1], rows.shape[1]), dtype=np.float32)
    for part in parts:
        np.matmul(directions.T, rows[:, part] / size[:, None], out=patterns[:, part])
    return np.where(is_finite[:, None], directions * size[:, None], np.float32(np.nan)), patterns


def _rounded(shape: tuple[int, ...], weights: np.ndarray, patterns: np.ndarray, width: float) -> Modes:
    width = max(width, float(max(patterns.max(), -patterns.min())) / 32_000)
    rounded = {mode: code for mode, row in enumerate(patterns) if (code := np.rint(row / width).astype(np.int16)).any()}
    rounded = rounded or {0: np.zeros_like(patterns[0], dtype=np.int16)}
    return Modes(weights[:, list(rounded)] * np.float32(width), np.stack(list(rounded.values())), shape)


def _bytes(codes: np.ndarray) -> float:
    total = 0.0
    for row in codes:
        counts = np.bincount(row.astype(np.int64) - int(row.min()))
        counts = counts[counts > 0]
        total += float((counts * np.log2(row.size / counts)).sum()) / 8
    return total
