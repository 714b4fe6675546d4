"""Full float32 precision in matrix products on a GPU, whatever the rest of the process has set in torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """No TensorFloat-32 inside the block: it keeps 10 of the 23 bits of float32, too few for a loss of 1e-8 and its gradient."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    if before != "ieee":
        matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        if before != "ieee":
            matmul.fp32_precision = before
