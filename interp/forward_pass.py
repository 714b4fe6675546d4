"""The plain reference forward pass: one readable function that returns every named intermediate value.

Only the last position is read, so queries, attention and everything after them are computed there alone. (A causal mask
changes nothing at the last position, which sees every other.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import UsageError
from interp.weights import Weights


@dataclass(frozen=True, eq=False)
class Activations:
    """Every intermediate value at the last position (``embed``, ``k`` and ``v``: at every position), one row per pair."""

    embed: Float[Tensor, "pair pos d_model"]
    q: Float[Tensor, "pair head d_head"]
    k: Float[Tensor, "pair pos head d_head"]
    v: Float[Tensor, "pair pos head d_head"]
    scores: Float[Tensor, "pair head pos"]
    pattern: Float[Tensor, "pair head pos"]
    z: Float[Tensor, "pair head d_head"]
    attn_out: Float[Tensor, "pair d_model"]
    resid_mid: Float[Tensor, "pair d_model"]
    neurons_pre: Float[Tensor, "pair d_mlp"]
    neurons: Float[Tensor, "pair d_mlp"]
    mlp_out: Float[Tensor, "pair d_model"]
    resid_post: Float[Tensor, "pair d_model"]
    all_logits: Float[Tensor, "pair classes"]
    p: int

    @property
    def logits(self) -> Float[Tensor, "pair p"]:
        """The logits of the p residues: what every analysis uses. `all_logits` has the ``=`` class too, where there is one."""
        return self.all_logits[:, : self.p]


def tokens(weights: Weights, pairs: Int[Tensor, "pair 2"] | Int[np.ndarray, "pair 2"]) -> Int[Tensor, "pair pos"]:
    """The input tokens of pairs (a, b): ``a b =`` or ``a b``, as the model's positions say.

    Raises:
        UsageError: if pairs is not an (n, 2) array of residues in 0..p-1.
    """
    pairs = torch.as_tensor(pairs, device=weights.W_E.device)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
        raise UsageError(f"pairs: given {tuple(pairs.shape)} of {pairs.dtype}, expected integers of shape (n, 2)")
    if len(pairs) and not (int(pairs.min()) >= 0 and int(pairs.max()) < weights.p):
        raise UsageError(f"pairs: given residues {int(pairs.min())}..{int(pairs.max())}, expected 0..{weights.p - 1}")
    return F.pad(pairs.long(), (0, 1), value=weights.p) if weights.equals_sign else pairs.long()


def forward(weights: Weights, pairs: Int[Tensor, "pair 2"] | Int[np.ndarray, "pair 2"]) -> Activations:
    """Run the model on pairs and keep everything it computes.

    ``x_i = W_E[t_i] + W_pos[i]``; scores ``q . k_i / sqrt(d_head)``; pattern ``A' = alpha softmax(scores) + (1 - alpha)``;
    ``resid_mid = x_last + sum_heads z W_O + b_O``; ``neurons = act(resid_mid W_in + b_in)``;
    ``logits = (resid_mid + neurons W_out + b_out) W_U + b_U``. Differentiable; device and precision are those of the weights.

    Args:
        pairs: integers (n, 2), residues a and b.

    >>> from interp.synthetic import clock_weights
    >>> forward(clock_weights(7, [1, 2, 3]), torch.tensor([[3, 5]])).logits.argmax().item()
    1
    """
    return forward_embedded(weights, F.embedding(tokens(weights, pairs), weights.W_E) + weights.W_pos)


def forward_embedded(weights: Weights, embed: Float[Tensor, "pair pos d_model"]) -> Activations:
    """`forward` from the embedding on: the residual stream before attention, ``W_E[t_i] + W_pos[i]`` or anything in its place."""
    w = weights
    q = torch.einsum("nd,hde->nhe", embed[:, -1], w.W_Q) + _or_zero(w.b_Q)
    k = torch.einsum("nid,hde->nihe", embed, w.W_K) + _or_zero(w.b_K)
    v = torch.einsum("nid,hde->nihe", embed, w.W_V) + _or_zero(w.b_V)
    scores = torch.einsum("nhe,nihe->nhi", q, k) / w.d_head**0.5
    pattern = w.attention_rate * scores.softmax(dim=-1) + (1 - w.attention_rate)
    z = torch.einsum("nhi,nihe->nhe", pattern, v)
    attn_out = torch.einsum("nhe,hed->nd", z, w.W_O) + _or_zero(w.b_O)
    resid_mid = embed[:, -1] + attn_out
    neurons_pre = resid_mid @ w.W_in + _or_zero(w.b_in)
    neurons = neurons_pre.relu() if w.activation == "relu" else F.gelu(neurons_pre)
    mlp_out = neurons @ w.W_out + _or_zero(w.b_out)
    resid_post = resid_mid + mlp_out
    all_logits = resid_post @ w.W_U + _or_zero(w.b_U)
    return Activations(
        embed=embed, q=q, k=k, v=v, scores=scores, pattern=pattern, z=z, attn_out=attn_out, resid_mid=resid_mid,
        neurons_pre=neurons_pre, neurons=neurons, mlp_out=mlp_out, resid_post=resid_post, all_logits=all_logits, p=w.p,
    )  # fmt: skip


def _or_zero(bias: Tensor | None) -> Tensor | float:
    return 0.0 if bias is None else bias
