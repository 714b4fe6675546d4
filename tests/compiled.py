"""Calling from Python what the fast CPU engine's kernels call from one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numba
import numpy as np

from interp.training.cpu.kernels.places import Matrix
from interp.training.cpu.kernels.units import Unit


def from_python(function: Any, units: Iterable[Unit] = ()) -> Callable[..., Any]:
    """A kernel as a function that Python can call; the units it calls are compiled."""
    for unit in units:
        assert unit.address

    @numba.njit
    def call(*given: Any) -> Any:
        return function(*given)

    return call


def at(array: np.ndarray, row: int, column: int) -> int:
    """Address of an element of a matrix."""
    return array[row:, column:].ctypes.data


def row_length(array: np.ndarray) -> int:
    """Elements from one row to the next."""
    return array.strides[0] // array.itemsize


def matrix(array: np.ndarray) -> Matrix:
    """A whole array."""
    return Matrix(at(array, 0, 0), row_length(array))
