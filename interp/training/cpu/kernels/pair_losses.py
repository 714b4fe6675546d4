"""The losses of a chunk's pairs and the gradient of their logits, for each loss function; the formulas are those of losses.py."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isnan, log, log1p
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from interp.training.cpu.kernels.arrays import open_chunk, open_work
from interp.training.cpu.kernels.compiler import njit, wide, widen
from interp.training.cpu.kernels.places import address
from interp.training.cpu.kernels.units import Unit, unit
from interp.training.cpu.kernels.vectors import (
    LANES,
    SHORT,
    broadcast,
    constant,
    exponential,
    kind_of,
    largest,
    load,
    place,
    pointers,
    store,
    total,
    variable,
    zeros,
)

# Gradients below this are set to 0: next to AdamW's epsilon they change nothing, unless that is as small itself.
_LEAST = 1e-30


@intrinsic
def exp_of_negative(context: Any, x: Any) -> Any:
    """exp(x) of a float32 x <= 0, by operations that vectorise; see `vectors.exponential`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return exponential(builder, arguments[0])

    return numba.float32(numba.float32), generate


def _for_the_wrong(builder: Any, row: Any, classes: Any, label: Any, body: Callable[[Any, Any, Any], None]) -> None:
    """Emit a loop over a row's vectors: `body` gets the place of each, its numbers, and a mask of those that are wrong logits.

    Overwriting the right logit first would be slower: loading a vector of which a part was just written stalls the processor.
    """
    lanes = ir.VectorType(SHORT, LANES)
    first, step = ir.Constant(lanes, list(range(LANES))), constant(LANES)
    label, end = (broadcast(builder, builder.trunc(value, SHORT)) for value in (label, classes))
    vectors = builder.udiv(builder.add(classes, constant(LANES - 1)), step)
    with cgutils.for_range(builder, vectors) as loop:
        along = builder.mul(loop.index, step)
        column, where = builder.add(broadcast(builder, builder.trunc(along, SHORT)), first), place(builder, row, along)
        is_wrong = builder.and_(builder.icmp_signed("!=", column, label), builder.icmp_signed("<", column, end))
        body(where, load(builder, where, 0), is_wrong)


@intrinsic
def _largest_wrong(context: Any, row: Any, classes: Any, label: Any) -> Any:
    """The largest wrong logit of the row at an address; NaNs are skipped."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        address, classes, label = arguments
        least = ir.Constant(kind_of(), [-inf] * LANES)
        so_far = variable(builder, least)

        def compare(where: Any, value: Any, is_wrong: Any) -> None:
            value, before = builder.select(is_wrong, value, least), builder.load(so_far)
            builder.store(builder.select(builder.fcmp_ordered(">", value, before), value, before), so_far)

        _for_the_wrong(builder, *pointers(builder, address), classes, label, compare)
        return largest(builder, builder.load(so_far))

    return numba.float32(*[numba.int64] * 3), generate


@intrinsic
def _exponentials(context: Any, row: Any, classes: Any, label: Any, top: Any) -> Any:
    """Replace each wrong logit by ``exp(logit - top)`` and the right one by 0; returns the sum of them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        widen(builder)
        address, classes, label, top = arguments
        top, so_far = broadcast(builder, top), variable(builder, zeros())

        def put(where: Any, value: Any, is_wrong: Any) -> None:
            value = builder.select(is_wrong, exponential(builder, builder.fsub(value, top)), zeros())
            builder.store(builder.fadd(builder.load(so_far), value), so_far)
            store(builder, value, where, 0)

        _for_the_wrong(builder, *pointers(builder, address), classes, label, put)
        return total(builder, builder.load(so_far))

    return numba.float32(*[numba.int64] * 3, numba.float32), generate


@njit
def _is_right(row: np.ndarray, label: int, top: np.float32) -> bool:
    """Whether the right logit is the largest: it is larger than the largest wrong one, or equals it and comes first."""
    if row[label] != top:
        return row[label] > top
    first = 0
    while row[first] != top:
        first += 1
    return first == label


