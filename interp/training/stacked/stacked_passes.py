"""Forward and backward over the pairs of many runs at once, from the tables of token_tables.py with a leading dimension of runs.

Everything that a pair's neurons and logits are linear in stands side by side in one row of a buffer: the heads' outputs z, an
indicator of the base that applies, a constant 1, and the neurons. So biases and the paths around the MLP cost no operation of
their own, forward or backward. Rows of tokens are gathered; gradients are summed over the pairs of a token in the order of the
pairs, not by atomic additions in the order of arrival, so that the bytes are the same every time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.losses import stablemax_cross_entropy
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask
from interp.training.token_tables import Shape, TableGradients, TokenTables

_ALIGNMENT = 4  # columns start on multiples of this: 16 bytes of float32, which the fast products require
_NEVER = -1e30  # the logit of a class that does not exist: its probability is 0, and unlike -inf it gives 0 when multiplied by 0


@dataclass(frozen=True)
class ColumnSizes:
    """Sizes of the parts of a pair's columns, in their order: z, the indicator of the base, constants, neurons."""

    heads: int
    d_head: int
    base: int
    constants: int  # the first is 1, the others, which are there for alignment, 0
    neurons: int

    @property
    def z(self) -> int:
        """Number of columns of the heads' outputs, side by side."""
        return self.heads * self.d_head

    @property
    def inputs(self) -> int:
        """Number of columns before the neurons: those that the neurons are linear in."""
        return self.z + self.base + self.constants


def column_sizes(task: ModularTask | TableTask, shape: Shape, *, heads: int, d_head: int) -> ColumnSizes:
    """How the columns of a task's pairs are laid out."""
    base = 1 if shape.equals_sign else task.p
    return ColumnSizes(heads, d_head, base, constants=1 + -(heads * d_head + base + 1) % _ALIGNMENT, neurons=shape.neuron_columns)


@dataclass(frozen=True)
class PairBatch:
    """Pairs, equally many of every run: their labels, and where the rows of their tokens are.

    A run's 2 p rows are those of the tokens at position a, then those at position b.
    """

    labels: Int[Tensor, "run pair 1"]
    rows: Int[Tensor, "run pair 2"]  # a pair's two tokens among those of all runs
    places: Int[Tensor, "run one pair"]  # b p + a: place of the score without `=`
    b: Int[Tensor, "run pair 1"]

    def columns(self, sizes: ColumnSizes, *, like: Tensor) -> Float[Tensor, "run pair column"]:
        """A buffer for what `forward` computes of each pair, already filled with the columns that never change."""
        columns = like.new_zeros(*self.labels.shape[:2], sizes.inputs + sizes.neurons)
        base = columns[..., sizes.z : sizes.z + sizes.base]
        base.fill_(1) if sizes.base == 1 else base.scatter_(-1, self.b, 1)
        columns[..., sizes.z + sizes.base].fill_(1)
        return columns


def make_batch(indices: Int[np.ndarray, "run pair"], task: ModularTask | TableTask, *, device: torch.device) -> PairBatch:
    """The pairs given by their rows among a task's p^2, for each run."""
    index = torch.from_numpy(indices).to(device)
    a, b = index // task.p, index % task.p
    rows = torch.stack([a, task.p + b], dim=-1) + 2 * task.p * torch.arange(len(index), device=device).view(-1, 1, 1)
    labels = torch.from_numpy(task.labels).to(device)[index].unsqueeze(-1)
    return PairBatch(labels, rows, places=(b * task.p + a).unsqueeze(1), b=b.unsqueeze(-1))


@dataclass(frozen=True)
class TokenOrder:
    """A batch's pairs sorted by token, for sums over all pairs of a token; within a token they keep their order."""

    scores: Int[Tensor, " entry"]  # run * pair * 2: rows (run, pair, position) of what is summed
    score_starts: Int[Tensor, " token"]  # run * 2 * p: where the rows of each token begin
    values: Int[Tensor, " entry_of_head"]  # run * pair * 2 * head: rows (run, pair, head), ordered by token and head
    value_starts: Int[Tensor, " token_of_head"]  # run * 2 * p * head
    patterns: Int[Tensor, " entry_of_head"]  # the attention (run, pair, position, head) that weights each of them
    sum_of_head: Float[Tensor, "z head"]  # z = head * d_head: adds up the entries of each head


