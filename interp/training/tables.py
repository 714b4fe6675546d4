"""The part of the model that single tokens decide, as tables over tokens, and its gradient: what the fast engines share.

In a one-layer model everything before the neurons is a sum over positions of what one token at one position contributes, weighted
by the attention pattern A. One pair's neurons (before the ReLU) and direct logits (those that skip the MLP), side by side, are

    base + sum_heads (A_a near[head, a] + A_b far[head, b]);  far[head, t] = (x_t W_V W_O) [W_in | W_U],  near = far + last row

The attention to all positions adds up to `total`, so that the contribution of one fixed position can be moved to the base: with
``=`` every residual is taken relative to that of ``=``, and a pair needs 2 rows a head, not 3. A token differs between the
positions a and b by ``W_pos[0] - W_pos[1]`` alone, so that one table, with that difference as its last row, serves both.
Softmax does not see a shift of all scores: scores are relative to that of the fixed position too (``=``, or else b), and b_K
takes no part.

All functions take any number of leading dimensions (one per stacked run), on any device and in any precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Named = Mapping[str, Tensor]
Multiply = Callable[[Sequence[tuple[Tensor, Tensor]]], list[Tensor]]
"""Does several matrix products none of which needs another's result."""
LANE = 16  # columns are padded with zeros to a multiple of this: one cache line of float32


