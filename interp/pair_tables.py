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

from interp.weights import Weights


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
    w, p = weights, weights.p
    at = [w.W_E[:p] + w.W_pos[0], w.W_E[:p] + w.W_pos[1]]
    if w.equals_sign:
        at.append(w.W_E[p:] + w.W_pos[2])
    pattern = _pattern(w, at)
    onwards = torch.cat([w.W_in, w.W_U], dim=1)
    tables = [torch.einsum("nd,hde,hem->nhm", x, w.W_V, w.W_O @ onwards) for x in at]
    constant = torch.cat([_bias(w, "b_in"), _bias(w, "b_U") + _bias(w, "b_out") @ w.W_U]) + _bias(w, "b_O") @ onwards
    if w.b_V is not None:
        tables = [table + torch.einsum("he,hem->hm", w.b_V, w.W_O @ onwards) for table in tables]
    last = at[-1] @ onwards + constant
    neurons = w.W_E.new_empty(p * p, w.d_mlp)
    logits = w.W_E.new_empty(p * p, w.classes)
    # From neurons to logits in one step; for the p residues this is W_L.
    read = w.W_out @ w.W_U
    for a in range(p):
        rows = slice(a * p, (a + 1) * p)
        pre = _weighted(pattern[rows], tables, a) + last
        active = F.gelu(pre[:, : w.d_mlp]) if w.activation == "gelu" else pre[:, : w.d_mlp].relu()
        neurons[rows] = active
        torch.addmm(pre[:, w.d_mlp :], active, read, out=logits[rows])
    return PairTables(pattern=pattern, neurons=neurons, all_logits=logits, p=p)


def _pattern(w: Weights, at: list[Tensor]) -> Float[Tensor, "pair head pos"]:
    """Attention from the last position; scores are tables too, over a, over b, or where b asks, over both."""
    p = w.p
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


def _weighted(pattern: Float[Tensor, "p head pos"], tables: list[Tensor], a: int) -> Float[Tensor, "p out"]:
    """What attention writes for one a and every b: its tables' rows times its weights, summed over heads and positions."""
    # The rows of a, and of `=`, are the same for every b: one small product. Those of b differ: head by head.
    shared = [0, 2][: len(tables) - 1]
    rows = torch.cat([tables[0][a], *(tables[i][0] for i in shared[1:])])
    out = pattern[:, :, shared].transpose(1, 2).flatten(1) @ rows
    for head in range(pattern.shape[1]):
        out.addcmul_(pattern[:, head, 1, None], tables[1][:, head])
    return out


def _bias(w: Weights, name: str) -> Tensor:
    """A bias, or zeros of its shape."""
    sizes = {"b_in": w.d_mlp, "b_U": w.classes, "b_out": w.d_model, "b_O": w.d_model}
    bias: Tensor | None = getattr(w, name)
    return w.W_E.new_zeros(sizes[name]) if bias is None else bias
