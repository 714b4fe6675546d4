"""Changes of the weights after an update: each a function on named tensors, in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from interp.harmonics.cyclic import FourierBasis
from interp.networks.one_layer import Weights


def scale_update_(tensor: Tensor, before: Tensor, factor: float) -> None:
    """What an update changed in a tensor, times a factor: ``w <- w_0 + f (w - w_0)``; with 0 it is as it was, bit for bit."""
    tensor.copy_(before if factor == 0 else torch.lerp(before, tensor, factor))


def decay_otherwise_(tensor: Tensor, before: Tensor, *, lr: float, own: float, other: float) -> None:
    """Another weight decay for a tensor: AdamW took ``lr own w_0`` off, and ``lr other w_0`` should have been: the rest is given
    back.
    """
    tensor.add_(before, alpha=lr * (own - other))


def projector(p: int, frequencies: Collection[int], *, like: Tensor) -> Float[Tensor, "p p"]:
    """The projector onto the waves of some frequencies over the residues modulo p."""
    waves = torch.cat([FourierBasis(p).waves(k) for k in sorted(frequencies)])
    return (waves.T @ waves).to(like)


def take_out_(weights: Weights, frequencies: Collection[int], *, site: str, share: float) -> None:
    """Take waves out of the unembedding (``logits``: over the answers) or of the embedding (over the tokens), in place.

    ``W_U <- W_U (1 - s P)`` and the same for b_U, so that no logit has a part that runs over the answers with these frequencies;
    ``W_E <- (1 - s P) W_E``. The column or row of ``=`` stays.
    """
    p = weights.p
    onto = projector(p, frequencies, like=weights.W_E)
    if site == "embedding":
        weights.W_E[:p].sub_(onto @ weights.W_E[:p], alpha=share)
        return
    weights.W_U[:, :p].sub_(weights.W_U[:, :p] @ onto, alpha=share)
    if weights.b_U is not None:
        weights.b_U[:p].sub_(onto @ weights.b_U[:p], alpha=share)


def copies_of(tensors: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Copies of some tensors, as they are before an update."""
    return {name: tensors[name].clone() for name in names}
