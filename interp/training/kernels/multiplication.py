# numba's functions are untyped.
# mypy: disable-error-code="no-untyped-call"
"""The product of two matrices of torch's, in one thread, by the tiles of products.py."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from interp.training.kernels.compiler import VERSION, entry
from interp.training.kernels.products import LANES, add_deep_product, add_deep_transposed_product


def _compile(version: str) -> Any:
    @entry(nogil=True)
    def add_to(
        out: int, row_out: int, a: int, row_a: int, transposed: bool, b: int, row_b: int, size: tuple[int, int, int]
    ) -> None:
        len(version)  # see `compiler.VERSION`
        if transposed:
            add_deep_transposed_product(a, row_a, b, row_b, out, row_out, size)
        else:
            add_deep_product(a, row_a, b, row_b, out, row_out, size)

    return add_to


_add_to = _compile(VERSION)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """The product of two float32 matrices, each stored by rows or by columns; by torch where tiles do not fit their sizes."""
    if _fits(b):
        return _multiply(a, b)
    if _fits(a.mT):
        return _multiply(b.mT, a.mT).mT
    return _multiply(a, b.contiguous()) if b.shape[1] % LANES == 0 else a @ b


def _fits(b: Tensor) -> bool:
    """Whether rows are contiguous and whole numbers of vectors."""
    return b.stride(1) == 1 and b.shape[1] % LANES == 0


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    transposed = a.stride(1) != 1
    out = a.new_zeros(a.shape[0], b.shape[1])
    row_a = a.stride(1) if transposed else a.stride(0)
    size = (a.shape[0], b.shape[1] // LANES, a.shape[1])
    _add_to(out.data_ptr(), out.stride(0), a.data_ptr(), row_a, transposed, b.data_ptr(), b.stride(0), size)
    return out