def order_by_token(batch: PairBatch, task: ModularTask | TableTask, *, sizes: ColumnSizes, like: Tensor) -> TokenOrder:
    """The order of a batch's pairs by token."""
    heads, rows = sizes.heads, batch.rows.flatten()
    scores = torch.argsort(rows, stable=True)
    token = rows[scores].contiguous()
    score_starts = torch.searchsorted(token, torch.arange(len(batch.rows) * 2 * task.p, device=rows.device))
    head = torch.arange(heads, device=rows.device)
    by_head = torch.argsort((token.unsqueeze(1) * heads + head).flatten(), stable=True)
    counts = torch.diff(score_starts, append=score_starts.new_tensor([len(scores)]))
    return TokenOrder(
        scores,
        score_starts,
        values=(scores.unsqueeze(1) // 2 * heads + head).flatten()[by_head],
        value_starts=(score_starts.unsqueeze(1) * heads + counts.unsqueeze(1) * head).flatten(),
        patterns=(scores.unsqueeze(1) * heads + head).flatten()[by_head],
        sum_of_head=torch.eye(heads).repeat_interleave(sizes.d_head, dim=0).to(like),
    )


@dataclass(frozen=True)
class Kept:
    """What the forward pass keeps for the gradient."""

    columns: Float[Tensor, "run pair column"]
    v: Float[Tensor, "run pair two head d_head"]
    softmax: Float[Tensor, "run pair two head"]
    pattern: Float[Tensor, "run pair two head"]
    logits: Float[Tensor, "run pair padded_classes"]


def forward(
    tables: TokenTables, batch: PairBatch, columns: Float[Tensor, "run pair column"], *, sizes: ColumnSizes, shape: Shape
) -> Kept:
    """Logits of all pairs of all runs, from the tables; z and the neurons are written into `columns`."""
    runs, heads, rows, d_head = tables.v.shape
    by_token = tables.v.transpose(1, 2).reshape(runs, rows, sizes.z)
    if shape.equals_sign:
        by_token = torch.cat([by_token, tables.scores.squeeze(-2).mT], dim=-1)
    near_far = torch.cat([by_token[:, :-1] + by_token[:, -1:], by_token[:, :-1]], dim=1).flatten(0, 1)
    gathered = near_far.index_select(0, batch.rows.view(-1)).view(runs, -1, 2, near_far.shape[-1])
    v = gathered[..., : sizes.z].unflatten(-1, (heads, d_head))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if shape.equals_sign:
        scores = gathered[..., sizes.z :]
    else:
        scores = tables.scores.flatten(-2).gather(-1, batch.places.expand(-1, heads, -1)).mT.unsqueeze(2)
    # The position that scores are relative to has score 0.
    softmax = F.pad(scores, (0, 0, 0, 1)).softmax(2)[:, :, :2]
    pattern = softmax
    if shape.attention_rate != 1:
        pattern = shape.attention_rate * softmax + (1 - shape.attention_rate)
    near, far = (pattern[:, :, position].unsqueeze(-1) for position in range(2))
    z = columns[..., : sizes.z].unflatten(-1, (heads, d_head))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    torch.addcmul(v[:, :, 0] * near, v[:, :, 1], far, out=z)
    H, base = tables.head_to_columns.flatten(1, 2), F.pad(tables.base, (0, 0, 0, sizes.constants))
    # The first constant rules out the classes that do not exist.
    base[:, sizes.base, shape.neuron_columns + shape.classes :].fill_(_NEVER)
    neurons, logits = slice(0, shape.neuron_columns), slice(shape.neuron_columns, None)
    room = columns[..., sizes.inputs :]
    torch.bmm(columns[..., : sizes.inputs], torch.cat([H[..., neurons], base[..., neurons]], dim=1), out=room).relu_()
    to_logits = torch.cat([H[..., logits], base[..., logits], _padded_W_L(tables, shape)], dim=1)
    return Kept(columns, v=v, softmax=softmax, pattern=pattern, logits=torch.bmm(columns, to_logits))


def backward(
    tables: TokenTables, batch: PairBatch, order: TokenOrder, kept: Kept, *, d_logits: Tensor, sizes: ColumnSizes, shape: Shape
) -> TableGradients:
    """From the gradient of the logits (0 for classes that do not exist) to that of the tables."""
    runs, heads, tokens, d_head = tables.v.shape
    H = tables.head_to_columns.flatten(1, 2)
    d_neurons = torch.bmm(d_logits, _padded_W_L(tables, shape).mT)
    torch.ops.aten.threshold_backward.grad_input(d_neurons, kept.columns[..., sizes.inputs :], 0, grad_input=d_neurons)
    d_z = torch.bmm(d_neurons, H[..., : shape.neuron_columns].mT).baddbmm_(d_logits, H[..., shape.neuron_columns :].mT)
    to_neurons = torch.bmm(kept.columns[..., : sizes.inputs].mT, d_neurons)
    to_logits = torch.bmm(kept.columns.mT, d_logits)
    parts = kept.v * d_z.view(runs, -1, 1, heads, d_head)
    d_pattern = (parts.flatten(-2).flatten(1, 2) @ order.sum_of_head).view(kept.softmax.shape)
    d_scores = kept.softmax * (d_pattern - (kept.softmax * d_pattern).sum(2, keepdim=True))
    if shape.attention_rate != 1:
        d_scores = d_scores * shape.attention_rate
    attention = kept.pattern.flatten().index_select(0, order.patterns)
    d_rows = F.embedding_bag(
        order.values, d_z.view(-1, d_head), order.value_starts, mode="sum", per_sample_weights=attention
    ).view(runs, 2, tokens - 1, heads, d_head)
    rows = sizes.z + sizes.base
    return TableGradients(
        v=_near_and_far(d_rows).transpose(1, 2),
        columns=torch.cat([to_neurons[:, :rows], to_logits[:, :rows]], dim=-1),
        scores=_score_gradients(tables, batch, order, d_scores, shape=shape),
        W_L=to_logits[:, sizes.inputs : sizes.inputs + shape.d_mlp],
    )


def _padded_W_L(tables: TokenTables, shape: Shape) -> Float[Tensor, "run neuron_column logit_column"]:
    surplus = shape.neuron_columns - shape.d_mlp
    return F.pad(tables.W_L, (0, 0, 0, surplus)) if surplus else tables.W_L


def _near_and_far(d_rows: Float[Tensor, "run 2 p *any"]) -> Float[Tensor, "run p+1 *any"]:
    """Gradient of a table over tokens, with the position difference as last row, from the gradients of both positions' rows."""
    return torch.cat([d_rows.sum(1), d_rows[:, 0].sum(1, keepdim=True)], dim=1)


def _score_gradients(tables: TokenTables, batch: PairBatch, order: TokenOrder, d_scores: Tensor, *, shape: Shape) -> Tensor:
    runs, _, _, heads = d_scores.shape
    if shape.equals_sign:
        rows = F.embedding_bag(order.scores, d_scores.reshape(-1, heads), order.score_starts, mode="sum")
        return _near_and_far(rows.view(runs, 2, -1, heads)).mT.unsqueeze(-2)
    by_pair = torch.zeros_like(tables.scores).flatten(-2)
    by_pair.scatter_(-1, batch.places.expand(-1, heads, -1), d_scores[:, :, 0].mT)
    return by_pair.reshape(tables.scores.shape)


Loss = Callable[[Float[Tensor, "run pair padded_classes"], Int[Tensor, "run pair 1"], int], tuple[Tensor, Tensor]]


def cross_entropy(
    logits: Float[Tensor, "run pair padded_classes"], labels: Int[Tensor, "run pair 1"], _classes: int
) -> tuple[Float[Tensor, "run pair"], Float[Tensor, "run pair padded_classes"]]:
    """`losses.cross_entropy` and its gradient, equally precise, without autograd: few operations, each over all logits once.

    With w the probability of all wrong classes together, the loss is ``-log1p(-w)`` where w < 1/2, and minus the log-probability
    of the right class elsewhere; the gradient is ``p_j`` for a wrong class j, and -w for the right one.
    """
    log_p = logits.log_softmax(-1)
    right = log_p.gather(-1, labels)
    p = log_p.exp_().scatter_(-1, labels, 0)
    wrong = p.sum(-1, keepdim=True)
    minus = -wrong
    losses = torch.where(wrong < 0.5, minus.log1p(), right).neg_()
    return losses.squeeze(-1), p.scatter_(-1, labels, minus)


def stablemax(
    logits: Float[Tensor, "run pair padded_classes"], labels: Int[Tensor, "run pair 1"], classes: int
) -> tuple[Float[Tensor, "run pair"], Float[Tensor, "run pair padded_classes"]]:
    """`losses.stablemax_cross_entropy` and its gradient."""
    with torch.enable_grad():
        flat = logits[..., :classes].flatten(0, 1).requires_grad_()
        losses = stablemax_cross_entropy(flat, labels.flatten())
        (gradient,) = torch.autograd.grad(losses.sum(), flat)
    d_logits = F.pad(gradient.view(*logits.shape[:-1], classes), (0, logits.shape[-1] - classes))
    return losses.detach().view(logits.shape[:-1]), d_logits


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "stablemax": stablemax}
