"""Keeping matrix products of float32 on a GPU in float32, whatever the rest of the process has asked torch for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """No TensorFloat-32 inside the block: it keeps 10 of float32's 23 bits, too few for a loss of 1e-8 and its gradient."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    if before != "ieee":
        matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        if before != "ieee":
            matmul.fp32_precision = before
