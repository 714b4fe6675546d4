"""The part of the model that depends on single tokens, as tables over tokens, and its gradient: the algebra of the fast engines.

The CUDA engine runs it as it stands here; the CPU engine has it compiled (kernels/tabulation.py, backpropagation.py,
logit_gradients.py), with signs of neurons (kernels/signs.py).

In a one-layer model everything before the neurons is a sum over positions of what one token at one position contributes, weighted
by the attention pattern A. One pair's neurons (before the ReLU) and direct logits (those that skip the MLP), side by side, are

    base + sum_heads (A_a near[head, a] + A_b far[head, b]);  far[head, t] = (x_t W_V W_O) [W_in | W_U],  near = far + last row

The attention to all positions adds up to `total`, so that the contribution of one fixed position can be moved to the base: with
``=`` every residual is taken relative to that of ``=``, and a pair needs 2 rows per head instead of 3. A token's residuals at the
positions a and b differ by ``W_pos[0] - W_pos[1]`` only, so that one table, with that difference as its last row, serves both.
Softmax does not depend on a shift of all scores: scores, too, are relative to that of the fixed position (``=``, or else b), and
b_K has no effect.

All functions take any number of leading dimensions (one per stacked run), on any device and in any precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Named = Mapping[str, Tensor]
LANE = 16  # columns are padded with zeros to a multiple of this: one cache line of float32


@dataclass(frozen=True)
class Shape:
    """What cannot be read from a model's tensors when they are stacked over runs.

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
        """The sum of one head's attention over all positions."""
        return self.attention_rate + (3 if self.equals_sign else 2) * (1 - self.attention_rate)


@dataclass(frozen=True)
class TokenTables:
    """What `tabulate` computes: what a pair needs, and what the gradient needs in addition.

    The last two rows of `x` are the difference between the positions a and b, and the fixed position; the last row of `v` is for
    that difference. With ``=``, ``scores[head, 0, t]`` is the score of token t at position b relative to ``=`` (last column: the
    difference); without, ``scores[head, b, a]`` is that of a relative to b. `rows`, which are multiplied with `to_columns`, are
    those of W_O followed by the residuals of the base.
    """

    base: Float[Tensor, "*run one_or_p column"]
    scores: Float[Tensor, "*run head one_or_p p_or_more"]
    W_L: Float[Tensor, "*run d_mlp logit_column"]
    x: Float[Tensor, "*run p_plus_2 d_model"]
    v: Float[Tensor, "*run head p_plus_1 d_head"]
    fixed_v: Float[Tensor, "*run head one d_head"]
    to_columns: Float[Tensor, "*run d_model column"]
    head_to_columns: Float[Tensor, "*run head d_head column"]
    rows: Float[Tensor, "*run row d_model"]  # head * d_head, and 1 or p
    q: Float[Tensor, "*run head one_or_p d_head"]
    k: Float[Tensor, "*run head one_or_p_plus_1 d_model_or_d_head"]


@dataclass(frozen=True)
class TableGradients:
    """Gradient of the loss with respect to the tables that a pair needs, in the same layout.

    `columns` is the gradient of `head_to_columns` and, in its last rows, of `base`.
    """

    v: Float[Tensor, "*run head p_plus_1 d_head"]
    columns: Float[Tensor, "*run row column"]  # rows: head * d_head, and 1 or p
    scores: Float[Tensor, "*run head one_or_p p_or_more"]
    W_L: Float[Tensor, "*run d_mlp logit_column"]


