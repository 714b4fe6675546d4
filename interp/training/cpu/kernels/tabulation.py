"""From the weights to the tables, in four stages: the formulas of token_tables.py, for one model, compiled.

Neurons have the signs of signs.py here; the direct map to the logits is W_U plus what flipped neurons pass on linearly.

Cross-entropy does not depend on a shift of all logits of a pair. So W_U, and everything computed from it, is taken relative to
its last column: W_L then has one column less, which for p = 113 saves one vector in eight.

Each thread does a share of every stage; a stage needs what all threads did in the one before. Written in torch, the same takes
twice as long: it is dozens of small operations, each of which costs more to start than to run.
"""

from __future__ import annotations

import numpy as np

from interp.training.cpu.kernels.arrays import open_work
from interp.training.cpu.kernels.compiler import wide
from interp.training.cpu.kernels.laid_out import lay_out
from interp.training.cpu.kernels.lines import (
    add,
    add_times,
    columns_of,
    fill,
    put,
    share_of,
    shift,
    times_rows,
    vectors_of,
)
from interp.training.cpu.kernels.places import address, matrix
from interp.training.cpu.kernels.products import multiply, multiply_scattered
from interp.training.cpu.kernels.units import Unit, unit


@unit()
def _residuals(work: int, thread: int) -> None:
    """Residuals of a thread's tokens at the later position, relative to the fixed position's (0 without `=`)."""
    of = open_work(work)
    model, x, has_equals, threads = of.model, of.tables.x, len(of.tables.base) == 1, of.threads
    p, W_E, W_pos, one = len(x) - 2, model.W_E, model.W_pos, np.float32(1)
    first, last = share_of(p, threads, thread)
    for token in range(first, last):
        put(W_E[token], x[token])
        add(W_pos[1], x[token])
        if has_equals:
            add_times(-one, W_E[p], x[token])
            add_times(-one, W_pos[2], x[token])
    if thread == 0:
        put(W_pos[0], x[p])
        add_times(-one, W_pos[1], x[p])
        if has_equals:
            put(W_E[p], x[p + 1])
            add(W_pos[2], x[p + 1])


@unit()
def _attention_of_equals(work: int, thread: int) -> None:
    """What depends on `=` alone: its values, its queries divided by sqrt(d_head), and W_K times these queries."""
    of = open_work(work)
    model, tables, threads = of.model, of.tables, of.threads
    p, W_E, W_pos, d_head = len(tables.x) - 2, model.W_E, model.W_pos, model.W_V.shape[2]
    scale = np.float32(d_head**-0.5)
    first, last = share_of(len(model.W_V), threads, thread)
    for h in range(first, last):
        value, query = tables.fixed_v[h], tables.q[h, 0]
        fill(value, np.float32(0))
        fill(query, np.float32(0))
        for i in range(W_E.shape[1]):
            fixed = W_E[p, i] + W_pos[2, i]
            add_times(fixed, model.W_V[h, i], value)
            add_times(fixed * scale, model.W_Q[h, i], query)
        if len(model.b_Q):
            add_times(scale, model.b_Q[h], query)
        times_rows(model.W_K[h], query, np.float32(1), tables.k[h, 0])


@unit()
def _biases_of_values(work: int, thread: int) -> None:
    """Add b_V to the values of the fixed position (which are 0 without `=`)."""
    of = open_work(work)
    model, fixed_v = of.model, of.tables.fixed_v
    first, last = share_of(len(model.b_V), of.threads, thread)
    for h in range(first, last):
        if len(of.tables.base) > 1:
            fill(fixed_v[h], np.float32(0))
        add(model.b_V[h], fixed_v[h])


@unit()
def _queries_and_keys(work: int, thread: int) -> None:
    """Queries and keys of some tokens, without `=`; the last token is the difference of the positions, which has keys only."""
    of = open_work(work)
    model, tables = of.model, of.tables
    q, k, x, p = tables.q, tables.k, tables.x, tables.q.shape[1]
    first, last = share_of(p + 1, of.threads, thread)
    d_head, d_model, asking = q.shape[2], x.shape[1], min(last, p)
    scale = np.float32(d_head**-0.5)
    for h in range(len(q)):
        multiply(matrix(x, first, 0), matrix(model.W_K[h], 0, 0), matrix(k[h], first, 0), (last - first, d_head, d_model), True)
        multiply(matrix(x, first, 0), matrix(model.W_Q[h], 0, 0), matrix(q[h], first, 0), (asking - first, d_head, d_model), True)
        for token in range(first, asking):
            if len(model.b_Q):
                add(model.b_Q[h], q[h, token])
            for c in range(d_head):
                q[h, token, c] *= scale
                tables.k_turned[h, c, token] = k[h, token, c]


@unit()
def _residuals_of_base(work: int, thread: int) -> None:
    """The residuals of the base: that of the query position, the values of the fixed position, b_O; by the first thread alone."""
    of = open_work(work)
    model, tables, total = of.model, of.tables, of.setting.total
    if thread > 0:
        return
    resid, x, d_head = tables.resid, tables.x, tables.v.shape[2]
    own_part = resid[len(resid) - 1]
    fill(own_part, np.float32(0))
    for h in range(len(tables.fixed_v)):
        for c in range(d_head):
            add_times(total * tables.fixed_v[h, c], model.W_O[h * d_head + c], own_part)
    add(model.b_O, own_part)
    own = len(x) - 1 if len(resid) == 1 else 0
    for row in range(len(resid) - 1):
        put(own_part, resid[row])
        add(x[own + row], resid[row])
    add(x[own + len(resid) - 1], own_part)


