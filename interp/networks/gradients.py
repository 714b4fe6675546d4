"""The gradient of a model's mean loss, by autograd."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.losses import LOSSES
from interp.networks.one_layer import Weights, forward


def mean_loss_and_gradients(
    weights: Weights, pairs: Int[Tensor, "pair 2"], labels: Int[Tensor, " pair"], *, loss: str
) -> tuple[Float[Tensor, ""], dict[str, Tensor], Float[Tensor, "pair classes"]]:
    """The mean loss of some pairs, its gradient for each tensor, and the logits.

    Args:
        loss: ``cross_entropy`` or ``stablemax``.
    """
    leaves = weights.map(lambda tensor: tensor.detach().requires_grad_())
    tensors = leaves.tensors()
    with torch.enable_grad():
        logits = forward(leaves, pairs).all_logits
        mean = LOSSES[loss](logits, labels).mean()
        # With attention rate 0 the queries and keys take no part: their gradient is zero, not missing.
        found = torch.autograd.grad(mean, list(tensors.values()), materialize_grads=True, allow_unused=True)
    return mean.detach(), dict(zip(tensors, found, strict=True)), logits.detach()