def tabulate(w: Named, shape: Shape) -> TokenTables:
    """All tables of a model (or of several, stacked) at its current weights."""
    d_head, equals = w["W_Q"].shape[-1], shape.equals_sign
    W_E, W_pos = w["W_E"], w["W_pos"]
    p = W_E.shape[-2] - int(equals)
    far_pos, difference = W_pos[..., 1:2, :], W_pos[..., 0:1, :] - W_pos[..., 1:2, :]
    fixed = W_E[..., p:, :] + W_pos[..., 2:, :] if equals else torch.zeros_like(difference)
    x = torch.cat([W_E[..., :p, :] + (far_pos - fixed), difference, fixed], dim=-2)
    to_columns = torch.cat([*_padded(w["W_in"]), *_padded(w["W_U"])], dim=-1)
    W_L, v = w["W_out"] @ to_columns[..., shape.neuron_columns :], x.unsqueeze(-3) @ w["W_V"]
    fixed_v = v[..., p + 1 :, :]
    if "b_V" in w:
        fixed_v = fixed_v + w["b_V"].unsqueeze(-2)
    W_O, own = w["W_O"].flatten(-3, -2), fixed if equals else x[..., :p, :]
    resid = own + shape.total * (_heads_side_by_side(fixed_v) @ W_O)
    if "b_O" in w:
        resid = resid + w["b_O"].unsqueeze(-2)
    rows = torch.cat([W_O, resid], dim=-2)
    columns = rows @ to_columns
    heads = W_O.shape[-2]
    q = own.unsqueeze(-3) @ w["W_Q"]
    if "b_Q" in w:
        q = q + w["b_Q"].unsqueeze(-2)
    q = q * d_head**-0.5
    if equals:
        k = q @ w["W_K"].mT  # a score is x_t . (W_K q): one vector of width d_model a head
        scores = k @ x[..., : p + 1, :].unsqueeze(-3).mT
    else:
        k = x[..., : p + 1, :].unsqueeze(-3) @ w["W_K"]
        scores = q @ k[..., :p, :].mT + ((k[..., p:, :] - k[..., :p, :]) * q).sum(-1, keepdim=True)
    return TokenTables(
        base=_with_biases(columns[..., heads:, :], w, shape), scores=scores, W_L=W_L, x=x, v=v[..., : p + 1, :], fixed_v=fixed_v,
        to_columns=to_columns, head_to_columns=_heads_in_rows(columns[..., :heads, :], w), rows=rows, q=q, k=k,
    )  # fmt: skip


def backpropagate(w: Named, tables: TokenTables, upstream: TableGradients, *, shape: Shape, into: Named) -> None:
    """Turn the gradient of the tables into the gradient of every weight, written into the tensors of `into`."""
    heads = tables.head_to_columns.shape[-3] * tables.head_to_columns.shape[-2]
    W_U, from_neurons, by_column = tables.to_columns[..., shape.neuron_columns :], slice(shape.d_mlp), upstream.columns
    d_rows = by_column @ tables.to_columns.mT
    by_skipping, by_mlp = tables.rows.mT @ by_column[..., shape.neuron_columns :], w["W_out"].mT @ upstream.W_L
    torch.matmul(upstream.W_L, W_U.mT, out=into["W_out"])
    torch.matmul(tables.rows.mT, by_column[..., from_neurons], out=into["W_in"])
    torch.add(by_skipping[..., : shape.classes], by_mlp[..., : shape.classes], out=into["W_U"])
    _biases_of_columns(w, by_column[..., heads:, :], shape=shape, into=into)
    d_resid = d_one = d_rows[..., heads:, :]
    if not shape.equals_sign:
        d_one = d_resid.sum(-2, keepdim=True)
    if "b_O" in w:
        into["b_O"].copy_(d_one.squeeze(-2))
    through_heads, W_O = shape.total * d_one, w["W_O"].flatten(-3, -2)
    fixed_v = _heads_side_by_side(tables.fixed_v)
    torch.addcmul(d_rows[..., :heads, :], fixed_v.mT, through_heads, out=into["W_O"].flatten(-3, -2))
    d_fixed_v = _heads_in_rows((through_heads @ W_O.mT).mT, w).mT
    if "b_V" in w:
        into["b_V"].copy_(d_fixed_v.squeeze(-2))
    d_v = torch.cat([upstream.v, d_fixed_v], dim=-2)
    d_x = _heads_side_by_side(d_v) @ w["W_V"].mT.flatten(-3, -2)
    torch.matmul(tables.x.unsqueeze(-3).mT, d_v, out=into["W_V"])
    d_asking = _scores(w, tables, upstream.scores, d_x[..., :-1, :], shape=shape, into=into)
    p = d_x.shape[-2] - 2
    tokens, difference = d_x[..., :p, :], d_x[..., p : p + 1, :]
    if not shape.equals_sign:
        tokens += d_resid
        tokens += d_asking
    everywhere = tokens.sum(-2, keepdim=True)
    into["W_E"][..., :p, :] = tokens
    into["W_pos"][..., 0:1, :] = difference
    torch.sub(everywhere, difference, out=into["W_pos"][..., 1:2, :])
    if shape.equals_sign:
        # Every other residual is relative to that of `=`, so its gradient gets minus the sum of theirs.
        d_fixed = d_x[..., p + 1 :, :] + d_resid
        d_fixed += d_asking
        d_fixed -= everywhere
        into["W_E"][..., p:, :] = d_fixed
        into["W_pos"][..., 2:, :] = d_fixed


