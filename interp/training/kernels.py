"""The fast CPU engine's loops over pairs, compiled by numba. Everything else about that engine is in cpu.py.

The pairs are sorted by a. One thread takes whole tokens: first all pairs with one a, for which the rows `near` of that token stay
in the first-level cache, then, in a second pass, all pairs with one b. So every row of a gradient has one owner: nothing is added
up in an order that varies, and equal inputs give equal bytes.

Each loop exists twice, serial and parallel, from the same compiled body: a process with one thread never touches OpenMP.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import exp, inf, log, log1p
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import event
from numba.extending import intrinsic

from interp.training.threads import forked

log_ = logging.getLogger("interp")

# Sums may be reordered, so that they vectorise; NaN and infinities keep their meaning: a diverging run must be noticed.
_FAST = {"reassoc", "nsz", "arcp", "contract", "afn"}
_LANES = 16


class Pairs(NamedTuple):
    """The pairs of one pass, sorted by a: their tokens and labels, and where each token's pairs begin."""

    a: np.ndarray  # int32 (pair,)
    b: np.ndarray  # int32 (pair,)
    label: np.ndarray  # int32 (pair,)
    first_a: np.ndarray  # int32 (p + 1,): the pairs with a = t are first_a[t] .. first_a[t + 1]
    by_b: np.ndarray  # int32 (pair,): the pairs sorted by b
    first_b: np.ndarray  # int32 (p + 1,)


class Tables(NamedTuple):
    """What `tables.Tables` holds, as float32 arrays."""

    far: np.ndarray  # (head, p + 1, column)
    base: np.ndarray  # (1 or p, column)
    scores: np.ndarray  # (head, 1, p + 1) or (head, p, p)


class Rows(NamedTuple):
    """Buffers with one row per pair. Padding columns of `logits` stay zero."""

    neurons: np.ndarray  # (pair, neuron column), after the ReLU
    logits: np.ndarray  # (pair, logit column); the gradient takes their place
    d_neurons: np.ndarray  # (pair, neuron column)
    softmax: np.ndarray  # (pair, 2, head): of the scores at a and b
    d_scores: np.ndarray  # (pair, 2, head)


class Gradients(NamedTuple):
    """Where the gradient of the tables goes."""

    far: np.ndarray  # (head, p + 1, column)
    base: np.ndarray  # (p, column)
    scores: np.ndarray  # (head, 1, p + 1) or (head, p, p)
    difference: np.ndarray  # (thread, head, column): shares of the last row of `far`
    near_scores: np.ndarray  # (p, head): sums of d_scores at position a


class Spans(NamedTuple):
    """Which tokens each thread owns, by a and by b, and which pairs."""

    a: np.ndarray  # int32 (thread + 1,)
    b: np.ndarray  # int32 (thread + 1,)
    pair: np.ndarray  # int32 (thread + 1,)


class Sums(NamedTuple):
    """One value per thread."""

    loss: np.ndarray  # float64 (thread,)
    correct: np.ndarray  # int64 (thread,)


def loops(threads: int) -> Loops:
    """The loops for a number of threads: parallel ones only where they can share OpenMP's threads with torch."""
    return PARALLEL if threads > 1 and not forked() and _share_openmp(threads) else SERIAL


def _share_openmp(threads: int) -> bool:
    """Start numba's OpenMP layer, whose threads are torch's; any other layer's threads would fight with torch's for the cores."""
    before = numba.config.THREADING_LAYER
    try:
        numba.config.THREADING_LAYER = "omp"
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        layer = numba.threading_layer()
    except ValueError as error:
        layer = f"none ({error})"
    finally:
        numba.config.THREADING_LAYER = before
    if layer != "omp":
        log_.info("loops over pairs run in one thread: numba's threading layer is %s, not omp", layer)
    return layer == "omp"


@contextmanager
def telling() -> Iterator[None]:
    """Log one line if the block has to compile something."""
    with event.install_listener("numba:compile", _Teller()):
        yield


