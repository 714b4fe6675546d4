"""From the gradient of the tables to that of the weights, in three stages: token_tables.py's formulas for one model, compiled.

Each thread does a share of every stage; a stage needs what all threads did in the stage before.
"""

from __future__ import annotations

import numpy as np

from interp.training.cpu.kernels.arrays import Gradients, Tables, open_work
from interp.training.cpu.kernels.compiler import njit
from interp.training.cpu.kernels.lines import (
    add,
    add_times,
    add_times_columns,
    fill,
    put,
    share_of,
    sum_of_rows,
    times_rows,
)
from interp.training.cpu.kernels.logit_gradients import W_out_by_W_L, W_U_by_both_ways, biases_of_columns, neurons_and_logits
from interp.training.cpu.kernels.places import matrix
from interp.training.cpu.kernels.products import multiply, multiply_turned
from interp.training.cpu.kernels.units import Unit, unit


@unit()
def _attention_of_equals(work: int, thread: int) -> None:
    """Gradients of W_Q, W_K and b_Q, head by head, and what the scores pass back to the residual of `=`."""
    of = open_work(work)
    model, tables, gradients, into, threads = of.model, of.tables, of.gradients, of.into, of.threads
    x, zero = tables.x, np.float32(0)
    p, scale = len(x) - 2, np.float32(model.W_Q.shape[2] ** -0.5)
    first, last = share_of(len(model.W_Q), threads, thread)
    for h in range(first, last):
        q, d_q, d_k = tables.q[h, 0], gradients.q[h, 0], gradients.k[h, 0]
        fill(d_k, zero)
        fill(d_q, zero)
        add_times_columns(gradients.scores[0, h, 0], x[: p + 1], d_k)
        for i in range(x.shape[1]):
            add_times(d_k[i] * scale, model.W_K[h, i], d_q)
        for i in range(x.shape[1]):
            fill(into.W_K[h, i], zero)
            add_times(d_k[i], q, into.W_K[h, i])
            fill(into.W_Q[h, i], zero)
            add_times(x[p + 1, i], d_q, into.W_Q[h, i])
        times_rows(model.W_Q[h], d_q, np.float32(1), gradients.asking[h])
        if len(into.b_Q):
            put(d_q, into.b_Q[h])


@unit()
def _queries_and_keys(work: int, thread: int) -> None:
    """For a model without `=`: the queries and keys of some tokens, and for some heads the keys of the position difference."""
    of = open_work(work)
    tables, gradients, threads = of.tables, of.gradients, of.threads
    q, k, scores = tables.q, tables.k, gradients.scores[0]
    p, d_head = q.shape[1], q.shape[2]
    scale = np.float32(d_head**-0.5)
    first, last = share_of(p, threads, thread)
    size = (last - first, d_head, p)
    for h in range(len(q)):
        d_q, d_k = gradients.q[h], gradients.k[h]
        multiply(matrix(scores[h], first, 0), matrix(k[h], 0, 0), matrix(d_q, first, 0), size, True)
        multiply_turned(matrix(scores[h], 0, first), matrix(q[h], 0, 0), matrix(d_k, first, 0), size, True)
        for b in range(first, last):
            total = scores[h, b].sum()
            for c in range(d_head):
                d_q[b, c] = (d_q[b, c] + total * (k[h, p, c] - k[h, b, c])) * scale
            add_times(-total, q[h, b], d_k[b])
    first, last = share_of(len(q), threads, thread)
    for h in range(first, last):
        of_difference = gradients.k[h, p]
        fill(of_difference, np.float32(0))
        for b in range(p):
            add_times(scores[h, b].sum(), q[h, b], of_difference)


@unit()
def _fixed_position(work: int, thread: int) -> None:
    """Through the residuals of the base: b_O, b_V, and the values of the fixed position, which every thread needs."""
    of = open_work(work)
    model, gradients, into, setting, threads = of.model, of.gradients, of.into, of.setting, of.threads
    resid, of_fixed, heads = gradients.resid[thread], gradients.fixed_v[thread], len(model.W_O)
    d_head = of_fixed.shape[1]
    sum_of_rows(gradients.rows[heads:], resid)
    for h in range(len(of_fixed)):
        times_rows(model.W_O[h * d_head : (h + 1) * d_head], resid, setting.total, of_fixed[h])
    first, last = share_of(len(into.b_O), threads, thread)
    put(resid[first:last], into.b_O[first:])
    first, last = share_of(len(into.b_V), threads, thread)
    for h in range(first, last):
        put(of_fixed[h], into.b_V[h])


