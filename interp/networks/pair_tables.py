"""The forward pass over all p^2 pairs at once, by tables over single tokens: the same function, several times faster.

Before the MLP everything but the attention weights depends on one token at a time. So values, pushed through W_O and then W_in or
W_U, are tables over (position, token), and a pair's neurons and direct logits are a few rows of them, scaled by its attention
weights: what was a matrix product over d_model becomes one over n_heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from interp.cores import torch_threads
from interp.networks.one_layer import Weights


@dataclass(frozen=True, eq=False)
class PairTables:
    """What the measures read, one row for every pair in row-major order; equal to `forward`'s to rounding."""

    pattern: Float[Tensor, "pair head pos"]
    neurons: Float[Tensor, "pair d_mlp"]
    from_neurons: Float[Tensor, "pair classes"]  # the neurons' part of the logits
    all_logits: Float[Tensor, "pair classes"]
    p: int

    @property
    def logits(self) -> Float[Tensor, "pair p"]:
        """The logits of the p residues."""
        return self.all_logits[:, : self.p]


@torch.no_grad()
def pair_tables(weights: Weights) -> PairTables:
    """Run the model on all p^2 pairs: attention, neurons and logits, in the precision of the weights; in one thread.

    >>> from interp.synthetic import clock_weights
    >>> pair_tables(clock_weights(7, [1, 2, 3])).logits.argmax(dim=1)[3 * 7 + 5].item()
    1
    """
    w = weights
    with torch_threads(1):  # hundreds of small operations: shared out, each would wait for the slowest thread
        pattern, kept = _pattern(w), _Kept(w.W_E.new_empty(w.p**2, w.d_mlp), w.W_E.new_empty(w.p**2, w.classes))
        logits = _logits(w, pattern, _pushed(w, w.W_U), kept)
    return PairTables(_by_pair(pattern), kept.neurons, kept.from_neurons, logits, w.p)


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
    with torch_threads(1):
        tables = _pushed(w, w.W_U if mlp_skip is None else mlp_skip @ w.W_U, attention_skip)
        return _logits(w, _pattern(w), tables, None)[:, : w.p]


@torch.no_grad()
def pair_pattern(weights: Weights) -> Float[Tensor, "pair head pos"]:
    """Attention from the last position for all pairs."""
    with torch_threads(1):
        return _by_pair(_pattern(weights))


@dataclass(frozen=True, eq=False)
class _Kept:
    """Where neurons and their part of the logits are kept."""

    neurons: Float[Tensor, "pair d_mlp"]
    from_neurons: Float[Tensor, "pair classes"]


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
    by_token = [_through_heads(_read(x, w.W_V, w.b_V), from_heads) for x in at]
    biases = torch.cat([_bias(w, "b_in"), _bias(w, "b_U") + _bias(w, "b_out") @ w.W_U]) + _bias(w, "b_O") @ onwards
    last = at[-1] if attention_skip is None else at[-1] @ attention_skip
    return _Pushed(by_token, last @ onwards + biases)


def _read(
    x: Float[Tensor, "n d_model"], matrices: Float[Tensor, "head d_model d_head"], bias: Float[Tensor, "head d_head"] | None
) -> Float[Tensor, "head n d_head"]:
    """What each head reads at every token: its queries, keys or values."""
    found = x @ matrices
    return found if bias is None else found + bias[:, None]


def _through_heads(
    values: Float[Tensor, "head n d_head"], from_heads: Float[Tensor, "head d_head out"]
) -> Float[Tensor, "n head out"]:
    """Values pushed on, head by head, written side by side for each token."""
    heads, n, out = values.shape[0], values.shape[1], from_heads.shape[2]
    pushed = values.new_empty(n, heads, out)
    for head in range(heads):
        torch.mm(values[head], from_heads[head], out=pushed[:, head])
    return pushed


