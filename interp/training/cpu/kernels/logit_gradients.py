"""From the gradient of the tables to that of W_in, W_out, W_U and their biases: the part that depends on the signs of neurons.

A flipped neuron passes its input on linearly, as part of the direct map to the logits (signs.py): W_in and b_in get a part of
their gradient that way, and so does W_L, whose gradient ends up in those of W_out and W_U.
"""

from __future__ import annotations

import numpy as np

from interp.training.cpu.kernels.arrays import Gradients, Model, Setting, Signs, open_work
from interp.training.cpu.kernels.compiler import njit, wide
from interp.training.cpu.kernels.dots import Places, row_products, scattered_row_products
from interp.training.cpu.kernels.lines import add, add_times, fill, put, share_of, sum_of_rows, times, times_rows, vectors_of
from interp.training.cpu.kernels.places import address, at, matrix
from interp.training.cpu.kernels.products import multiply, multiply_turned
from interp.training.cpu.kernels.units import unit
from interp.training.cpu.kernels.vectors import LANES


@unit()
def neurons_and_logits(work: int, thread: int) -> None:
    """Gradients of the direct map to the logits, of W_in by both its ways, and of what is multiplied with either."""
    of = open_work(work)
    model, tables, gradients, into, signs, setting, threads = (
        of.model,
        of.tables,
        of.gradients,
        of.into,
        of.signs,
        of.setting,
        of.threads,
    )
    columns, W_O, resid, cut, direct = gradients.columns, model.W_O, tables.resid, setting.neuron_columns, gradients.direct
    heads, neurons, classes = len(model.W_O), len(model.W_out), setting.columns_of_W_L
    first, last = share_of(len(columns), threads, thread)
    to, size = Places(at(gradients.rows, first, 0), len(direct), 1), (last - first, len(direct), columns.shape[1] // LANES)
    row_products(matrix(columns, first, 0), matrix(tables.to_columns, 0, 0), to, size)
    first, last = share_of(len(direct), threads, thread)
    out, size = matrix(direct, first, 0), (last - first, classes, heads)
    multiply_turned(matrix(W_O, 0, first), matrix(columns, 0, cut), out, size, True)
    multiply_turned(matrix(resid, 0, first), matrix(columns, heads, cut), out, (last - first, classes, len(resid)), False)
    for i in range(first, last):
        fill(into.W_in[i], np.float32(0))
    to, flipped, vectors = Places(at(into.W_in, first, 0), 1, neurons), address(signs.flipped), vectors_of(classes)
    scattered_row_products(matrix(tables.W_L, 0, 0), flipped, out, to, (signs.number[0], last - first, vectors))
    for i in range(first, last):  # in the sign of the columns; all are turned back together at the end
        times(signs.sign[:neurons], into.W_in[i])
    out, size = matrix(into.W_in, first, 0), (last - first, neurons, heads)
    multiply_turned(matrix(W_O, 0, first), matrix(columns, 0, 0), out, size, False)
    multiply_turned(matrix(resid, 0, first), matrix(columns, heads, 0), out, (last - first, neurons, len(resid)), False)
    for i in range(first, last):
        times(signs.sign[:neurons], into.W_in[i])


@njit
def _linear_part_of_W_L(
    model: Model, gradients: Gradients, signs: Signs, setting: Setting, thread: int, span: tuple[int, int]
) -> None:
    """For a share of the neurons: the gradient of W_L through what flipped neurons pass on linearly.

    It is computed for all of them and added for the flipped ones: gathering those first would take longer.
    """
    d_W_L, direct, linear, classes = gradients.W_L[0], gradients.direct, gradients.linear, setting.columns_of_W_L
    first, last = span
    size = (last - first, classes, len(direct))
    multiply_turned(matrix(model.W_in, 0, first), matrix(direct, 0, 0), matrix(linear, first, 0), size, True)
    d_logits = gradients.base[thread][setting.neuron_columns : setting.neuron_columns + classes]  # see `biases_of_columns`
    for j in range(first, last):
        if signs.sign[j] < 0:
            add(linear[j], d_W_L[j])
            if len(model.b_in):
                add_times(model.b_in[j], d_logits, d_W_L[j])


@unit()
def W_out_by_W_L(work: int, thread: int) -> None:
    """Gradient of W_out, through some rows of W_L."""
    of = open_work(work)
    model, tables, gradients, into, signs, setting, threads = (
        of.model,
        of.tables,
        of.gradients,
        of.into,
        of.signs,
        of.setting,
        of.threads,
    )
    first, last = share_of(len(into.W_out), threads, thread)
    _linear_part_of_W_L(model, gradients, signs, setting, thread, (first, last))
    left, right = matrix(gradients.W_L[0], first, 0), matrix(tables.W_U_turned, 0, 0)
    multiply(left, right, matrix(into.W_out, first, 0), (last - first, into.W_out.shape[1], setting.columns_of_W_L), True)


@unit()
def W_U_by_both_ways(work: int, thread: int) -> None:
    """Gradient of W_U by the direct map, W_L and b_out. With relative logits its last column gets minus the sum of the others."""
    of = open_work(work)
    model, gradients, into, setting, threads = of.model, of.gradients, of.into, of.setting, of.threads
    wide()
    W_U, classes, d_logits = into.W_U, setting.columns_of_W_L, gradients.base[thread][setting.neuron_columns :]
    first, last = share_of(len(W_U), threads, thread)
    for i in range(first, last):
        put(gradients.direct[i, :classes], W_U[i])
        if len(model.b_out):
            add_times(model.b_out[i], d_logits[:classes], W_U[i])
    size = (last - first, classes, len(model.W_out))
    multiply_turned(matrix(model.W_out, 0, first), matrix(gradients.W_L[0], 0, 0), matrix(W_U, first, 0), size, False)
    for i in range(first, last if classes < setting.classes else first):
        total = np.float32(0)
        for j in range(classes):
            total += W_U[i, j]
        W_U[i, classes] = -total


@njit
def _add_flipped(d_logits: np.ndarray, W_L: np.ndarray, sign: np.ndarray, span: tuple[int, int, int], out: np.ndarray) -> None:
    """``out += W_L d_logits`` where a neuron is flipped; the span: first neuron, the one after the last, number of classes.

    A function of its own: among other loops LLVM would add up in another order.
    """
    first, last, classes = span
    for j in range(first, last):
        if sign[j] < 0:
            for column in range(classes):
                out[j] += W_L[j, column] * d_logits[column]


@unit()
def biases_of_columns(work: int, thread: int) -> None:
    """Gradients of the biases that only shift the base."""
    of = open_work(work)
    model, tables, gradients, into, signs, setting, threads = (
        of.model,
        of.tables,
        of.gradients,
        of.into,
        of.signs,
        of.setting,
        of.threads,
    )
    if not (len(into.b_in) or len(into.b_out) or len(into.b_U)):
        return
    by_column, cut = gradients.base[thread], setting.neuron_columns
    sum_of_rows(gradients.columns[len(model.W_O) :], by_column)
    first, last = share_of(len(into.b_in), threads, thread)
    put(by_column[first:last], into.b_in[first:])
    times(signs.sign[first:last], into.b_in[first:])
    _add_flipped(by_column[cut:], tables.W_L, signs.sign, (first, last, setting.columns_of_W_L), into.b_in)
    first, last = share_of(len(into.b_U), threads, thread)
    put(by_column[cut + first : cut + last], into.b_U[first:])
    d_logits = by_column[cut : cut + model.W_U.shape[1]]
    first, last = share_of(len(into.b_out), threads, thread)
    times_rows(model.W_U[first:last], d_logits, np.float32(1), into.b_out[first:])
