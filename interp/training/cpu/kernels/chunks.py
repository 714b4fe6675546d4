"""One chunk of pairs: from the tables to its losses, and back to the gradient of the tables.

A chunk is a rectangle of tokens (some at position a, some at position b) with those of its pairs that the pass is about. The rows
of the tables it needs are few and are used several times while they are in the second-level cache, where the chunk's neurons and
their gradient stay too: nothing of the size (pairs, neurons) ever goes to memory.
"""

from __future__ import annotations

import numpy as np

from interp.training.cpu.kernels.active import Active, Back, add_logits, pull_back_active
from interp.training.cpu.kernels.arrays import Chunk, Pairs, open_chunk, open_work
from interp.training.cpu.kernels.compiler import njit, wide
from interp.training.cpu.kernels.dots import Places, row_products, scattered_row_products
from interp.training.cpu.kernels.pair_losses import exp_of_negative
from interp.training.cpu.kernels.places import Matrix, address, at, matrix, row_length
from interp.training.cpu.kernels.products import multiply, multiply_scattered
from interp.training.cpu.kernels.rows import Sources, set_row
from interp.training.cpu.kernels.units import by_name, unit
from interp.training.cpu.kernels.vectors import LANES


@njit
def _attend(pairs: Pairs, scores: np.ndarray, rate: np.float32, span: tuple[int, int], chunk: Chunk) -> None:
    """Softmax over the scores at a and b (and the score 0 of the fixed position), and the attention that follows from it."""
    wide()
    start, stop = span
    zero, one = np.float32(0), np.float32(1)
    for h in range(scores.shape[0]):
        s0, s1, w0, w1 = chunk.softmax[0, h], chunk.softmax[1, h], chunk.weights[0, h], chunk.weights[1, h]
        if scores.shape[1] == 1:
            table, shift = scores[h, 0], scores[h, 0, scores.shape[2] - 1]
            for i in range(stop - start):
                s0[i], s1[i] = table[pairs.a[start + i]] + shift, table[pairs.b[start + i]]
            for i in range(stop - start):
                top = max(s0[i], s1[i], zero)
                e0, e1 = exp_of_negative(s0[i] - top), exp_of_negative(s1[i] - top)
                total = e0 + e1 + exp_of_negative(-top)
                s0[i], s1[i] = e0 / total, e1 / total
        else:
            table_ab = scores[h]
            for i in range(stop - start):
                s0[i] = table_ab[pairs.b[start + i], pairs.a[start + i]]
            for i in range(stop - start):
                top = max(s0[i], zero)
                e0, e1 = exp_of_negative(s0[i] - top), exp_of_negative(-top)
                total = e0 + e1
                s0[i], s1[i] = e0 / total, e1 / total
        for i in range(stop - start):
            w0[i], w1[i] = rate * s0[i] + (one - rate), rate * s1[i] + (one - rate)


