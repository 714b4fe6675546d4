"""Numerical health: whether the numbers behind the conclusions can still be trusted.

Collapse: a float32 log-softmax returns exactly 0 for a pair that is right by more than about 17 nats, and its gradient is 0
(Prieto et al. 2025, arXiv 2501.04697). Adam's epsilon regime: where gradients fall below epsilon, updates shrink with them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.cores import torch_threads
from interp.errors import UsageError
from interp.harmonics.harmonics import blocks
from interp.losses import LEAST
from interp.measures.checks import check_finite


@torch_threads(1)
def collapsed(logits: Float[Tensor, "pair classes"], labels: Int[Tensor, " pair"]) -> Bool[Tensor, " pair"]:
    """Whether an ordinary float32 cross-entropy would be exactly 0, per pair; its mean over the training pairs is the share.

    Raises:
        UsageError: if a logit is NaN or infinite.

    >>> import torch
    >>> collapsed(torch.tensor([[30.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 0])).tolist()
    [True, False]
    """
    loss = logits.new_empty(len(logits), dtype=torch.float32)
    for rows in blocks(*logits.shape):
        below, right = logits[rows].float(), labels[rows]
        below = below - below.amax(dim=1, keepdim=True)
        its = below.gather(1, right[:, None])[:, 0]
        # Exponentials below the smallest normal number take many times as long, and add nothing to a sum of at least 1.
        ordinary = F.cross_entropy(below.clamp_(min=LEAST), right, reduction="none")
        loss[rows] = torch.where(its.isfinite(), ordinary, its)
    check_finite(loss, "losses")
    return loss == 0


def gradient_ratio(gradients: Mapping[str, Float[Tensor, ...]], tensors: Mapping[str, Float[Tensor, ...]]) -> dict[str, float]:
    """``||gradient|| / ||tensor||`` for each tensor, and for all of them together as ``total``.

    NaN or infinite if the gradient is, or if the tensor is zero.

    Raises:
        UsageError: if gradients and tensors have different names.

    >>> import torch
    >>> gradient_ratio({"W_E": torch.tensor([3.0, 4.0])}, {"W_E": torch.tensor([0.0, 50.0])})
    {'W_E': 0.1, 'total': 0.1}
    """
    if gradients.keys() != tensors.keys():
        raise UsageError(f"given gradients of {sorted(gradients)} and tensors {sorted(tensors)}, expected the same names")
    squares = {name: (_square(gradients[name]), _square(tensors[name])) for name in tensors}
    squares["total"] = (sum(g for g, _ in squares.values()), sum(w for _, w in squares.values()))
    return {name: (g / w) ** 0.5 if w else float("nan" if not g > 0 else "inf") for name, (g, w) in squares.items()}


def adam_epsilon_share(
    second_moments: Mapping[str, Float[Tensor, ...]], *, step: int, beta2: float, eps: float
) -> dict[str, float]:
    """Share of each tensor's entries whose Adam denominator is dominated by epsilon: ``sqrt(v / (1 - beta2^step)) < eps``.

    For these, AdamW's update is below half the learning rate however steady the gradient is. ``total`` is the share overall.

    Args:
        second_moments: Adam's ``exp_avg_sq`` by tensor name.
        step: updates made so far, at least 1.

    Raises:
        UsageError: if no update has been made.

    >>> import torch
    >>> adam_epsilon_share({"W_E": torch.tensor([1e-4, 1e-20])}, step=1000, beta2=0.98, eps=1e-8)
    {'W_E': 0.5, 'total': 0.5}
    """
    if step < 1:
        raise UsageError(f"step: given {step}, expected at least one update: before that Adam has no second moments")
    for name, moment in second_moments.items():
        check_finite(moment, f"second moments of {name}")
    bound = eps**2 * (1 - beta2**step)
    below = {name: (int((moment.double() < bound).sum()), moment.numel()) for name, moment in second_moments.items()}
    below["total"] = (sum(n for n, _ in below.values()), sum(size for _, size in below.values()))
    return {name: n / size if size else 0.0 for name, (n, size) in below.items()}


def _square(tensor: Tensor) -> float:
    return float(tensor.detach().double().square().sum())
