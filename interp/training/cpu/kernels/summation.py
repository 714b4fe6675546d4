"""Adding up the parts in which a pass over the pairs leaves the gradient of the tables."""

from __future__ import annotations

import numpy as np

from interp.training.cpu.kernels.arrays import Gradients, open_work
from interp.training.cpu.kernels.compiler import njit, wide
from interp.training.cpu.kernels.dots import Places, row_products
from interp.training.cpu.kernels.lines import add, columns_of, fill, put, share_of
from interp.training.cpu.kernels.places import at, matrix, row_length
from interp.training.cpu.kernels.products import multiply_turned
from interp.training.cpu.kernels.units import unit
from interp.training.cpu.kernels.vectors import LANES


@njit
def _sum_of_head(gradients: Gradients, h: int, first: int, last: int, both: np.ndarray) -> None:
    """Near + far of some tokens, one row each; in the row after them, the sum of near over these tokens."""
    total = both[last - first]
    fill(total, np.float32(0))
    for token in range(first, last):
        out, near = both[token - first], gradients.near[h, token]
        put(near, out)
        add(near, total)
        for each in range(gradients.far.shape[0]):
            add(gradients.far[each, h, token], out)


@njit
def _sum_base(gradients: Gradients, first: int, last: int, rows: int, part: np.ndarray) -> None:
    """The gradient of the base: this thread's part of it if there is one base, else the rows of this thread's tokens."""
    near, far = gradients.near, gradients.far
    if len(gradients.columns) == rows + 1:
        fill(part, np.float32(0))
        for token in range(first, last):
            add(near[len(near) - 1, token], part)
    else:
        for token in range(first, last):
            out = gradients.columns[rows + token]
            put(far[0, far.shape[1] - 1, token], out)
            for each in range(1, far.shape[0]):
                add(far[each, far.shape[1] - 1, token], out)


@unit()
def combine(work: int, thread: int) -> None:
    """For one thread's tokens: sum the parts, and go on to the gradients of the two factors of `Tables.far`.

    A thread has its own rows of near and far in its caches; divided by columns, it would have to fetch half of everything.
    """
    wide()
    of = open_work(work)
    tokens, tables, gradients = of.pairs.tokens, of.tables, of.gradients
    v, to_columns, both, parts = tables.v, tables.head_to_columns, gradients.both[thread], gradients.parts[thread]
    first, last, d_head, columns = tokens[thread], tokens[thread + 1], v.shape[2], to_columns.shape[1]
    _sum_base(gradients, first, last, len(parts) - 1, parts[len(parts) - 1])
    for h in range(len(v)):
        _sum_of_head(gradients, h, first, last, both)
        total, out = matrix(both, last - first, 0), matrix(parts, h * d_head, 0)
        multiply_turned(matrix(v[h], v.shape[1] - 1, 0), total, out, (d_head, columns, 1), True)
        multiply_turned(matrix(v[h], first, 0), matrix(both, 0, 0), out, (d_head, columns, last - first), False)
        right, of_v, of_last = matrix(to_columns, h * d_head, 0), gradients.v[h], gradients.last_v[thread]
        out_v, vectors = Places(at(of_v, first, 0), row_length(of_v), 1), columns // LANES
        row_products(matrix(both, 0, 0), right, out_v, (last - first, d_head, vectors))
        row_products(total, right, Places(at(of_last, h, 0), 0, 1), (1, d_head, vectors))


@unit()
def add_up(work: int, thread: int) -> None:
    """For one thread's columns (rows, for W_L): add up the parts of all threads."""
    of = open_work(work)
    gradients, threads = of.gradients, of.threads
    parts, columns, W_L, last = gradients.parts, gradients.columns, gradients.W_L, gradients.v.shape[1] - 1
    rows = parts.shape[1] - 1
    first_column, last_column = columns_of(columns.shape[1], threads, thread)
    for row in range(rows + (len(columns) == rows + 1)):
        out = columns[row, first_column:]
        put(parts[0, row, first_column:last_column], out)
        for each in range(1, threads):
            add(parts[each, row, first_column:last_column], out)
    if thread == 0:
        for h in range(len(gradients.v)):
            put(gradients.last_v[0, h], gradients.v[h, last])
            for each in range(1, threads):
                add(gradients.last_v[each, h], gradients.v[h, last])
            for each in range(1, len(gradients.scores)):
                add(gradients.scores[each, h, 0], gradients.scores[0, h, 0])
    first, last = share_of(W_L.shape[1], threads, thread)
    for each in range(1, threads):
        for neuron in range(first, last):
            add(W_L[each, neuron], W_L[0, neuron])