class _Teller(event.Listener):
    """Says once that compilation has begun."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        """Say it."""
        if not self._said:
            log_.info("compiling the fast CPU engine; this takes about half a minute, once per installation")
        self._said = True

    def on_end(self, event: Any) -> None:
        """Say nothing."""


def _njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with numba's cache on disk, or without it where no folder can be written."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, fastmath=_FAST, error_model="numpy", **options)(function)
        except RuntimeError:  # numba found no writable folder, neither beside this file nor in the user's home
            return numba.njit(fastmath=_FAST, error_model="numpy", **options)(function)

    return decorate


@intrinsic
def _float_from_bits(context: Any, bits: Any) -> Any:  # noqa: ARG001
    """The float32 with these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.FloatType())

    return numba.float32(numba.int32), generate


@_njit(inline="always")
def _exp(x: Any) -> Any:
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


@_njit()
def _near(far: np.ndarray, a: int, near: np.ndarray) -> None:
    """Rows of token a at its own position: those at position b, and the difference."""
    last = far.shape[1] - 1
    for h in range(far.shape[0]):
        out, one, two = near[h], far[h, a], far[h, last]
        for j in range(len(out)):
            out[j] = one[j] + two[j]


@_njit()
def _attend(scores: np.ndarray, a: int, b: int, softmax: np.ndarray) -> None:
    """Softmax over the scores at a and b (and 0, those of `=`), all heads of one pair."""
    equals = scores.shape[1] == 1
    for h in range(scores.shape[0]):
        if equals:
            s0, s1 = scores[h, 0, a] + scores[h, 0, scores.shape[2] - 1], scores[h, 0, b]
        else:
            s0, s1 = scores[h, b, a], np.float32(0)
        top = max(s0, s1, np.float32(0))
        e0, e1 = np.exp(s0 - top), np.exp(s1 - top)
        both = e0 + e1 + np.exp(-top) if equals else e0 + e1
        softmax[0, h], softmax[1, h] = e0 / both, e1 / both


@_njit(nogil=True)
def _forward(pairs: Pairs, tables: Tables, rows: Rows, rate: float, span: np.ndarray) -> None:
    """Neurons and direct logits of all pairs whose a is in span."""
    far, base = tables.far, tables.base
    heads, columns, cut = far.shape[0], far.shape[2], rows.neurons.shape[1]
    near, out, weights = np.empty((heads, columns), far.dtype), np.empty(columns, far.dtype), np.empty((2, heads), far.dtype)
    for a in range(span[0], span[1]):
        if pairs.first_a[a] == pairs.first_a[a + 1]:
            continue
        _near(far, a, near)
        for n in range(pairs.first_a[a], pairs.first_a[a + 1]):
            b = pairs.b[n]
            _attend(tables.scores, a, b, rows.softmax[n])
            for i in range(2):
                for h in range(heads):
                    weights[i, h] = rate * rows.softmax[n, i, h] + (np.float32(1) - rate)
            row = base[0 if len(base) == 1 else b]
            for j in range(columns):
                out[j] = row[j]
            for h in range(heads):
                w0, w1, one, two = weights[0, h], weights[1, h], near[h], far[h, b]
                for j in range(columns):
                    out[j] += w0 * one[j] + w1 * two[j]
            neurons, logits = rows.neurons[n], rows.logits[n]
            for j in range(cut):
                neurons[j] = np.float32(0) if out[j] <= np.float32(0) else out[j]
            for j in range(columns - cut):
                logits[j] = out[cut + j]


@_njit()
def _largest(values: np.ndarray) -> float:
    """Largest of a row whose length is a multiple of 16; lane by lane, so that it vectorises."""
    lanes = np.empty(_LANES, values.dtype)
    for i in range(_LANES):
        lanes[i] = values[i]
    for start in range(_LANES, len(values), _LANES):
        for i in range(_LANES):
            lanes[i] = values[start + i] if values[start + i] > lanes[i] else lanes[i]
    top = lanes[0]
    for i in range(1, _LANES):
        top = max(top, lanes[i])
    return top


@_njit()
def _is_first(row: np.ndarray, right: float, label: int) -> bool:
    """Whether no logit before the right one is as large; asked only when the largest wrong one equals it."""
    for j in range(label):
        if row[j] == right:
            return False
    return True


