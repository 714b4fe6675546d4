# numba's intrinsics, its configuration and llvmlite are untyped.
# mypy: disable-error-code="call-arg, attr-defined, no-untyped-call, import-untyped, assignment"
"""The fast CPU engine's loops over pairs, compiled by numba. Everything else about that engine is in cpu.py.

The pairs are sorted by a. One thread takes whole tokens: first all pairs with one a, a few tokens at a time, from the tables to
the gradient of the neurons, so that a chunk's neurons never leave the second-level cache; then, in a second pass, all pairs with
one b. So every row of a gradient has one owner: nothing is added up in an order that varies, and equal inputs give equal bytes.

Each loop exists twice, serial and parallel, from the same compiled body: a process with one thread never touches OpenMP.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import exp, inf, log, log1p
from typing import Any, NamedTuple

import llvmlite.binding
import numba
import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, config, event
from numba.extending import intrinsic

from interp.training.threads import forked

logger = logging.getLogger("interp")

# Sums may be reordered, so that they vectorise; NaN and infinities keep their meaning: a diverging run must be noticed.
_FAST = {"reassoc", "nsz", "arcp", "contract", "afn"}
_LEAST = 1e-30  # gradients below this are no longer kept: what they would move is lost in any weight's last place
_LANES = 16

PROCESSOR = llvmlite.binding.get_host_cpu_name()  # as LLVM names it


class Pairs(NamedTuple):
    """The pairs of one pass, sorted by a: their tokens and labels, and where each token's pairs begin."""

    a: np.ndarray  # int32 (pair,)
    b: np.ndarray  # int32 (pair,)
    label: np.ndarray  # int32 (pair,)
    first_a: np.ndarray  # int32 (p + 1,): the pairs with a = t are first_a[t] .. first_a[t + 1]
    rank: np.ndarray  # int32 (pair,): place of each pair among the pairs sorted by b
    first_b: np.ndarray  # int32 (p + 1,): the places of the pairs with b = t
    span_a: np.ndarray  # int32 (thread + 1,): thread i owns the tokens span_a[i] .. span_a[i + 1] at position a
    span_b: np.ndarray  # int32 (thread + 1,)


class Tables(NamedTuple):
    """What `tables.Tables` holds, as float32 arrays."""

    far: np.ndarray  # (head, p + 1, column)
    base: np.ndarray  # (1 or p, column)
    scores: np.ndarray  # (head, 1, p + 1) or (head, p, p)
    W_L: np.ndarray  # (d_mlp, logit column)


class Setting(NamedTuple):
    """The scalars of one pass."""

    d_mlp: int
    classes: int
    rate: np.float32  # of attention
    stablemax: bool
    sgemm: int  # address of a BLAS routine


class Chunk(NamedTuple):
    """Each thread's buffers for the pairs it is working on: one row per pair."""

    neurons: np.ndarray  # (thread, pair, neuron column), after the ReLU
    logits: np.ndarray  # (thread, pair, logit column); their gradient takes their place
    d_neurons: np.ndarray  # (thread, pair, neuron column)
    softmax: np.ndarray  # (thread, pair, 2, head): of the scores at a and b


class ByB(NamedTuple):
    """What the first pass leaves for the second: one row per pair, in the order of b."""

    columns: np.ndarray  # (pair, column): gradient of neurons before the ReLU and of logits
    weights: np.ndarray  # (pair, head): attention to b
    d_scores: np.ndarray  # (pair, head): gradient of the score at b


class Gradients(NamedTuple):
    """Where the gradient of the tables goes; what has a thread dimension is to be summed over it."""

    far: np.ndarray  # (head, p + 1, column)
    base: np.ndarray  # (p, column)
    scores: np.ndarray  # (head, 1, p + 1) or (head, p, p)
    W_L: np.ndarray  # (thread, classes, d_mlp), transposed
    difference: np.ndarray  # (thread, head, column): of the last row of `far`
    difference_score: np.ndarray  # (thread, head)


class Sums(NamedTuple):
    """One value per thread."""

    loss: np.ndarray  # float64 (thread,)
    correct: np.ndarray  # int64 (thread,)


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