@njit
def _scale(row: np.ndarray, factor: np.float32, least: np.float32) -> None:
    """``row = factor row`` where it was above a least value, else 0."""
    wide()
    for j in range(len(row)):
        row[j] = (row[j] if row[j] > least else np.float32(0)) * factor


@njit
def cross_entropies(rows: np.ndarray, span: tuple[int, int], labels: np.ndarray, classes: int, scale: float) -> tuple[float, int]:
    """Sum of some pairs' losses, and how many are right; logits are replaced by their gradient times `scale`.

    The loss is that of `losses.cross_entropy`; logits are the columns of `rows` in the span. Each loop does one step for all
    pairs, not all steps for one pair: while a step waits for the one before, the processor works on the next pairs.
    """
    first, last = span
    total, n_right = 0.0, 0
    margins, sums, are_right = np.empty(len(labels)), np.empty(len(labels), np.float32), np.empty(len(labels), np.bool_)
    for i in range(len(labels)):
        row, label = rows[i][first:last], labels[i]
        top: np.float32 = _largest_wrong(address(row), classes, label)
        are_right[i] = _is_right(row, label, top)
        margins[i] = np.float64(top) - np.float64(row[label])
        sums[i] = _exponentials(address(row), classes, label, top)
    for i in range(len(labels)):
        margin = margins[i] + log(np.float64(sums[i]))
        e = np.float64(exp_of_negative(-abs(margin)))
        total += max(margin, 0.0) + log1p(e)
        # A NaN shows in the margin: it is either among the wrong logits that were summed, or the right one.
        n_right += are_right[i] and not isnan(margin)
        margins[i] = scale * (1 if margin > 0 else e) / (1 + e)
    for i in range(len(labels)):
        row, missing = rows[i][first:last], margins[i]
        factor = missing / np.float64(sums[i])
        # A product with a subnormal number is a hundred times slower, and a learned pair's gradient has little else.
        _scale(row, np.float32(factor), np.float32(_LEAST / max(factor, 1e-300)))
        row[labels[i]] = -np.float32(missing) if missing > _LEAST else np.float32(0)
    return total, n_right


@njit
def _stablemax(row: np.ndarray, label: int, classes: int, scale: float) -> tuple[float, bool]:
    """One pair's `losses.stablemax_cross_entropy`, and whether it is right. (The derivative is s' = 1 if s >= 1, else s^2.)"""
    wide()
    is_right = _is_right(row, label, _largest_wrong(address(row), classes, label))
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


@njit
def stablemaxes(rows: np.ndarray, span: tuple[int, int], labels: np.ndarray, classes: int, scale: float) -> tuple[float, int]:
    """As `cross_entropies`, for StableMax."""
    total, n_right = 0.0, 0
    for i in range(len(labels)):
        loss, is_right = _stablemax(rows[i][span[0] : span[1]], labels[i], classes, scale)
        total += loss
        n_right += is_right
    return total, n_right


def _losing(function: Any) -> Unit:
    """The unit that adds up a chunk's losses and right answers by a function; logits are overwritten with their gradient."""

    @unit(function.__name__)
    def lose(work: int, thread: int, index: int) -> None:
        wide()
        of = open_work(work)
        pairs, setting, chunk, sums = of.pairs, of.setting, open_chunk(of.chunks[thread]), of.sums
        labels = pairs.label[pairs.chunk[index] : pairs.chunk[index + 1]]
        span, scale = (setting.neuron_columns, of.tables.far.shape[2]), 1 / len(pairs.a)  # the gradient is that of the mean
        loss, correct = function(chunk.columns, span, labels, setting.classes, scale)
        sums.loss[thread] += loss
        sums.correct[thread] += correct

    return lose


LOSSES = {"cross_entropy": _losing(cross_entropies), "stablemax": _losing(stablemaxes)}
"""For each loss function the unit ``(work, thread, index)`` that computes it for a chunk."""