@_njit(nogil=True)
def _cross_entropy(
    pairs: Pairs, rows: Rows, classes: int, scale: float, span: np.ndarray, loss: np.ndarray, correct: np.ndarray
) -> None:
    """Sum of losses and number of right answers; the logits give way to their gradient times scale. See losses.cross_entropy."""
    total, n_correct = 0.0, 0
    for n in range(span[0], span[1]):
        row, label = rows.logits[n], pairs.label[n]
        right = row[label]
        row[label] = -inf
        row[classes:] = -inf
        top = _largest(row)
        row[label] = right
        n_correct += right > top or (right == top and _is_first(row, right, label))
        for j in range(len(row)):
            row[j] = _exp(row[j] - top)
        row[label] = 0
        row[classes:] = 0
        wrong = np.float32(0)
        for j in range(len(row)):
            wrong += row[j]
        margin = np.float64(top) + log(np.float64(wrong)) - np.float64(right)
        total += margin if margin > 40 else log1p(exp(margin))
        missing = 1 / (1 + exp(-margin))
        factor = np.float32(missing / wrong * scale)
        for j in range(len(row)):
            row[j] *= factor
        row[label] = -np.float32(missing * scale)
    loss[0], correct[0] = total, n_correct


@_njit(nogil=True)
def _stablemax(
    pairs: Pairs, rows: Rows, classes: int, scale: float, span: np.ndarray, loss: np.ndarray, correct: np.ndarray
) -> None:
    """As `_cross_entropy`, for StableMax. See losses.stablemax_cross_entropy; s' = 1 where s >= 1, else s^2."""
    total, n_correct = 0.0, 0
    for n in range(span[0], span[1]):
        row, label = rows.logits[n], pairs.label[n]
        right = row[label]
        row[label] = -inf
        row[classes:] = -inf
        top = _largest(row)
        row[label] = right
        n_correct += right > top or (right == top and _is_first(row, right, label))
        for j in range(len(row)):
            row[j] = row[j] + np.float32(1) if row[j] >= 0 else np.float32(1) / (np.float32(1) - row[j])
        s_right = np.float64(row[label])
        row[label] = 0
        row[classes:] = 0
        wrong = np.float32(0)
        for j in range(len(row)):
            wrong += row[j]
        odds = np.float64(wrong) / s_right
        total += log1p(odds)
        factor = np.float32(scale / (wrong + s_right))
        for j in range(len(row)):
            row[j] = factor if row[j] >= np.float32(1) else factor * row[j] * row[j]
        row[label] = -factor * odds * (1.0 if s_right >= 1 else s_right * s_right)
        row[classes:] = 0
    loss[0], correct[0] = total, n_correct


@_njit(nogil=True)
def _backward_by_a(
    pairs: Pairs, tables: Tables, rows: Rows, gradients: Gradients, rate: float, span: np.ndarray, difference: np.ndarray
) -> None:
    """Masks d_neurons by the ReLU; gradients of the scores; of the rows `far` as far as they are used at position a."""
    far, equals = tables.far, tables.scores.shape[1] == 1
    heads, columns, cut = far.shape[0], far.shape[2], rows.neurons.shape[1]
    near, d_near, g = np.empty((heads, columns), far.dtype), np.empty((heads, columns), far.dtype), np.empty(columns, far.dtype)
    difference[:] = 0
    for a in range(span[0], span[1]):
        d_near[:] = 0
        gradients.near_scores[a] = 0
        _near(far, a, near)
        for n in range(pairs.first_a[a], pairs.first_a[a + 1]):
            b, neurons, d_neurons, d_logits = pairs.b[n], rows.neurons[n], rows.d_neurons[n], rows.logits[n]
            for j in range(cut):
                g[j] = d_neurons[j] if neurons[j] > np.float32(0) else np.float32(0)
            for j in range(cut):
                d_neurons[j] = g[j]
            for j in range(columns - cut):
                g[cut + j] = d_logits[j]
            for h in range(heads):
                s0, s1 = rows.softmax[n, 0, h], rows.softmax[n, 1, h]
                w0, one, two, out = rate * s0 + (np.float32(1) - rate), near[h], far[h, b], d_near[h]
                d0, d1 = np.float32(0), np.float32(0)
                for j in range(columns):
                    d0 += g[j] * one[j]
                    d1 += g[j] * two[j]
                for j in range(columns):
                    out[j] += w0 * g[j]
                mean = s0 * d0 + s1 * d1
                d0, d1 = rate * s0 * (d0 - mean), rate * s1 * (d1 - mean)
                rows.d_scores[n, 0, h], rows.d_scores[n, 1, h] = d0, d1
                gradients.near_scores[a, h] += d0
                if not equals:
                    gradients.scores[h, b, a] = d0
        for h in range(heads):
            out, d, share = gradients.far[h, a], d_near[h], difference[h]
            for j in range(columns):
                out[j] = d[j]
                share[j] += d[j]


