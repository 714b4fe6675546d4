"""Mixtures with a dial: two circuits side by side, from only the first (0) to only the second (1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from interp.errors import UsageError
from interp.networks.one_layer import Weights


def mixture(dial: float, first: Float[Tensor, "pair p"], second: Float[Tensor, "pair p"]) -> Float[Tensor, "pair p"]:
    """The logits ``(1 - dial) first + dial second``, for example of a memorizer and a clock.

    Raises:
        UsageError: if the shapes differ, or the dial is not in 0..1.

    >>> mixture(0.25, torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 8.0]])).tolist()
    [[3.0, 2.0]]
    """
    _check_dial(dial)
    if first.shape != second.shape:
        raise UsageError(f"mixture: given logits of shapes {tuple(first.shape)} and {tuple(second.shape)}, expected equal ones")
    return (1 - dial) * first + dial * second


def mixture_weights(dial: float, first: Weights, second: Weights) -> Weights:
    """A model that contains both circuits side by side: its logits are exactly the `mixture` of theirs.

    Residual streams, heads and neurons are joined block by block, so that neither circuit reads the other; the dial scales
    the unembedding of each.

    Raises:
        UsageError: if the two differ in p, positions, classes, activation or attention rate, or have a b_U.

    >>> from interp.synthetic import clock_weights, lookup_weights
    >>> mixture_weights(0.5, lookup_weights(5, [1, 2]), clock_weights(5, [1])).d_mlp
    27
    """
    _check_dial(dial)
    for name in ("p", "n_ctx", "classes", "activation", "attention_rate"):
        if getattr(first, name) != getattr(second, name):
            raise UsageError(f"mixture_weights: {name} is {getattr(first, name)} and {getattr(second, name)}, expected equal")
    if first.b_U is not None or second.b_U is not None:
        raise UsageError("mixture_weights: given a model with b_U, which belongs to neither circuit's residual stream")
    d_head = max(first.d_head, second.d_head)
    left, right = _padded(first, d_head), _padded(second, d_head)
    joined = {name: _join(name, left[name], right[name]) for name in left}
    joined["W_U"] = torch.cat([(1 - dial) * left["W_U"], dial * right["W_U"]])
    return Weights.from_tensors(joined, activation=first.activation, attention_rate=first.attention_rate)


def _padded(weights: Weights, d_head: int) -> dict[str, Tensor]:
    """The tensors with wider heads; absent biases are zero. Scores are divided by sqrt(d_head); the queries compensate for it."""
    tensors, more = weights.tensors(), d_head - weights.d_head
    zeros = weights.W_Q.new_zeros
    shapes = {
        "b_Q": (weights.n_heads, weights.d_head),
        "b_K": (weights.n_heads, weights.d_head),
        "b_V": (weights.n_heads, weights.d_head),
        "b_O": (weights.d_model,),
        "b_in": (weights.d_mlp,),
        "b_out": (weights.d_model,),
    }
    tensors = {name: zeros(shape) for name, shape in shapes.items()} | tensors
    for name in ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V"):
        tensors[name] = F.pad(tensors[name], (0, more))
    tensors["W_O"] = F.pad(tensors["W_O"], (0, 0, 0, more))
    scale = (d_head / weights.d_head) ** 0.5
    return tensors | {"W_Q": tensors["W_Q"] * scale, "b_Q": tensors["b_Q"] * scale}


def _join(name: str, left: Tensor, right: Tensor) -> Tensor:
    """Join one tensor of two models: along d_model for embeddings, per head for attention, diagonally for the MLP."""
    if name in ("W_E", "W_pos"):
        return torch.cat([left, right], dim=1)
    if name in ("W_in", "W_out"):
        return torch.cat([F.pad(left, (0, right.shape[1])), F.pad(right, (left.shape[1], 0))])
    if name in ("W_Q", "W_K", "W_V"):
        return torch.cat([F.pad(left, (0, 0, 0, right.shape[1])), F.pad(right, (0, 0, left.shape[1], 0))])
    if name == "W_O":
        return torch.cat([F.pad(left, (0, right.shape[2])), F.pad(right, (left.shape[2], 0))])
    return torch.cat([left, right])


def _check_dial(dial: float) -> None:
    if not 0 <= dial <= 1:
        raise UsageError(f"dial: given {dial!r}, expected a number in 0..1")