def _biases_of_columns(w: Named, d_base: Tensor, *, shape: Shape, into: Named) -> None:
    """Gradients of the biases that only shift the base, and the part of W_U's gradient that is due to b_out."""
    if not {"b_out", "b_U", "b_in"} & w.keys():
        return
    by_column = d_base.sum(-2, keepdim=True)
    d_logits = by_column[..., shape.logits]
    if "b_out" in w:
        into["W_U"] += w["b_out"].unsqueeze(-1) * d_logits
        into["b_out"].copy_((d_logits @ w["W_U"].mT).squeeze(-2))
    if "b_U" in w:
        into["b_U"].copy_(d_logits.squeeze(-2))
    if "b_in" in w:
        into["b_in"].copy_(by_column[..., : shape.d_mlp].squeeze(-2))


def _scores(
    w: Named, tables: TokenTables, d_scores: Tensor, d_x: Float[Tensor, "*run p_plus_1 d_model"], *, shape: Shape, into: Named
) -> Float[Tensor, "*run one_or_p d_model"]:
    """Gradients of W_Q, W_K and their biases; adds to that of `x`, and returns that of the residuals at the query position."""
    q, k, x = tables.q, tables.k, tables.x[..., :-1, :]
    scale = q.shape[-1] ** -0.5
    p = x.shape[-2] - 1
    if shape.equals_sign:
        by_head = d_scores.squeeze(-2)
        d_k = (by_head @ x).unsqueeze(-2)
        d_x += by_head.mT @ k.squeeze(-2)
        torch.mul(d_k.mT, q, out=into["W_K"])
        d_q = d_k @ w["W_K"] * scale
        asking = tables.x[..., p + 1 :, :].unsqueeze(-3)
        torch.mul(asking.mT, d_q, out=into["W_Q"])
    else:
        by_b = d_scores.sum(-1, keepdim=True)
        d_q = (d_scores @ k[..., :p, :] + by_b * (k[..., p:, :] - k[..., :p, :])) * scale
        d_k = torch.cat([d_scores.mT @ q - by_b * q, (by_b * q).sum(-2, keepdim=True)], dim=-2)
        d_x += (d_k @ w["W_K"].mT).sum(-3)
        torch.matmul(x.unsqueeze(-3).mT, d_k, out=into["W_K"])
        torch.matmul(x[..., :p, :].unsqueeze(-3).mT, d_q, out=into["W_Q"])
    if "b_Q" in w:
        into["b_Q"].copy_(d_q.sum(-2))
    if "b_K" in w:
        into["b_K"].zero_()
    return (d_q @ w["W_Q"].mT).sum(-3)


def _with_biases(base: Float[Tensor, "*run one_or_p column"], w: Named, shape: Shape) -> Float[Tensor, "*run one_or_p column"]:
    """The base, plus the biases of the neurons and of the logits (b_out by way of W_U)."""
    if "b_in" in w:
        base[..., : shape.d_mlp] += w["b_in"].unsqueeze(-2)
    if "b_out" in w:
        base[..., shape.logits] += w["b_out"].unsqueeze(-2) @ w["W_U"]
    if "b_U" in w:
        base[..., shape.logits] += w["b_U"].unsqueeze(-2)
    return base


def _padded(columns: Float[Tensor, "*any column"]) -> list[Float[Tensor, "*any _"]]:  # each as wide as it is
    """The columns, followed by zeros that pad them where they need padding."""
    surplus = -columns.shape[-1] % LANE
    return [columns, columns.new_zeros(*columns.shape[:-1], surplus)] if surplus else [columns]


def _heads_side_by_side(v: Float[Tensor, "*run head row d_head"]) -> Float[Tensor, "*run row head*d_head"]:
    return v.transpose(-3, -2).flatten(-2)


def _heads_in_rows(rows: Float[Tensor, "*run head_x_d_head column"], w: Named) -> Float[Tensor, "*run head d_head column"]:
    return rows.reshape(*rows.shape[:-2], *w["W_O"].shape[-3:-1], rows.shape[-1])
