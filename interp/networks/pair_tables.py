"""The forward pass over all p^2 pairs at once, by tables over single tokens: the same function, several times faster.

Before the MLP everything but the attention weights depends on one token at a time. So values, pushed through W_O and then W_in or
W_U, are tables over (position, token), and a pair's neurons and direct logits are a few rows of them, scaled by its attention
weights: what was a matrix product over d_model becomes one over n_heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from interp.networks.one_layer import Weights


@dataclass(frozen=True, eq=False)
class PairTables:
    """What the measures read, one row for every pair in row-major order; equal to `forward`'s to rounding."""

    pattern: Float[Tensor, "pair head pos"]
    neurons: Float[Tensor, "pair d_mlp"]
    all_logits: Float[Tensor, "pair classes"]
    p: int

    @property
    def logits(self) -> Float[Tensor, "pair p"]:
        """The logits of the p residues."""
        return self.all_logits[:, : self.p]


@torch.no_grad()
def pair_tables(weights: Weights) -> PairTables:
    """Run the model on all p^2 pairs: attention, neurons and logits, in the precision of the weights.

    >>> from interp.synthetic import clock_weights
    >>> pair_tables(clock_weights(7, [1, 2, 3])).logits.argmax(dim=1)[3 * 7 + 5].item()
    1
    """
    w = weights
    pattern, neurons = pair_pattern(w), w.W_E.new_empty(w.p**2, w.d_mlp)
    logits = _logits(w, pattern, _pushed(w, w.W_U), neurons)
    return PairTables(pattern=pattern, neurons=neurons, all_logits=logits, p=w.p)


@torch.no_grad()
def pair_logits(
    weights: Weights,
    *,
    attention_skip: Float[Tensor, "d_model d_model"] | None = None,
    mlp_skip: Float[Tensor, "d_model d_model"] | None = None,
) -> Float[Tensor, "pair p"]:
    """Only the logits of the p residues, for all pairs; optionally with something done to what bypasses attention or the MLP.

    Args:
        attention_skip: a map applied to the last position's embedding on its way past attention; zeros cut that path.
        mlp_skip: a map applied to the residual stream on its way past the MLP.
    """
    w = weights
    tables = _pushed(w, w.W_U if mlp_skip is None else mlp_skip @ w.W_U, attention_skip)
    return _logits(w, pair_pattern(w), tables, None)[:, : w.p]


@dataclass(frozen=True, eq=False)
class _Pushed:
    """What each token at each position adds to (neurons before the non-linearity, direct logits), and what is always added."""

    by_token: list[Float[Tensor, "_ head out"]]
    always: Float[Tensor, "last out"]


def _embeddings(w: Weights) -> list[Float[Tensor, "_ d_model"]]:
    """The residual stream before attention at each position, for every token that can stand there."""
    at = [w.W_E[: w.p] + w.W_pos[0], w.W_E[: w.p] + w.W_pos[1]]
    return [*at, w.W_E[w.p :] + w.W_pos[2]] if w.equals_sign else at


def _pushed(w: Weights, past_mlp: Float[Tensor, "d_model classes"], attention_skip: Tensor | None = None) -> _Pushed:
    at = _embeddings(w)
    onwards = torch.cat([w.W_in, past_mlp], dim=1)
    from_heads = w.W_O @ onwards
    by_token = [torch.einsum("nhe,hem->nhm", torch.einsum("nd,hde->nhe", x, w.W_V), from_heads) for x in at]
    if w.b_V is not None:
        by_token = [table + torch.einsum("he,hem->hm", w.b_V, from_heads) for table in by_token]
    biases = torch.cat([_bias(w, "b_in"), _bias(w, "b_U") + _bias(w, "b_out") @ w.W_U]) + _bias(w, "b_O") @ onwards
    last = at[-1] if attention_skip is None else at[-1] @ attention_skip
    return _Pushed(by_token, last @ onwards + biases)


def _logits(
    w: Weights, pattern: Float[Tensor, "pair head pos"], tables: _Pushed, neurons: Float[Tensor, "pair d_mlp"] | None
) -> Float[Tensor, "pair classes"]:
    """One value of a at a time, so that all intermediate values stay in the cache; neurons are kept where asked for."""
    p, m = w.p, w.d_mlp
    grid = pattern.reshape(p, p, w.n_heads, w.n_ctx)
    # The rows of a, and of `=`, are the same for every b: one small product. Those of b differ: head by head.
    shared = [grid[..., 0], *(grid[..., i] for i in range(2, w.n_ctx))]
    weight, weight_b = torch.cat(shared, dim=2), grid[..., 1].contiguous()
    # From neurons to logits in one step; for the p residues this is W_L.
    read, logits = w.W_out @ w.W_U, w.W_E.new_empty(p * p, w.classes)
    scratch = w.W_E.new_empty(p, m)
    for a in range(p):
        rows = torch.cat([tables.by_token[0][a], *(table[0] for table in tables.by_token[2:])])
        pre = weight[a] @ rows
        for head in range(w.n_heads):
            pre.addcmul_(weight_b[a, :, head, None], tables.by_token[1][:, head])
        pre += tables.always
        active = scratch if neurons is None else neurons[a * p : (a + 1) * p]
        if w.activation == "relu":
            torch.clamp(pre[:, :m], min=0, out=active)
        else:
            active.copy_(F.gelu(pre[:, :m]))
        torch.addmm(pre[:, m:], active, read, out=logits[a * p : (a + 1) * p])
    return logits


@torch.no_grad()
def pair_pattern(w: Weights) -> Float[Tensor, "pair head pos"]:
    """Attention from the last position for all pairs; scores are tables too, over a, over b, or, if b asks, both."""
    p, at = w.p, _embeddings(w)
    q = torch.einsum("nd,hde->nhe", at[-1], w.W_Q) + (0 if w.b_Q is None else w.b_Q)
    keys = [torch.einsum("nd,hde->nhe", x, w.W_K) + (0 if w.b_K is None else w.b_K) for x in at]
    scores = w.W_E.new_empty(p, p, w.n_heads, w.n_ctx)
    # With `=` the query is one for all pairs (n = 1); without, it is b's.
    scores[..., 0] = torch.einsum("bhe,ahe->abh", q, keys[0])
    scores[..., 1] = (q * keys[1]).sum(dim=2)
    if w.equals_sign:
        scores[..., 2] = (q * keys[2]).sum(dim=2)
    weights = (scores / w.d_head**0.5).softmax(dim=-1)
    return (w.attention_rate * weights + (1 - w.attention_rate)).reshape(p * p, w.n_heads, w.n_ctx)


def _bias(w: Weights, name: str) -> Tensor:
    """A bias, or zeros of its shape."""
    sizes = {"b_in": w.d_mlp, "b_U": w.classes, "b_out": w.d_model, "b_O": w.d_model}
    bias: Tensor | None = getattr(w, name)
    return w.W_E.new_zeros(sizes[name]) if bias is None else bias
