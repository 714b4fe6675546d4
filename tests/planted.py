"""Shared by the tests of the measures: the grid of pairs, waves on it, and slow, literal versions of the definitions."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from interp.tasks.modular import ModularTask, Operation

# Odd, even, prime, composite, and the smallest.
MODULI = [2, 3, 4, 5, 6, 7, 9, 10, 12, 15]


def labels(p: int, operation: Operation = "add") -> Tensor:
    """The right answers for all pairs."""
    return torch.from_numpy(ModularTask(p, operation).labels)


def random_logits(p: int, seed: int = 0) -> Tensor:
    """Logits without any structure, and with a mean that differs by class."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(p * p, p, generator=generator, dtype=torch.float64) + torch.arange(p)


def some_frequencies(p: int) -> list[int]:
    """A few frequencies, the highest one always among them."""
    return sorted({1, p // 2})


def plain_loss(logits: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy by its textbook formula."""
    return logits.logsumexp(dim=1) - logits.gather(1, answers[:, None]).squeeze(1)


def grid_waves(p: int, k: int, combination: str) -> list[Tensor]:
    """cos and sin of w_k times the combination of a and b, on the grid of pairs, with norm 1; no sine for k = p/2."""
    pairs = torch.from_numpy(ModularTask(p).pairs)
    a, b = pairs[:, 0], pairs[:, 1]
    angle = 2 * torch.pi * k * {"a": a, "b": b, "sum": a + b, "difference": a - b}[combination].double() / p
    waves = [angle.cos()] if 2 * k == p else [angle.cos(), angle.sin()]
    return [wave / wave.norm() for wave in waves]


def slow_projection(x: Tensor, p: int, frequencies: Collection[int], combination: str = "sum") -> Tensor:
    """Projection of every column of x on the waves, one wave at a time."""
    total = torch.zeros_like(x)
    for k in frequencies:
        for wave in grid_waves(p, k, combination):
            total += torch.outer(wave, wave @ x)
    return total


def slow_products(x: Tensor, p: int, frequencies: Collection[int]) -> Tensor:
    """Projection on the products of {cos, sin} w_k a and {cos, sin} w_k b, one product at a time."""
    total = torch.zeros_like(x)
    for k in frequencies:
        for left in grid_waves(p, k, "a"):
            for right in grid_waves(p, k, "b"):
                wave = left * right
                wave = wave / wave.norm()
                total += torch.outer(wave, wave @ x)
    return total


def slow_share(x: Tensor, p: int, k: int) -> float:
    """Energy of one neuron's 2-D transform in {1, C, S} x {1, C, S} without the constant, over its total without the constant."""
    centred = x - x.mean()
    one = torch.ones(p * p, dtype=torch.float64)
    left, right = [one, *grid_waves(p, k, "a")], [one, *grid_waves(p, k, "b")]
    energy = 0.0
    for i, u in enumerate(left):
        for j, v in enumerate(right):
            if (i, j) != (0, 0):
                energy += float(((u * v / (u * v).norm()) @ centred) ** 2)
    return energy / float(centred.square().sum())