@njit
def _rows_of_tokens(tables: Tables, gradients: Gradients, first: int, last: int, out: np.ndarray, row: int) -> None:
    """What the values and keys of some tokens pass back to their residuals, written to `out` from a row on."""
    d_head, d_model = tables.turned.shape[2], tables.turned.shape[3]
    to, size = matrix(out, row, 0), (last - first, d_model, d_head)
    for h in range(len(tables.v)):
        multiply(matrix(gradients.v[h], first, 0), matrix(tables.turned[2, h], 0, 0), to, size, h == 0)
        if len(tables.base) == 1:
            for token in range(first, last):
                add_times(gradients.scores[0, h, 0, token], tables.k[h, 0], out[row + token - first])
        else:
            multiply(matrix(gradients.k[h], first, 0), matrix(tables.turned[1, h], 0, 0), to, size, False)


@unit()
def _heads(work: int, thread: int) -> None:
    """W_O and W_V; without `=` W_Q and W_K."""
    of = open_work(work)
    model, tables, gradients, into, setting, threads = of.model, of.tables, of.gradients, of.into, of.setting, of.threads
    x, v, resid, of_fixed = tables.x, gradients.v, gradients.resid[thread], gradients.fixed_v[thread]
    heads, d_head, p, has_equals = v.shape[0], v.shape[2], len(x) - 2, len(tables.base) == 1
    first, last = share_of(len(model.W_O), threads, thread)
    for row in range(first, last):
        put(gradients.rows[row], into.W_O[row])
        add_times(setting.total * tables.fixed_v[row // d_head, row % d_head], resid, into.W_O[row])
    first, last = share_of(x.shape[1], threads, thread)
    here, size = matrix(x, 0, first), (last - first, d_head, p + 1)
    for h in range(heads):
        multiply_turned(here, matrix(v[h], 0, 0), matrix(into.W_V[h], first, 0), size, True)
        if has_equals:
            for i in range(first, last):
                add_times(x[p + 1, i], of_fixed[h], into.W_V[h, i])
        else:
            multiply_turned(here, matrix(gradients.k[h], 0, 0), matrix(into.W_K[h], first, 0), size, True)
            multiply_turned(here, matrix(gradients.q[h], 0, 0), matrix(into.W_Q[h], first, 0), (last - first, d_head, p), True)


@unit()
def _tokens(work: int, thread: int) -> None:
    """W_E of tokens, and the sum of a thread's share."""
    of = open_work(work)
    model, tables, gradients, into, threads = of.model, of.tables, of.gradients, of.into, of.threads
    heads, d_head, d_model, p = len(tables.v), tables.v.shape[2], tables.x.shape[1], len(tables.x) - 2
    first, last = share_of(p, threads, thread)
    _rows_of_tokens(tables, gradients, first, last, into.W_E, first)
    if len(tables.base) > 1:
        out, size = matrix(into.W_E, first, 0), (last - first, d_model, d_head)
        for h in range(heads):
            multiply(matrix(gradients.q[h], first, 0), matrix(tables.turned[0, h], 0, 0), out, size, False)
        for token in range(first, last):
            add(gradients.rows[len(model.W_O) + token], into.W_E[token])
    fill(gradients.tokens[thread], np.float32(0))
    for token in range(first, last):
        add(into.W_E[token], gradients.tokens[thread])


@unit()
def _positions(work: int, thread: int) -> None:
    """Gradients of W_pos and of `=`, which move the residuals of all tokens: by the last thread alone."""
    of = open_work(work)
    model, tables, gradients, into = of.model, of.tables, of.gradients, of.into
    if thread < of.threads - 1:
        return
    p, heads, everywhere, one = len(tables.x) - 2, len(gradients.v), gradients.resid[0], np.float32(1)
    sum_of_rows(gradients.tokens, everywhere)
    _rows_of_tokens(tables, gradients, p, p + 1, into.W_pos, 0)
    put(everywhere, into.W_pos[1])
    add_times(-one, into.W_pos[0], into.W_pos[1])
    if len(tables.base) == 1:
        # Every other residual is relative to that of `=`: so its gradient gets minus the sum of theirs.
        fixed = into.W_pos[2]
        put(gradients.rows[len(model.W_O)], fixed)
        add_times(-one, everywhere, fixed)
        for h in range(heads):
            add_times_columns(gradients.fixed_v[0, h], tables.turned[2, h], fixed)
            add(gradients.asking[h], fixed)
        put(fixed, into.W_E[p])
    elif len(into.b_Q):
        for h in range(heads):
            sum_of_rows(gradients.q[h], into.b_Q[h])
    for h in range(len(into.b_K)):
        fill(into.b_K[h], np.float32(0))


def stages(*, equals_sign: bool, biases: bool) -> list[list[Unit]]:
    """The units of each stage, for a model with or without ``=``, with or without biases of the columns."""
    first = [
        neurons_and_logits,
        *([biases_of_columns] if biases else []),
        _attention_of_equals if equals_sign else _queries_and_keys,
    ]
    return [first, [W_out_by_W_L, _fixed_position, _heads, _tokens], [W_U_by_both_ways, _positions]]
