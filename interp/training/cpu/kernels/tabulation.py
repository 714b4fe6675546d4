"""From the weights to the tables, in four stages: the formulas of token_tables.py, for one model, compiled.

Neurons have the signs of signs.py here; the direct map to the logits is W_U plus what flipped neurons pass on linearly.

Cross-entropy does not depend on a shift of all logits of a pair. So W_U, and everything computed from it, is taken relative to
its last column: W_L then has one column less, which for p = 113 saves one vector in eight.

Each thread does a share of every stage; a stage needs what all threads did in the one before. Written in torch, the same takes
twice as long: it is dozens of small operations, each of which costs more to start than to run.
"""

from __future__ import annotations

import numpy as np

from interp.training.cpu.kernels.arrays import Model, Setting, Signs, Tables
from interp.training.cpu.kernels.compiler import njit, wide
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
from interp.training.cpu.kernels.products import matrix, multiply, multiply_scattered

STAGES = 4


@njit
def _residuals(model: Model, x: np.ndarray, has_equals: bool, threads: int, thread: int) -> None:
    """Residuals of a thread's tokens at the later position, relative to the fixed position's (0 without `=`)."""
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


@njit
def _attention_of_equals(model: Model, tables: Tables, threads: int, thread: int) -> None:
    """What depends on `=` alone: its values, its queries divided by sqrt(d_head), and W_K times these queries."""
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


@njit
def _first_stage(model: Model, tables: Tables, signs: Signs, setting: Setting, threads: int, thread: int) -> None:
    """What needs nothing but the weights."""
    has_equals = len(tables.base) == 1
    lay_out(model, tables, signs, setting, threads, thread)
    _residuals(model, tables.x, has_equals, threads, thread)
    if has_equals:
        _attention_of_equals(model, tables, threads, thread)
    first, last = share_of(len(model.b_V), threads, thread)
    for h in range(first, last):
        if not has_equals:
            fill(tables.fixed_v[h], np.float32(0))
        add(model.b_V[h], tables.fixed_v[h])


@njit
def _queries_and_keys(model: Model, tables: Tables, first: int, last: int) -> None:
    """Queries and keys of some tokens, without `=`; the last token is the difference of the positions, which has keys only."""
    q, k, x, p = tables.q, tables.k, tables.x, tables.q.shape[1]
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


@njit
def _residuals_of_base(model: Model, tables: Tables, total: np.float32) -> None:
    """The residuals of the base: that of the query position, the values of the fixed position, b_O."""
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


@njit
def _second_stage(model: Model, tables: Tables, setting: Setting, threads: int, thread: int) -> None:
    """W_L, the values, the residuals of the base; scores, or queries and keys."""
    x, v, W_U = tables.x, tables.v, tables.W_U
    d_model = x.shape[1]
    first, last = share_of(len(model.W_out), threads, thread)
    size = (last - first, W_U.shape[1], d_model)
    multiply(matrix(model.W_out, first, 0), matrix(W_U, 0, 0), matrix(tables.W_L, first, 0), size, True)
    first, last = share_of(v.shape[1], threads, thread)
    size = (last - first, v.shape[2], d_model)
    for h in range(len(v)):
        multiply(matrix(x, first, 0), matrix(model.W_V[h], 0, 0), matrix(v[h], first, 0), size, True)
    if len(tables.base) == 1:
        for h in range(len(v)):
            times_rows(x[first:last], tables.k[h, 0], np.float32(1), tables.scores[h, 0, first:last])
    else:
        _queries_and_keys(model, tables, first, last)
    if thread == 0:
        _residuals_of_base(model, tables, setting.total)


@njit
def _scores_of_pairs(tables: Tables, threads: int, thread: int) -> None:
    """Without `=`: the scores of each a relative to b, each at its own position, for a thread's tokens b."""
    wide()
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


@njit
def _third_stage(model: Model, tables: Tables, signs: Signs, setting: Setting, threads: int, thread: int) -> None:
    """The direct map to the logits: W_U, plus W_in W_L through the flipped neurons."""
    to_columns, W_U, cut = tables.to_columns, tables.W_U, setting.neuron_columns
    first, last = share_of(len(W_U), threads, thread)
    for i in range(first, last):
        put(W_U[i], to_columns[i, cut:])
    left, out, flipped = matrix(model.W_in, first, 0), matrix(to_columns, first, cut), signs.flipped.ctypes.data
    size = (last - first, vectors_of(setting.columns_of_W_L), signs.number[0])
    multiply_scattered(left, matrix(tables.W_L, 0, 0), out, flipped, size, False)


@njit
def _add_biases(model: Model, tables: Tables, signs: Signs, setting: Setting, first: int, last: int) -> None:
    """Add to some columns of the base the biases of the neurons, and those of the logits, b_out by way of W_U."""
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


@njit
def _last_stage(model: Model, tables: Tables, signs: Signs, setting: Setting, threads: int, thread: int) -> None:
    """A thread's columns of the tables, and the scores of pairs."""
    to_columns, heads, base, v = tables.to_columns, tables.head_to_columns, tables.base, tables.v
    far, near = tables.far, tables.near
    first, last = columns_of(to_columns.shape[1], threads, thread)
    number, d_head, right = last - first, v.shape[2], matrix(to_columns, 0, first)
    multiply(matrix(model.W_O, 0, 0), right, matrix(heads, 0, first), (len(heads), number, len(to_columns)), True)
    multiply(matrix(tables.resid, 0, 0), right, matrix(base, 0, first), (len(base), number, len(to_columns)), True)
    _add_biases(model, tables, signs, setting, first, last)
    size = (v.shape[1], number, d_head)
    for h in range(len(v)):
        multiply(matrix(v[h], 0, 0), matrix(heads, h * d_head, first), matrix(far[h], 0, first), size, True)
        difference = far[h, near.shape[1], first:last]
        for token in range(near.shape[1]):
            put(far[h, token, first:last], near[h, token, first:])
            add(difference, near[h, token, first:])
    if len(base) > 1:
        _scores_of_pairs(tables, threads, thread)


@njit
def tabulate_share(model: Model, tables: Tables, signs: Signs, setting: Setting, stage: int, threads: int, thread: int) -> None:
    """One thread's share of one stage."""
    if stage == 0:
        _first_stage(model, tables, signs, setting, threads, thread)
    elif stage == 1:
        _second_stage(model, tables, setting, threads, thread)
    elif stage == 2:
        _third_stage(model, tables, signs, setting, threads, thread)
    else:
        _last_stage(model, tables, signs, setting, threads, thread)