@intrinsic
def _wide(context: Any) -> Any:  # noqa: ARG001
    """Let the function this stands in use the widest vectors there are: LLVM takes half of AVX-512's width otherwise."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return numba.void(), generate


@intrinsic
def _call_sgemm(context: Any, address: Any, flags: Any, sizes: Any, alpha_beta: Any, matrices: Any) -> Any:  # noqa: ARG001
    """Call the BLAS routine at an address. Fortran's convention: every argument by reference, matrices column by column."""
    pointer = ir.IntType(8).as_pointer()

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        def references(packed: Any) -> list[Any]:
            values = cgutils.unpack_tuple(builder, packed)
            return [builder.bitcast(cgutils.alloca_once_value(builder, value), pointer) for value in values]

        address, *packed = arguments
        transposed, (m, n, k, lda, ldb, ldc), (alpha, beta) = map(references, packed[:3])
        a, b, c = (builder.inttoptr(value, pointer) for value in cgutils.unpack_tuple(builder, packed[3]))
        routine = ir.FunctionType(ir.VoidType(), [pointer] * 13).as_pointer()
        order = [*transposed, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc]
        builder.call(builder.inttoptr(address, routine), order)
        return context.get_dummy_value()

    return numba.void(address, flags, sizes, alpha_beta, matrices), generate


