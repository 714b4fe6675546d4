"""Weights laid out as the products of tabulation.py need them."""

from __future__ import annotations

import numpy as np

from interp.training.cpu.kernels.arrays import Setting, open_work
from interp.training.cpu.kernels.compiler import njit
from interp.training.cpu.kernels.lines import add_times, put, share_of, shift, times, turn
from interp.training.cpu.kernels.units import unit


@njit
def _lay_out_W_U(W_U: np.ndarray, out: np.ndarray, turned: np.ndarray, setting: Setting, threads: int, thread: int) -> None:
    """W_U, and its transpose; relative to its last column where logits are relative to the last class."""
    end, relative = W_U.shape[1] - 1, setting.columns_of_W_L < setting.classes
    first, last = share_of(len(W_U), threads, thread)
    for i in range(first, last):
        put(W_U[i], out[i])
        if relative:
            shift(out[i, : end + 1], -W_U[i, end])
    first, last = share_of(W_U.shape[1], threads, thread)
    turn(W_U, turned, first, last)
    if relative:
        last_column = np.empty(len(W_U), np.float32)
        for i in range(len(W_U)):
            last_column[i] = W_U[i, end]
        for j in range(first, last):
            add_times(np.float32(-1), last_column, turned[j])


@unit()
def lay_out(work: int, thread: int) -> None:
    """Weights side by side, and transposed."""
    of = open_work(work)
    model, tables, signs, setting, threads = of.model, of.tables, of.signs, of.setting, of.threads
    _lay_out_W_U(model.W_U, tables.W_U, tables.W_U_turned, setting, threads, thread)
    first, last = share_of(len(model.W_in), threads, thread)
    for i in range(first, last):
        put(model.W_in[i], tables.to_columns[i])
        times(signs.sign, tables.to_columns[i])
    first, last = share_of(len(model.W_V), threads, thread)
    for h in range(first, last):
        d_head = model.W_V.shape[2]
        if len(tables.base) > 1:
            turn(model.W_Q[h], tables.turned[0, h], 0, d_head)
            turn(model.W_K[h], tables.turned[1, h], 0, d_head)
        turn(model.W_V[h], tables.turned[2, h], 0, d_head)
