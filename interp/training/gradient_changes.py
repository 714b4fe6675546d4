"""Changes of the gradient before an update: noise, a penalty, and the loss of a network out of whose neurons waves are taken."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.losses import LOSSES
from interp.networks.one_layer import Weights, forward
from interp.training.parameters import Parameters
from interp.training.weight_changes import projector


def add_noise_(parameters: Parameters, sigma: float, *, seed: int, step: int) -> None:
    """Add normal noise to every entry of the gradient; what is drawn depends on the seed and the step alone."""
    drawn = int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    generator = torch.Generator().manual_seed(drawn)
    for gradient in parameters.gradients.values():
        gradient.add_(torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype).to(gradient.device), alpha=sigma)


def asymmetry(weights: Weights, pairs: Int[Tensor, "pair 2"]) -> Float[Tensor, ""]:
    """Mean square, over pairs and classes, of ``logits(a, b) - logits(b, a)``."""
    given, swapped = forward(weights, pairs).all_logits, forward(weights, pairs.flip(1)).all_logits
    return (given - swapped).square().mean()


def add_symmetry_(parameters: Parameters, pairs: Int[Tensor, "pair 2"], strength: float) -> None:
    """Add the gradient of the penalty ``strength * asymmetry``."""
    leaves = parameters.weights.map(lambda tensor: tensor.detach().requires_grad_())
    with torch.enable_grad():
        found = _gradients(asymmetry(leaves, pairs), leaves)
    for name, gradient in found.items():
        parameters.gradients[name].add_(gradient, alpha=strength)


def ablated_logits(weights: Weights, frequencies: Collection[int], share: float) -> Float[Tensor, "pair classes"]:
    """Logits of all p^2 pairs where waves are taken out of the neurons.

    Over the pairs (a, b) each neuron is a p x p array X; every product of waves in which a or b runs with one of the frequencies
    goes: ``X <- X - s (X - (1 - P) X (1 - P))``.
    """
    p, device = weights.p, weights.W_E.device
    pairs = torch.cartesian_prod(torch.arange(p, device=device), torch.arange(p, device=device))
    found = forward(weights, pairs)
    rest = torch.eye(p, device=device, dtype=weights.W_E.dtype) - projector(p, frequencies, like=weights.W_E)
    grid = found.neurons.reshape(p, p, -1)
    removed = grid - torch.einsum("xa,abn,yb->xyn", rest, grid, rest)
    return found.all_logits - share * (removed.reshape(p * p, -1) @ weights.W_out) @ weights.W_U


def take_out_of_neurons_(
    parameters: Parameters,
    frequencies: Collection[int],
    *,
    share: float,
    rows: Int[Tensor, " n"],
    labels: Int[Tensor, " n"],
    loss: str,
) -> float:
    """Put the gradient of the ablated network's mean training loss in the place of the gradient; returns that loss."""
    leaves = parameters.weights.map(lambda tensor: tensor.detach().requires_grad_())
    with torch.enable_grad():
        mean = LOSSES[loss](ablated_logits(leaves, frequencies, share)[rows], labels).mean()
        found = _gradients(mean, leaves)
    for name, gradient in found.items():
        parameters.gradients[name].copy_(gradient)
    return float(mean.detach())


def _gradients(value: Tensor, leaves: Weights) -> dict[str, Tensor]:
    tensors = leaves.tensors()
    found = torch.autograd.grad(value, list(tensors.values()), materialize_grads=True, allow_unused=True)
    return dict(zip(tensors, found, strict=True))