@_njit(nogil=True)
def _backward_by_b(pairs: Pairs, tables: Tables, rows: Rows, gradients: Gradients, rate: float, span: np.ndarray) -> None:
    """Gradients of the base, and of the rows `far` as far as they are used at position b (added)."""
    far, equals = tables.far, tables.scores.shape[1] == 1
    heads, columns, cut = far.shape[0], far.shape[2], rows.neurons.shape[1]
    d_far, d_score = np.empty((heads, columns), far.dtype), np.empty(heads, far.dtype)
    for b in range(span[0], span[1]):
        d_far[:] = 0
        d_score[:] = 0
        d_base = gradients.base[b]
        d_base[:] = 0
        for i in range(pairs.first_b[b], pairs.first_b[b + 1]):
            n = pairs.by_b[i]
            d_neurons, d_logits = rows.d_neurons[n], rows.logits[n]
            for j in range(cut):
                d_base[j] += d_neurons[j]
            for j in range(columns - cut):
                d_base[cut + j] += d_logits[j]
            for h in range(heads):
                w1, out = rate * rows.softmax[n, 1, h] + (np.float32(1) - rate), d_far[h]
                for j in range(cut):
                    out[j] += w1 * d_neurons[j]
                for j in range(columns - cut):
                    out[cut + j] += w1 * d_logits[j]
                d_score[h] += rows.d_scores[n, 1, h]
        for h in range(heads):
            out, d = gradients.far[h, b], d_far[h]
            for j in range(columns):
                out[j] += d[j]
            if equals:
                gradients.scores[h, 0, b] = d_score[h] + gradients.near_scores[b, h]


@_njit()
def _finish(gradients: Gradients) -> None:
    """The rows that all tokens share: the difference between the positions."""
    last = gradients.far.shape[1] - 1
    for h in range(gradients.far.shape[0]):
        out = gradients.far[h, last]
        out[:] = 0
        for t in range(len(gradients.difference)):
            share = gradients.difference[t, h]
            for j in range(len(out)):
                out[j] += share[j]
        if gradients.scores.shape[1] == 1:
            gradients.scores[h, 0, last] = gradients.near_scores[:, h].sum()


def _forward_all(pairs: Pairs, tables: Tables, rows: Rows, rate: float, spans: Spans) -> None:
    for t in numba.prange(len(spans.a) - 1):
        _forward(pairs, tables, rows, rate, spans.a[t : t + 2])


def _cross_entropy_all(pairs: Pairs, rows: Rows, classes: int, scale: float, spans: Spans, sums: Sums) -> None:
    loss, correct = sums.loss, sums.correct
    for t in numba.prange(len(spans.pair) - 1):
        _cross_entropy(pairs, rows, classes, scale, spans.pair[t : t + 2], loss[t : t + 1], correct[t : t + 1])


def _stablemax_all(pairs: Pairs, rows: Rows, classes: int, scale: float, spans: Spans, sums: Sums) -> None:
    loss, correct = sums.loss, sums.correct
    for t in numba.prange(len(spans.pair) - 1):
        _stablemax(pairs, rows, classes, scale, spans.pair[t : t + 2], loss[t : t + 1], correct[t : t + 1])


def _backward_all(pairs: Pairs, tables: Tables, rows: Rows, gradients: Gradients, rate: float, spans: Spans) -> None:
    for t in numba.prange(len(spans.a) - 1):
        _backward_by_a(pairs, tables, rows, gradients, rate, spans.a[t : t + 2], gradients.difference[t])
    for t in numba.prange(len(spans.b) - 1):
        _backward_by_b(pairs, tables, rows, gradients, rate, spans.b[t : t + 2])
    _finish(gradients)


class Loops(NamedTuple):
    """The compiled loops over pairs (see the functions of these names)."""

    forward: Any
    cross_entropy: Any
    stablemax: Any
    backward: Any


_BODIES = (_forward_all, _cross_entropy_all, _stablemax_all, _backward_all)
SERIAL = Loops(*(_njit(nogil=True)(body) for body in _BODIES))
PARALLEL = Loops(*(_njit(parallel=True)(body) for body in _BODIES))