@unit()
def _forward(work: int, thread: int, index: int) -> None:
    wide()
    of = open_work(work)
    pairs, tables, setting, chunk = of.pairs, of.tables, of.setting, open_chunk(of.chunks[thread])
    near, far, base, rows = tables.near, tables.far, tables.base, chunk.columns
    start, stop = pairs.chunk[index], pairs.chunk[index + 1]
    _attend(pairs, tables.scores, setting.rate, (start, stop), chunk)
    cut, vectors = setting.neuron_columns, far.shape[2] // LANES
    heads, room, row_near, row_far = far.shape[0], row_length(chunk.weights[0]), near.strides[0] // 4, far.strides[0] // 4
    active = Active(address(chunk.active), chunk.active.shape[1])
    for group in range(pairs.group_a[index], pairs.group_a[index + 1]):
        first, last = pairs.first_a[group] - start, pairs.first_a[group + 1] - start
        of_near = at(near[0], pairs.a[start + first], 0)
        for i in range(first, last):
            b = pairs.b[start + i]
            at_a, at_b = at(chunk.weights[0], 0, i), at(chunk.weights[1], 0, i)
            of_base, of_far = at(base, 0 if len(base) == 1 else b, 0), at(far[0], b, 0)
            sources = Sources(of_base, of_near, row_near, of_far, row_far, at_a, at_b, room, heads)
            set_row(sources, at(rows, i, 0), active.first + 8 * i * active.row, (cut // LANES, vectors))
    neurons, logits = Matrix(at(rows, 0, 0), row_length(rows)), Matrix(at(rows, 0, cut), row_length(rows))
    W_L = Matrix(at(tables.W_L, 0, 0), row_length(tables.W_L))
    add_logits(setting.forward, neurons, active, W_L, logits, (stop - start, active.row))


@njit
def _score_gradients(pairs: Pairs, rate: np.float32, span: tuple[int, int], chunk: Chunk, d_scores: np.ndarray) -> None:
    """From the gradient of the attention to that of the scores."""
    wide()
    start, stop = span
    for h in range(d_scores.shape[0]):
        s0, s1, d0, d1 = chunk.softmax[0, h], chunk.softmax[1, h], chunk.d_scores[0, h], chunk.d_scores[1, h]
        for i in range(stop - start):
            mean = s0[i] * d0[i] + s1[i] * d1[i]
            d0[i], d1[i] = rate * s0[i] * (d0[i] - mean), rate * s1[i] * (d1[i] - mean)
        if d_scores.shape[1] == 1:
            out, last = d_scores[h, 0], d_scores.shape[2] - 1
            total = np.float32(0)
            for i in range(stop - start):
                out[pairs.a[start + i]] += d0[i]
                out[pairs.b[start + i]] += d1[i]
                total += d0[i]
            out[last] += total
        else:
            # Each pair has its own entry.
            for i in range(stop - start):
                d_scores[h, pairs.b[start + i], pairs.a[start + i]] = d0[i]


@unit()
def _backward(work: int, thread: int, index: int) -> None:
    wide()
    of = open_work(work)
    pairs, tables, setting, chunk = of.pairs, of.tables, of.setting, open_chunk(of.chunks[thread])
    gradients, signs = of.gradients, of.signs
    near, far, d_far = tables.near, tables.far, gradients.far[thread]
    heads, columns, row_near, row_far = far.shape[0], far.shape[2], near.strides[0] // 4, far.strides[0] // 4
    start, stop = pairs.chunk[index], pairs.chunk[index + 1]
    cut, vectors, room = setting.neuron_columns, columns // LANES, row_length(chunk.weights[0])
    rows, row = chunk.columns, row_length(chunk.columns)
    d_W_L, d_neurons, n = gradients.W_L[thread], chunk.d_neurons, stop - start
    neurons, so_far = Matrix(at(rows, 0, 0), row), Matrix(at(d_neurons, 0, 0), row_length(d_neurons))
    zero = Matrix(at(d_neurons, len(d_neurons) - 1, 0), 0)
    W_L = Matrix(at(tables.W_L, 0, 0), row_length(tables.W_L))
    d_logits, to, counts = Matrix(at(rows, 0, cut), row), Matrix(at(d_W_L, 0, 0), row_length(d_W_L)), signs.active[thread]
    back = Back(neurons, d_logits, W_L, to, so_far, neurons, address(counts))
    active = Active(address(chunk.active), chunk.active.shape[1])
    pull_back_active(setting.backward, back, zero, active, (n, cut // LANES))
    for group in range(pairs.group_a[index], pairs.group_a[index + 1]):
        first, last = pairs.first_a[group] - start, pairs.first_a[group + 1] - start
        a, of_group = pairs.a[start + first], matrix(rows, first, 0)
        d_scores = Places(at(chunk.d_scores[0], 0, first), 1, room)
        row_products(of_group, Matrix(at(near[0], a, 0), row_near), d_scores, (last - first, heads, vectors))
        attention, d_near = Matrix(at(chunk.weights[0], 0, first), room), gradients.near
        out = Matrix(at(d_near[0], a, 0), d_near.strides[0] // 4)
        multiply(attention, of_group, out, (len(d_near), columns, last - first), pairs.new_a[group] > 0)
    for group in range(pairs.group_b[index], pairs.group_b[index + 1]):
        first, last = pairs.first_b[group], pairs.first_b[group + 1]
        b, places = pairs.b[start + pairs.by_b[first]], address(pairs.by_b) + 4 * first
        d_scores, size = Places(at(chunk.d_scores[1], 0, 0), 1, room), (last - first, heads, vectors)
        scattered_row_products(matrix(rows, 0, 0), places, Matrix(at(far[0], b, 0), row_far), d_scores, size)
        attention, out = Matrix(at(chunk.weights[1], 0, 0), room), Matrix(at(d_far[0], b, 0), d_far.strides[0] // 4)
        is_new = pairs.new_b[group] > 0
        multiply_scattered(attention, matrix(rows, 0, 0), out, places, (len(d_far), vectors, last - first), is_new)
    of_thread = gradients.scores[thread if len(gradients.scores) > 1 else 0]
    _score_gradients(pairs, setting.rate, (start, stop), chunk, of_thread)


UNITS = _forward, _backward

forward_chunk = by_name(_forward)
"""``(work, thread, index)``: neurons and logits of a chunk, from the tables."""

backward_chunk = by_name(_backward)
"""``(work, thread, index)``: add a chunk's share to the gradient of the tables; a row that a thread meets for the first time is
overwritten."""
