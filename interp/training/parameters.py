"""All weights of a run in one flat buffer, and all gradients in another, so that an optimizer updates them in one sweep."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp.cores import torch_threads
from interp.networks.initial import Trained

_ALIGNMENT = 16  # in elements: every tensor starts on a cache line


class Parameters:
    """Flat weights and flat gradients, each with its named views.

    Attributes:
        flat: every weight, in the order of the network's `tensors`, each tensor starting on a cache line (the gaps stay zero).
        gradient: the gradient of the loss, laid out as `flat`.
        weights: the live network, views into `flat`: `Weights`, or another of this toolkit's networks.
        gradients: the same views into `gradient`, by name.
    """

    flat: Float[Tensor, " n"]
    gradient: Float[Tensor, " n"]
    weights: Any
    gradients: dict[str, Float[Tensor, "..."]]  # noqa: UP037  jaxtyping reads the string

    def __init__(self, initial: Trained, *, buffers: tuple[Float[Tensor, " n"], Float[Tensor, " n"]] | None = None) -> None:
        """Copy the initial weights into new buffers, or into the given pair (weights, gradient)."""
        tensors = initial.tensors()
        self._places, end = {}, 0
        for name, tensor in tensors.items():
            self._places[name] = end, tensor.shape
            end += -(-tensor.numel() // _ALIGNMENT) * _ALIGNMENT
        like = next(iter(tensors.values()))
        empty = torch.zeros(end, dtype=like.dtype, device=like.device)
        self.flat, self.gradient = buffers or (empty, torch.zeros_like(empty))
        self.gradients = self.views(self.gradient)
        mine = self.views(self.flat)
        for name, tensor in tensors.items():
            mine[name].copy_(tensor)
        self.weights = initial.with_tensors(mine)

    def views(self, buffer: Float[Tensor, "*run n"]) -> dict[str, Float[Tensor, "..."]]:  # noqa: UP037  jaxtyping reads the string
        """Named views of a buffer laid out as `flat`, or of several such buffers, stacked."""
        return {
            name: buffer[..., start : start + shape.numel()].unflatten(-1, shape)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            for name, (start, shape) in self._places.items()
        }

    def sum_squared(self) -> float:
        """Sum of squares of all weights, accumulated in float64."""
        with torch_threads(1):  # any other number would sum in another order
            return float(self.flat.double().square().sum())