def _logits(
    w: Weights, pattern: Float[Tensor, "pos head a b"], tables: _Pushed, kept: _Kept | None
) -> Float[Tensor, "pair classes"]:
    """One value of a at a time, so that all intermediate values stay in the cache.

    What differs from one to the next is taken apart before: where checkpoints are measured side by side, threads wait for each
    other at every operation, however small.
    """
    p, m = w.p, w.d_mlp
    # The rows of a and of `=`, and what is always added, are the same for every b: one small product. Those of b differ.
    always = tables.always if len(tables.always) == 1 else None
    fixed = [table[0] for table in tables.by_token[2:]] + ([] if always is None else [always])
    shared = torch.cat([pattern[0], *pattern[2:], *([] if always is None else [torch.ones_like(pattern[0, :1])])])
    rows = torch.cat([tables.by_token[0], *(table.expand(p, *table.shape) for table in fixed)], dim=1)
    weights, weights_b = shared.transpose(0, 1).contiguous().transpose(1, 2), pattern[1].permute(1, 2, 0).contiguous()[:, :, None]
    # From neurons to logits in one step; for the p residues this is W_L.
    read, logits = w.W_out @ w.W_U, w.W_E.new_empty(p * p, w.classes)
    scratch, pre = w.W_E.new_empty(p, m), w.W_E.new_empty(p, m + w.classes)
    each, neurons, direct = pre[:, None], pre[:, :m], pre[:, m:]
    actives, parts = ([scratch] * p, [direct] * p) if kept is None else (_by_a(kept.neurons, p), _by_a(kept.from_neurons, p))
    taken = (weights.unbind(), rows.unbind(), weights_b.unbind(), actives, parts, _by_a(logits, p))
    for weight, row, weight_b, active, part, out in zip(*taken, strict=True):
        torch.mm(weight, row, out=pre)
        each.baddbmm_(weight_b, tables.by_token[1])
        if always is None:  # the last position is b's: it adds something else for each b
            pre += tables.always
        if w.activation == "relu":
            torch.clamp(neurons, min=0, out=active)
        else:
            active.copy_(F.gelu(neurons))
        if kept is None:
            torch.addmm(direct, active, read, out=out)
            continue
        torch.add(torch.mm(active, read, out=part), direct, out=out)
    return logits


def _by_a(x: Float[Tensor, "pair out"], p: int) -> Sequence[Float[Tensor, "p out"]]:
    """The pairs of each value of a."""
    return x.view(p, p, x.shape[1]).unbind()


def _pattern(w: Weights) -> Float[Tensor, "pos head a b"]:
    """Attention from the last position; scores are tables too, over a, over b, or, if b asks, both."""
    p, at = w.p, _embeddings(w)
    q = _read(at[-1], w.W_Q, w.b_Q) / w.d_head**0.5
    keys = [_read(x, w.W_K, w.b_K) for x in at]
    scores = w.W_E.new_empty(w.n_ctx, w.n_heads, p, p)
    # With `=` the query is one for all pairs; without, it is b's.
    scores[0] = keys[0] @ q.transpose(1, 2)
    scores[1] = (q * keys[1]).sum(dim=2)[:, None]
    if w.equals_sign:
        scores[2] = (q * keys[2]).sum(dim=2)[:, None]
    weights = scores.softmax(dim=0)
    return weights if w.attention_rate == 1 else w.attention_rate * weights + (1 - w.attention_rate)


def _by_pair(pattern: Float[Tensor, "pos head a b"]) -> Float[Tensor, "pair head pos"]:
    """The same values, a row for each pair."""
    return pattern.flatten(2).permute(2, 1, 0).contiguous()


def _bias(w: Weights, name: str) -> Tensor:
    """A bias, or zeros of its shape."""
    sizes = {"b_in": w.d_mlp, "b_U": w.classes, "b_out": w.d_model, "b_O": w.d_model}
    bias: Tensor | None = getattr(w, name)
    return w.W_E.new_zeros(sizes[name]) if bias is None else bias
