"""All weights of a run in one flat buffer, and all gradients in another: what an optimizer updates in one sweep."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.weights import Weights

_ALIGNMENT = 16  # in elements: every tensor starts on a cache line


class Parameters:
    """Flat weights and flat gradients, each with its named views.

    Attributes:
        flat: every weight, in the order of `Weights.tensors`, each tensor starting on a cache line (the gaps stay zero).
        gradient: the gradient of the loss, laid out as `flat`.
        weights: the live `Weights`, views into `flat`.
        gradients: the same views into `gradient`, by name.
    """

    flat: Float[Tensor, " n"]
    gradient: Float[Tensor, " n"]
    weights: Weights
    gradients: dict[str, Float[Tensor, "..."]]  # noqa: UP037

    def __init__(self, initial: Weights) -> None:
        tensors = initial.tensors()
        offsets, end = {}, 0
        for name, tensor in tensors.items():
            offsets[name] = end
            end += -(-tensor.numel() // _ALIGNMENT) * _ALIGNMENT
        self.flat = torch.zeros(end, dtype=initial.W_E.dtype, device=initial.W_E.device)
        self.gradient = torch.zeros_like(self.flat)

        def views(buffer: Tensor) -> dict[str, Tensor]:
            return {name: buffer[offsets[name] :][: t.numel()].view(t.shape) for name, t in tensors.items()}

        self.gradients = views(self.gradient)
        mine = views(self.flat)
        for name, tensor in tensors.items():
            mine[name].copy_(tensor)
        self.weights = Weights.from_tensors(mine, activation=initial.activation, attention_rate=initial.attention_rate)

    def sum_squared(self) -> float:
        """Sum of squares of all weights, accumulated in float64."""
        return float(self.flat.double().square().sum())