@_njit()
def _multiply(sgemm: int, a: np.ndarray, b: np.ndarray, out: np.ndarray, transposed: tuple[bool, bool], beta: float) -> None:
    """out = a b + beta out, or the same with a or b transposed; rows may be longer than what is used of them."""
    m, n = out.shape
    k = a.shape[0] if transposed[0] else a.shape[1]
    # Row by row is column by column of the transposed: out^T = b^T a^T.
    sizes = (
        np.int32(n),
        np.int32(m),
        np.int32(k),
        np.int32(b.strides[0] // 4),
        np.int32(a.strides[0] // 4),
        np.int32(out.strides[0] // 4),
    )
    flags = (np.uint8(84 if transposed[1] else 78), np.uint8(84 if transposed[0] else 78))  # T or N
    _call_sgemm(sgemm, flags, sizes, (np.float32(1), np.float32(beta)), (b.ctypes.data, a.ctypes.data, out.ctypes.data))


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
def _load_near(far: np.ndarray, a: int, near: np.ndarray) -> None:
    """Rows of token a at its own position: those at position b, and the difference."""
    _wide()
    last = far.shape[1] - 1
    for h in range(far.shape[0]):
        out, one, two = near[h], far[h, a], far[h, last]
        for j in range(len(out)):
            out[j] = one[j] + two[j]


@_njit()
def _attend(scores: np.ndarray, a: int, b: int, softmax: np.ndarray) -> None:
    """Softmax over the scores at a and b (and 0, that of `=`), all heads of one pair."""
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


@_njit()
def _forward(pairs: Pairs, tables: Tables, rate: float, tokens: tuple[int, int], chunk: Chunk) -> None:
    """Neurons and direct logits of all pairs whose a is one of tokens."""
    _wide()
    far, base = tables.far, tables.base
    heads, columns, cut = far.shape[0], far.shape[2], chunk.neurons.shape[1]
    near, out = np.empty((heads, columns), far.dtype), np.empty(columns, far.dtype)
    start = pairs.first_a[tokens[0]]
    for a in range(tokens[0], tokens[1]):
        _load_near(far, a, near)
        for n in range(pairs.first_a[a], pairs.first_a[a + 1]):
            i, b = n - start, pairs.b[n]
            softmax = chunk.softmax[i]
            _attend(tables.scores, a, b, softmax)
            row = base[0 if len(base) == 1 else b]
            for j in range(columns):
                out[j] = row[j]
            for h in range(heads):
                w0, w1 = rate * softmax[0, h] + (np.float32(1) - rate), rate * softmax[1, h] + (np.float32(1) - rate)
                one, two = near[h], far[h, b]
                for j in range(columns):
                    out[j] += w0 * one[j] + w1 * two[j]
            neurons, logits = chunk.neurons[i], chunk.logits[i]
            for j in range(cut):
                neurons[j] = np.float32(0) if out[j] <= np.float32(0) else out[j]
            for j in range(columns - cut):
                logits[j] = out[cut + j]


@_njit()
def _largest(values: np.ndarray) -> float:
    """Largest of a row whose length is a multiple of 16; lane by lane, so that it vectorises."""
    _wide()
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
def _is_right(row: np.ndarray, label: int, top: float) -> bool:
    """Whether the right logit is the largest: it is larger than the largest wrong one, or equals it and comes first."""
    if row[label] != top:
        return row[label] > top
    first = 0
    while row[first] != top:
        first += 1
    return first == label


@_njit()
def _cross_entropy(row: np.ndarray, label: int, classes: int, scale: float) -> tuple[float, bool]:
    """Loss of one pair and whether it is right; its logits give way to their gradient times scale. See losses.cross_entropy."""
    _wide()
    right = row[label]
    row[label] = -inf
    row[classes:] = -inf
    top = _largest(row)
    row[label] = right
    is_right = _is_right(row, label, top)
    for j in range(len(row)):
        row[j] = _exp(row[j] - top)
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


@_njit()
def _stablemax(row: np.ndarray, label: int, classes: int, scale: float) -> tuple[float, bool]:
    """As `_cross_entropy`, for StableMax. See losses.stablemax_cross_entropy; s' = 1 where s >= 1, else s^2."""
    _wide()
    right = row[label]
    row[label] = -inf
    row[classes:] = -inf
    top = _largest(row)
    row[label] = right
    is_right = _is_right(row, label, top)
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


@_njit()
def _lose(pairs: Pairs, setting: Setting, tokens: tuple[int, int], chunk: Chunk) -> tuple[float, int]:
    """Finish the logits of a chunk; sum of losses and number of right answers; the gradient takes the logits' place."""
    _wide()
    start, n = pairs.first_a[tokens[0]], pairs.first_a[tokens[1]] - pairs.first_a[tokens[0]]
    total, n_right, scale = 0.0, 0, 1 / len(pairs.a)  # the gradient is that of the mean
    for i in range(n):
        row, label = chunk.logits[i], pairs.label[start + i]
        if setting.stablemax:
            loss, is_right = _stablemax(row, label, setting.classes, scale)
        else:
            loss, is_right = _cross_entropy(row, label, setting.classes, scale)
        total += loss
        n_right += is_right
    return total, n_right


@_njit()
def _backward_by_a(
    pairs: Pairs,
    tables: Tables,
    rate: float,
    tokens: tuple[int, int],
    chunk: Chunk,
    by_b: ByB,
    gradients: Gradients,
    thread: int,
) -> None:
    """Gradients of the scores, and of the rows `far` as far as they are used at position a; what `_backward_by_b` needs."""
    _wide()
    far, equals = tables.far, tables.scores.shape[1] == 1
    heads, columns, cut = far.shape[0], far.shape[2], chunk.neurons.shape[1]
    near, d_near, d_score = (
        np.empty((heads, columns), far.dtype),
        np.empty((heads, columns), far.dtype),
        np.empty(heads, far.dtype),
    )
    difference, difference_score = gradients.difference[thread], gradients.difference_score[thread]
    start = pairs.first_a[tokens[0]]
    for a in range(tokens[0], tokens[1]):
        d_near[:] = 0
        d_score[:] = 0
        _load_near(far, a, near)
        for n in range(pairs.first_a[a], pairs.first_a[a + 1]):
            i, b, rank = n - start, pairs.b[n], pairs.rank[n]
            neurons, d_neurons, d_logits, softmax, g = (
                chunk.neurons[i],
                chunk.d_neurons[i],
                chunk.logits[i],
                chunk.softmax[i],
                by_b.columns[rank],
            )
            for j in range(cut):
                g[j] = d_neurons[j] if neurons[j] > np.float32(0) else np.float32(0)
            for j in range(columns - cut):
                g[cut + j] = d_logits[j]
            for h in range(heads):
                s0, s1, one, two, out = softmax[0, h], softmax[1, h], near[h], far[h, b], d_near[h]
                w0 = rate * s0 + (np.float32(1) - rate)
                d0, d1 = np.float32(0), np.float32(0)
                for j in range(columns):
                    d0 += g[j] * one[j]
                    d1 += g[j] * two[j]
                for j in range(columns):
                    out[j] += w0 * g[j]
                mean = s0 * d0 + s1 * d1
                d0, d1 = rate * s0 * (d0 - mean), rate * s1 * (d1 - mean)
                by_b.weights[rank, h], by_b.d_scores[rank, h] = rate * s1 + (np.float32(1) - rate), d1
                d_score[h] += d0
                if not equals:
                    gradients.scores[h, b, a] = d0
        for h in range(heads):
            out, d, share = gradients.far[h, a], d_near[h], difference[h]
            for j in range(columns):
                out[j] = d[j]
                share[j] += d[j]
            difference_score[h] += d_score[h]
            if equals:
                gradients.scores[h, 0, a] = d_score[h]


@_njit()
def _backward_by_b(pairs: Pairs, by_b: ByB, gradients: Gradients, tokens: tuple[int, int]) -> None:
    """Gradients of the base, and of the rows `far` as far as they are used at position b (added)."""
    _wide()
    heads, columns = gradients.far.shape[0], gradients.far.shape[2]
    d_far, d_score = np.empty((heads, columns), gradients.far.dtype), np.empty(heads, gradients.far.dtype)
    for b in range(tokens[0], tokens[1]):
        d_far[:] = 0
        d_score[:] = 0
        d_base = gradients.base[b]
        d_base[:] = 0
        for rank in range(pairs.first_b[b], pairs.first_b[b + 1]):
            g = by_b.columns[rank]
            for j in range(columns):
                d_base[j] += g[j]
            for h in range(heads):
                w1, out = by_b.weights[rank, h], d_far[h]
                for j in range(columns):
                    out[j] += w1 * g[j]
                d_score[h] += by_b.d_scores[rank, h]
        for h in range(heads):
            out, d = gradients.far[h, b], d_far[h]
            for j in range(columns):
                out[j] += d[j]
            if gradients.scores.shape[1] == 1:
                gradients.scores[h, 0, b] += d_score[h]


@_njit()
def _chunk_end(pairs: Pairs, start: int, end: int, room: int) -> int:
    """The token up to which all pairs with a from `start` on fit into the buffers; at least one token."""
    stop = start + 1
    while stop < end and pairs.first_a[stop + 1] - pairs.first_a[start] <= room:
        stop += 1
    return stop


@_njit()
def _logits(pairs: Pairs, tables: Tables, setting: Setting, tokens: tuple[int, int], chunk: Chunk) -> None:
    """Neurons and logits of a chunk, from the tables."""
    _forward(pairs, tables, setting.rate, tokens, chunk)
    n = pairs.first_a[tokens[1]] - pairs.first_a[tokens[0]]
    _multiply(
        setting.sgemm,
        chunk.neurons[:n, : setting.d_mlp],
        tables.W_L[:, : setting.classes],
        chunk.logits[:n, : setting.classes],
        (False, False),
        1,
    )


@_njit(nogil=True)
def _evaluate_share(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, sums: Sums, thread: int) -> None:
    """One thread's share of a pass that only measures."""
    chunk = Chunk(chunks.neurons[thread], chunks.logits[thread], chunks.d_neurons[thread], chunks.softmax[thread])
    a, end, loss, correct = pairs.span_a[thread], pairs.span_a[thread + 1], 0.0, 0
    while a < end:
        tokens = (a, _chunk_end(pairs, a, end, len(chunk.neurons)))
        if pairs.first_a[tokens[1]] > pairs.first_a[a]:
            _logits(pairs, tables, setting, tokens, chunk)
            more_loss, more_correct = _lose(pairs, setting, tokens, chunk)
            loss, correct = loss + more_loss, correct + more_correct
        a = tokens[1]
    sums.loss[thread], sums.correct[thread] = loss, correct


@_njit(nogil=True)
def _train_share(
    pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, by_b: ByB, gradients: Gradients, sums: Sums, thread: int
) -> None:
    """One thread's share of the first pass: its tokens at position a."""
    chunk = Chunk(chunks.neurons[thread], chunks.logits[thread], chunks.d_neurons[thread], chunks.softmax[thread])
    d_W_L, difference, difference_score = gradients.W_L[thread], gradients.difference[thread], gradients.difference_score[thread]
    d_W_L[:] = 0
    difference[:] = 0
    difference_score[:] = 0
    a, end, loss, correct = pairs.span_a[thread], pairs.span_a[thread + 1], 0.0, 0
    while a < end:
        tokens = (a, _chunk_end(pairs, a, end, len(chunk.neurons)))
        n = pairs.first_a[tokens[1]] - pairs.first_a[a]
        if n > 0:
            _logits(pairs, tables, setting, tokens, chunk)
            more_loss, more_correct = _lose(pairs, setting, tokens, chunk)
            loss, correct = loss + more_loss, correct + more_correct
            d_logits = chunk.logits[:n, : setting.classes]
            _multiply(setting.sgemm, d_logits, chunk.neurons[:n, : setting.d_mlp], d_W_L, (True, False), 1)
            _multiply(
                setting.sgemm, d_logits, tables.W_L[:, : setting.classes], chunk.d_neurons[:n, : setting.d_mlp], (False, True), 0
            )
        _backward_by_a(pairs, tables, setting.rate, tokens, chunk, by_b, gradients, thread)
        a = tokens[1]
    sums.loss[thread], sums.correct[thread] = loss, correct


# The serial and the parallel loops are functions of their own: numba's cache goes by the function, not by how it is compiled.


@_njit(nogil=True)
def _evaluate_serial(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, sums: Sums) -> None:
    for thread in range(len(pairs.span_a) - 1):
        _evaluate_share(pairs, tables, setting, chunks, sums, thread)


@_njit(parallel=True)
def _evaluate_parallel(pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, sums: Sums) -> None:
    for thread in numba.prange(len(pairs.span_a) - 1):
        _evaluate_share(pairs, tables, setting, chunks, sums, thread)


@_njit(nogil=True)
def _train_serial(
    pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, by_b: ByB, gradients: Gradients, sums: Sums
) -> None:
    for thread in range(len(pairs.span_a) - 1):
        _train_share(pairs, tables, setting, chunks, by_b, gradients, sums, thread)
    for thread in range(len(pairs.span_b) - 1):
        _backward_by_b(pairs, by_b, gradients, (pairs.span_b[thread], pairs.span_b[thread + 1]))


@_njit(parallel=True)
def _train_parallel(
    pairs: Pairs, tables: Tables, setting: Setting, chunks: Chunk, by_b: ByB, gradients: Gradients, sums: Sums
) -> None:
    for thread in numba.prange(len(pairs.span_a) - 1):
        _train_share(pairs, tables, setting, chunks, by_b, gradients, sums, thread)
    for thread in numba.prange(len(pairs.span_b) - 1):
        _backward_by_b(pairs, by_b, gradients, (pairs.span_b[thread], pairs.span_b[thread + 1]))


class Loops(NamedTuple):
    """The compiled loops over pairs."""

    evaluate: Any
    train: Any
    parallel: bool


_SERIAL = Loops(_evaluate_serial, _train_serial, parallel=False)
_PARALLEL = Loops(_evaluate_parallel, _train_parallel, parallel=True)


def loops(threads: int) -> Loops:
    """The loops for a number of threads: parallel ones only where they can share OpenMP's threads with torch."""
    return _PARALLEL if threads > 1 and not forked() and _share_openmp(threads) else _SERIAL


def _share_openmp(threads: int) -> bool:
    """Start numba's OpenMP layer, whose threads are torch's; any other layer's threads would fight with torch's for the cores."""
    before, torch_before = config.THREADING_LAYER, torch.get_num_threads()
    try:
        config.THREADING_LAYER = "omp"
        numba.set_num_threads(min(threads, config.NUMBA_NUM_THREADS))
        layer = numba.threading_layer()
    except ValueError as error:
        layer = f"none ({error})"
    finally:
        config.THREADING_LAYER = before
        torch.set_num_threads(torch_before)  # numba has just set it for both
    if layer != "omp":
        logger.info("loops over pairs run in one thread: numba's threading layer is %s, not omp", layer)
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
            logger.info("compiling the fast CPU engine; this takes about half a minute, once per installation")
        self._said = True

    def on_end(self, event: Any) -> None:
        """Say nothing."""