@dataclass(frozen=True)
class Shape:
    """The facts about a model that its tensors, stacked over runs, do not tell.

    Args:
        equals_sign: whether the input ends with ``=``.
        attention_rate: alpha in ``A' = alpha softmax + (1 - alpha) ones``.
        d_mlp: number of neurons.
        classes: number of output classes.
    """

    equals_sign: bool
    attention_rate: float
    d_mlp: int
    classes: int

    @property
    def neuron_columns(self) -> int:
        """Columns of the tables that belong to neurons, padding included."""
        return -(-self.d_mlp // LANE) * LANE

    @property
    def logit_columns(self) -> int:
        """Columns of the tables that belong to direct logits, padding included."""
        return -(-self.classes // LANE) * LANE

    @property
    def logits(self) -> slice:
        """The columns of the direct logits."""
        return slice(self.neuron_columns, self.neuron_columns + self.classes)

    @property
    def total(self) -> float:
        """What the attention of one head to all positions adds up to."""
        return self.attention_rate + (3 if self.equals_sign else 2) * (1 - self.attention_rate)


@dataclass(frozen=True)
class Tables:
    """What `tabulate` computes: what a pair needs, and what the gradient needs besides.

    The last row of `x` and `v` is the difference between the positions a and b. With ``=``, ``scores[head, 0, t]`` is that of
    token t at position b relative to ``=`` (last column: the difference); without, ``scores[head, b, a]`` is that of a relative
    to b.
    """

    base: Float[Tensor, "*run one_or_p column"]
    scores: Float[Tensor, "*run head one_or_p p_or_more"]
    W_L: Float[Tensor, "*run d_mlp column"]
    x: Float[Tensor, "*run p+1 d_model"]
    fixed: Float[Tensor, "*run one d_model"]
    v: Float[Tensor, "*run head p+1 d_head"]
    fixed_v: Float[Tensor, "*run head one d_head"]
    to_columns: Float[Tensor, "*run d_model column"]
    head_to_columns: Float[Tensor, "*run head d_head column"]
    resid: Float[Tensor, "*run one_or_p d_model"]
    q: Float[Tensor, "*run head one_or_p d_head"]
    k: Float[Tensor, "*run head p+1 d_model_or_d_head"]


@dataclass(frozen=True)
class TableGradients:
    """Gradient of the loss with respect to what a pair needs of the tables, laid out as they are."""

    v: Float[Tensor, "*run head p+1 d_head"]
    head_to_columns: Float[Tensor, "*run head d_head column"]
    base: Float[Tensor, "*run one_or_p column"]
    scores: Float[Tensor, "*run head one_or_p p_or_more"]
    W_L: Float[Tensor, "*run d_mlp column"]


def products_in_turn(products: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Matrix products by torch, one after another."""
    return [a @ b for a, b in products]


def tabulate(w: Named, shape: Shape, *, multiply: Multiply = products_in_turn) -> Tables:
    """All tables of a model (or of several, stacked) at its current weights; `multiply` does the large matrix products."""
    d_head, equals = w["W_Q"].shape[-1], shape.equals_sign
    W_E, W_pos = w["W_E"], w["W_pos"]
    p = W_E.shape[-2] - int(equals)
    far_pos, difference = W_pos[..., 1:2, :], W_pos[..., 0:1, :] - W_pos[..., 1:2, :]
    fixed = W_E[..., p:, :] + W_pos[..., 2:, :] if equals else torch.zeros_like(difference)
    x = torch.cat([W_E[..., :p, :] + (far_pos - fixed), difference], dim=-2)
    to_columns = torch.cat([_pad(w["W_in"]), _pad(w["W_U"])], dim=-1)
    W_O = w["W_O"].flatten(-3, -2)
    logit_columns = to_columns[..., shape.neuron_columns :]
    head_to_columns, W_L, v = multiply([(W_O, to_columns), (w["W_out"], logit_columns), (x.unsqueeze(-3), w["W_V"])])
    fixed_v = fixed.unsqueeze(-3) @ w["W_V"]
    if "b_V" in w:
        fixed_v = fixed_v + w["b_V"].unsqueeze(-2)
    resid = (fixed if equals else x[..., :p, :]) + shape.total * (_heads_side_by_side(fixed_v) @ W_O)
    if "b_O" in w:
        resid = resid + w["b_O"].unsqueeze(-2)
    base = resid @ to_columns + _bias_columns(w, shape)
    q = (fixed if equals else x[..., :p, :]).unsqueeze(-3) @ (w["W_Q"] * d_head**-0.5)
    if "b_Q" in w:
        q = q + w["b_Q"].unsqueeze(-2) * d_head**-0.5
    if equals:
        k = q @ w["W_K"].mT  # a score is x_t . (W_K q): one vector of width d_model a head
        scores = k @ x.unsqueeze(-3).mT
    else:
        k = x.unsqueeze(-3) @ w["W_K"]
        scores = q @ k[..., :p, :].mT + ((k[..., p:, :] - k[..., :p, :]) * q).sum(-1, keepdim=True)
    return Tables(
        base=base, scores=scores, W_L=W_L, x=x, fixed=fixed, v=v, fixed_v=fixed_v,
        to_columns=to_columns, head_to_columns=_heads_in_rows(head_to_columns, w), resid=resid, q=q, k=k,
    )  # fmt: skip


def far_rows(tables: Tables) -> Float[Tensor, "*run head p+1 column"]:
    """What each token at position b, attended to by one head, adds to a pair's neurons and direct logits."""
    return tables.v @ tables.head_to_columns


def through_far_rows(
    tables: Tables, d_far: Float[Tensor, "*run head p+1 column"]
) -> tuple[Float[Tensor, "*run head p+1 d_head"], Float[Tensor, "*run head d_head column"]]:
    """From the gradient of `far_rows` to those of its two factors."""
    return d_far @ tables.head_to_columns.mT, tables.v.mT @ d_far


def backpropagate(
    w: Named, tables: Tables, upstream: TableGradients, *, shape: Shape, into: Named, multiply: Multiply = products_in_turn
) -> None:
    """Turn the gradient of the tables into the gradient of every weight, written into the tensors of `into`."""
    W_O, d_head_to_columns = w["W_O"].flatten(-3, -2), upstream.head_to_columns.flatten(-3, -2)
    W_U, d_v = tables.to_columns[..., shape.neuron_columns :], upstream.v
    d_W_out, d_W_U, d_to_columns, d_W_O, d_W_V, d_x = multiply(
        [
            (upstream.W_L, W_U.mT),
            (w["W_out"].mT, upstream.W_L),
            (W_O.mT, d_head_to_columns),
            (d_head_to_columns, tables.to_columns.mT),
            (tables.x.unsqueeze(-3).mT, d_v),
            (_heads_side_by_side(d_v), w["W_V"].mT.flatten(-3, -2)),
        ]
    )
    into["W_out"].copy_(d_W_out)
    into["W_V"].copy_(d_W_V)
    d_to_columns += tables.resid.mT @ upstream.base
    d_to_columns[..., shape.neuron_columns :] += d_W_U
    _columns(w, d_to_columns, upstream.base, shape=shape, into=into)
    d_resid, d_fixed = _fixed(w, tables, upstream.base, d_W_O, shape=shape, into=into)
    score_x, score_fixed = _scores(w, tables, upstream.scores, shape=shape, into=into)
    d_x += score_x
    p = d_x.shape[-2] - 1
    tokens, difference = d_x[..., :p, :], d_x[..., p:, :]
    if not shape.equals_sign:
        tokens += d_resid
    everywhere = tokens.sum(-2, keepdim=True)
    into["W_E"][..., :p, :] = tokens
    into["W_pos"][..., 0:1, :] = difference
    into["W_pos"][..., 1:2, :] = everywhere - difference
    if shape.equals_sign:
        # Every other residual is taken relative to that of `=`: what moves them all moves it the other way.
        d_fixed = d_fixed + score_fixed - everywhere
        into["W_E"][..., p:, :] = d_fixed
        into["W_pos"][..., 2:, :] = d_fixed


def _columns(w: Named, d_to_columns: Tensor, d_base: Tensor, *, shape: Shape, into: Named) -> None:
    """W_in and W_U, and the biases that only shift the base."""
    by_column = d_base.sum(-2, keepdim=True)
    d_logits = by_column[..., shape.logits]
    into["W_in"].copy_(d_to_columns[..., : shape.d_mlp])
    into["W_U"].copy_(d_to_columns[..., shape.logits])
    if "b_out" in w:
        into["W_U"] += w["b_out"].unsqueeze(-1) * d_logits
        into["b_out"].copy_((d_logits @ w["W_U"].mT).squeeze(-2))
    if "b_U" in w:
        into["b_U"].copy_(d_logits.squeeze(-2))
    if "b_in" in w:
        into["b_in"].copy_(by_column[..., : shape.d_mlp].squeeze(-2))


def _fixed(
    w: Named, tables: Tables, d_base: Tensor, d_W_O: Float[Tensor, "*run head*d_head d_model"], *, shape: Shape, into: Named
) -> tuple[Float[Tensor, "*run one_or_p d_model"], Float[Tensor, "*run one d_model"]]:
    """W_O, and what the residual and the values of the fixed position give; returns the gradients of `resid` and `fixed`."""
    W_O = w["W_O"].flatten(-3, -2)
    d_resid = d_base @ tables.to_columns.mT
    d_one = d_resid.sum(-2, keepdim=True)
    through_heads = shape.total * d_one
    d_W_O += _heads_side_by_side(tables.fixed_v).mT @ through_heads
    into["W_O"].copy_(_heads_in_rows(d_W_O, w))
    d_fixed_v = _heads_in_rows((through_heads @ W_O.mT).mT, w).mT
    if shape.equals_sign:
        into["W_V"] += tables.fixed.unsqueeze(-3).mT @ d_fixed_v
    if "b_V" in w:
        into["b_V"].copy_(d_fixed_v.squeeze(-2))
    if "b_O" in w:
        into["b_O"].copy_(d_one.squeeze(-2))
    if shape.equals_sign:
        return d_resid, d_one + (d_fixed_v @ w["W_V"].mT).sum(-3)
    return d_resid, d_one


def _scores(
    w: Named, tables: Tables, d_scores: Tensor, *, shape: Shape, into: Named
) -> tuple[Float[Tensor, "*run p+1 d_model"], Float[Tensor, "*run one d_model"]]:
    """W_Q, W_K and their biases; returns the gradients of the residuals `x` and `fixed`."""
    q, k, x = tables.q, tables.k, tables.x.unsqueeze(-3)
    scale = q.shape[-1] ** -0.5
    p = x.shape[-2] - 1
    if shape.equals_sign:
        d_k = d_scores @ x
        d_x = (d_scores.mT @ k).sum(-3)
        into["W_K"].copy_(d_k.mT @ q)
        d_q = d_k @ w["W_K"] * scale
        asking = tables.fixed.unsqueeze(-3)
    else:
        by_b = d_scores.sum(-1, keepdim=True)
        d_q = (d_scores @ k[..., :p, :] + by_b * (k[..., p:, :] - k[..., :p, :])) * scale
        d_k = torch.cat([d_scores.mT @ q - by_b * q, (by_b * q).sum(-2, keepdim=True)], dim=-2)
        d_x = (d_k @ w["W_K"].mT).sum(-3)
        into["W_K"].copy_(x.mT @ d_k)
        asking = x[..., :p, :]
    into["W_Q"].copy_(asking.mT @ d_q)
    d_asking = (d_q @ w["W_Q"].mT).sum(-3)
    if "b_Q" in w:
        into["b_Q"].copy_(d_q.sum(-2))
    if "b_K" in w:
        into["b_K"].zero_()
    if not shape.equals_sign:
        d_x[..., :p, :] += d_asking
    return d_x, d_asking


def _bias_columns(w: Named, shape: Shape) -> Float[Tensor, "*run one column"] | float:
    """The biases of the neurons, and those of the logits as the unembedding sees them; 0 where there are none."""
    logits = w["b_out"].unsqueeze(-2) @ w["W_U"] if "b_out" in w else None
    if "b_U" in w:
        logits = w["b_U"].unsqueeze(-2) + (0.0 if logits is None else logits)
    neurons = w["b_in"].unsqueeze(-2) if "b_in" in w else None
    if neurons is None and logits is None:
        return 0.0
    some = w["W_in"][..., :1, :], w["W_U"][..., :1, :]
    neurons = torch.zeros_like(some[0]) if neurons is None else neurons
    logits = torch.zeros_like(some[1]) if logits is None else logits
    return F.pad(torch.cat([_pad(neurons), logits], dim=-1), (0, shape.logit_columns - shape.classes))


def _pad(columns: Float[Tensor, "*any column"]) -> Float[Tensor, "*any padded"]:
    surplus = -columns.shape[-1] % LANE
    return F.pad(columns, (0, surplus)) if surplus else columns


def _heads_side_by_side(v: Float[Tensor, "*run head row d_head"]) -> Float[Tensor, "*run row head*d_head"]:
    return v.transpose(-3, -2).flatten(-2)


def _heads_in_rows(rows: Float[Tensor, "*run head*d_head column"], w: Named) -> Float[Tensor, "*run head d_head column"]:
    return rows.reshape(*rows.shape[:-2], *w["W_O"].shape[-3:-1], rows.shape[-1])
