"""Random controls of equal size: other frequencies, other directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Generator, Tensor


@dataclass(frozen=True)
class Controls:
    """How many controls, and where their randomness comes from."""

    number: int
    generator: Generator

    def frequencies(self, size: int, others: Sequence[int]) -> list[list[int]]:
        """Sets of as many frequencies, drawn from others; none where there are too few."""
        if len(others) < size:
            return []
        draws = (torch.randperm(len(others), generator=self.generator)[:size] for _ in range(self.number))
        return [[others[i] for i in draw.tolist()] for draw in draws]

    def rotations(self, size: int) -> list[Float64[Tensor, "size size"]]:
        """Uniformly random rotations."""
        return [rotation(size, self.generator) for _ in range(self.number)]


def rotation(size: int, generator: Generator) -> Float64[Tensor, "size size"]:
    """A uniformly random rotation (or reflection)."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()
