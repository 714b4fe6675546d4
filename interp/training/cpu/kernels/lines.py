"""Loops over single rows, and a matrix times a row.

Numba compiles each of these once; an array expression it would compile anew wherever it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from interp.training.cpu.kernels.compiler import njit, wide
from interp.training.cpu.kernels.vectors import LANES


@njit
def share_of(number: int, threads: int, thread: int) -> Any:
    """A thread's share of `number` items: the first, and the one after the last."""
    return number * thread // threads, number * (thread + 1) // threads


@njit
def columns_of(columns: int, threads: int, thread: int) -> Any:
    """A thread's share of the columns of the tables, in whole vectors: the first, and the one after the last."""
    vectors = columns // LANES
    return LANES * (vectors * thread // threads), LANES * (vectors * (thread + 1) // threads)


@njit
def vectors_of(columns: int) -> Any:
    """Number of vectors that hold so many columns; the last may be filled in part."""
    return (columns + LANES - 1) // LANES


@njit
def fill(out: np.ndarray, value: np.float32) -> None:
    """``out = value``."""
    wide()
    for j in range(len(out)):
        out[j] = value


@njit
def put(row: np.ndarray, out: np.ndarray) -> None:
    """``out = row``; `out` may be longer."""
    wide()
    for j in range(len(row)):
        out[j] = row[j]


@njit
def add(row: np.ndarray, out: np.ndarray) -> None:
    """``out += row``; `out` may be longer."""
    wide()
    for j in range(len(row)):
        out[j] += row[j]


@njit
def times(factors: np.ndarray, out: np.ndarray) -> None:
    """``out *= factors``; `out` may be longer."""
    wide()
    for j in range(len(factors)):
        out[j] *= factors[j]


@njit
def shift(out: np.ndarray, value: np.float32) -> None:
    """``out += value``."""
    wide()
    for j in range(len(out)):
        out[j] += value


@njit
def add_times(factor: np.float32, row: np.ndarray, out: np.ndarray) -> None:
    """``out += factor row``."""
    wide()
    for j in range(len(row)):
        out[j] += factor * row[j]


@njit
def sum_of_rows(a: np.ndarray, out: np.ndarray) -> None:
    """``out`` = the sum of all rows."""
    put(a[0], out)
    for i in range(1, len(a)):
        add(a[i], out)


@njit
def add_times_columns(row: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """``out += row a``."""
    for i in range(len(a)):
        add_times(row[i], a[i], out)


@njit
def times_rows(a: np.ndarray, row: np.ndarray, factor: np.float32, out: np.ndarray) -> None:
    """``out = factor a row^T``."""
    wide()
    for i in range(len(a)):
        total = np.float32(0)
        for j in range(len(row)):
            total += a[i, j] * row[j]
        out[i] = factor * total


@njit
def turn(a: np.ndarray, out: np.ndarray, first: int, last: int) -> None:
    """Transpose some columns of a, a few at a time, so that no more cache lines are in use than the first-level cache has."""
    for start in range(first, last, LANES):
        for i in range(len(a)):
            for j in range(start, min(start + LANES, last)):
                out[j, i] = a[i, j]