@unit()
def _values(work: int, thread: int) -> None:
    """W_L, and the values of tokens."""
    of = open_work(work)
    model, tables, threads = of.model, of.tables, of.threads
    x, v, W_U = tables.x, tables.v, tables.W_U
    first, last = share_of(len(model.W_out), threads, thread)
    size = (last - first, W_U.shape[1], x.shape[1])
    multiply(matrix(model.W_out, first, 0), matrix(W_U, 0, 0), matrix(tables.W_L, first, 0), size, True)
    first, last = share_of(v.shape[1], threads, thread)
    size = (last - first, v.shape[2], x.shape[1])
    for h in range(len(v)):
        multiply(matrix(x, first, 0), matrix(model.W_V[h], 0, 0), matrix(v[h], first, 0), size, True)


@unit()
def _scores_at_equals(work: int, thread: int) -> None:
    """The scores of tokens, with `=`."""
    of = open_work(work)
    tables = of.tables
    first, last = share_of(tables.v.shape[1], of.threads, thread)
    for h in range(len(tables.v)):
        times_rows(tables.x[first:last], tables.k[h, 0], np.float32(1), tables.scores[h, 0, first:last])


@unit()
def _scores_of_pairs(work: int, thread: int) -> None:
    """Without `=`: the scores of each a relative to b, each at its own position, for a thread's tokens b."""
    wide()
    of = open_work(work)
    tables, threads = of.tables, of.threads
    q, k, scores, p = tables.q, tables.k, tables.scores, tables.q.shape[1]
    first, last = share_of(p, threads, thread)
    size = (last - first, p, q.shape[2])
    for h in range(len(q)):
        multiply(matrix(q[h], first, 0), matrix(tables.k_turned[h], 0, 0), matrix(scores[h], first, 0), size, True)
        for b in range(first, last):
            of_b = np.float32(0)
            for c in range(q.shape[2]):
                of_b += q[h, b, c] * (k[h, p, c] - k[h, b, c])
            shift(scores[h, b], of_b)


@unit()
def _direct_map(work: int, thread: int) -> None:
    """The direct map to the logits: W_U, plus W_in W_L through the flipped neurons."""
    of = open_work(work)
    model, tables, signs, setting, threads = of.model, of.tables, of.signs, of.setting, of.threads
    to_columns, W_U, cut = tables.to_columns, tables.W_U, setting.neuron_columns
    first, last = share_of(len(W_U), threads, thread)
    for i in range(first, last):
        put(W_U[i], to_columns[i, cut:])
    left, out, flipped = matrix(model.W_in, first, 0), matrix(to_columns, first, cut), address(signs.flipped)
    size = (last - first, vectors_of(setting.columns_of_W_L), signs.number[0])
    multiply_scattered(left, matrix(tables.W_L, 0, 0), out, flipped, size, False)


@unit()
def _add_biases(work: int, thread: int) -> None:
    """Add to a thread's columns of the base the biases of the neurons, and those of the logits, b_out by way of W_U."""
    of = open_work(work)
    model, tables, signs, setting = of.model, of.tables, of.signs, of.setting
    first, last = columns_of(tables.base.shape[1], of.threads, thread)
    base, cut, relative = tables.base, setting.neuron_columns, setting.columns_of_W_L < setting.classes
    for row in range(len(base)):
        for j in range(first, min(last, len(model.b_in))):
            base[row, j] += signs.sign[j] * model.b_in[j]
    flipped = signs.number[0] if len(model.b_in) else 0
    classes = model.W_U.shape[1] if len(model.b_U) or len(model.b_out) or flipped else 0
    for j in range(max(first, cut) - cut, min(last - cut, classes)):
        bias = np.float32(0)
        if len(model.b_U):
            bias += model.b_U[j] - (model.b_U[classes - 1] if relative else np.float32(0))
        for i in range(len(model.b_out)):
            bias += model.b_out[i] * tables.W_U[i, j]
        for i in range(flipped):
            bias += model.b_in[signs.flipped[i]] * tables.W_L[signs.flipped[i], j]
        for row in range(len(base)):
            base[row, cut + j] += bias


@unit()
def _columns(work: int, thread: int) -> None:
    """A thread's columns of the tables."""
    of = open_work(work)
    model, tables, threads = of.model, of.tables, of.threads
    to_columns, heads, base, v = tables.to_columns, tables.head_to_columns, tables.base, tables.v
    far, near = tables.far, tables.near
    first, last = columns_of(to_columns.shape[1], threads, thread)
    number, d_head, right = last - first, v.shape[2], matrix(to_columns, 0, first)
    multiply(matrix(model.W_O, 0, 0), right, matrix(heads, 0, first), (len(heads), number, len(to_columns)), True)
    multiply(matrix(tables.resid, 0, 0), right, matrix(base, 0, first), (len(base), number, len(to_columns)), True)
    size = (v.shape[1], number, d_head)
    for h in range(len(v)):
        multiply(matrix(v[h], 0, 0), matrix(heads, h * d_head, first), matrix(far[h], 0, first), size, True)
        difference = far[h, near.shape[1], first:last]
        for token in range(near.shape[1]):
            put(far[h, token, first:last], near[h, token, first:])
            add(difference, near[h, token, first:])


def stages(*, equals_sign: bool, biases: bool) -> list[list[Unit]]:
    """The units of each stage, for a model with or without ``=``, with or without biases."""
    return [
        [lay_out, _residuals, *([_attention_of_equals] if equals_sign else []), *([_biases_of_values] if biases else [])],
        [_values, _scores_at_equals if equals_sign else _queries_and_keys, _residuals_of_base],
        [_direct_map],
        [_columns, *([_add_biases] if biases else []), *([] if equals_sign else [_scores_of_pairs])],
    ]
