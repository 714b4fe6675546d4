"""Forward and backward over the pairs of many runs at once, from the tables of tables.py with a leading dimension of runs.

What a pair's neurons and logits are linear in stands side by side in one buffer, `PairBatch.columns`: the heads' outputs z, which
base applies, a constant 1, and the neurons. So biases and the paths around the MLP cost no operation of their own, forward or
backward. Rows of tokens are gathered; gradients are summed over the pairs of a token in the order of the pairs, never by atomic
additions, so that the same bytes come out every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.losses import stablemax_cross_entropy
from interp.task import ModularTask
from interp.training.tables import Shape, TableGradients, Tables

_ALIGNMENT = 4  # columns start on multiples of this: 16 bytes of float32, what the fast products ask for
_NEVER = -1e30  # the logit of a class that does not exist: its probability is 0, and 0 times it is 0, as of -inf it is not


@dataclass(frozen=True)
class PairBatch:
    """As many pairs of every run: their labels, where their tokens' rows are, and room for what is computed of them.

    A run's 2 p rows are those of the tokens at position a, then those at position b.
    """

    labels: Int[Tensor, "run pair 1"]
    rows: Int[Tensor, " run*pair*2"]  # row of a pair's two tokens among those of all runs
    places: Int[Tensor, "run one pair"]  # b p + a: place of the score without `=`
    score_order: Int[Tensor, " run*pair*2"]  # the same pairs and positions, ordered by token
    score_starts: Int[Tensor, " run*2*p"]  # where each token's begin in it
    value_order: Int[Tensor, " run*pair*2*head"]  # rows (run, pair, head), ordered by token and head
    value_starts: Int[Tensor, " run*2*p*head"]
    pattern_order: Int[Tensor, " run*pair*2*head"]  # the attention (run, pair, position, head) that goes with each of them
    columns: Float[Tensor, "run pair column"]
    z_columns: int
    base_columns: int
    sum_of_head: Float[Tensor, "head*d_head head"]  # adds up the entries of each head
    no_score: Float[Tensor, "run pair one head"]  # that of `=` relative to itself
    nothing: Float[Tensor, "run constant neuron_column"]  # what the constants after the base add to the neurons
    missing: Float[Tensor, "run constant logit_column"]  # and to the logits: a constant 1 rules out the classes that do not exist

    @property
    def before_neurons(self) -> Float[Tensor, "run pair column"]:
        """What the neurons are linear in."""
        return self.columns[..., : self.z_columns + self.base_columns + self.missing.shape[1]]

    @property
    def neurons(self) -> Float[Tensor, "run pair neuron_column"]:
        """The neurons after the ReLU, with padding."""
        return self.columns[..., self.z_columns + self.base_columns + self.missing.shape[1] :]


def make_batch(
    indices: Sequence[Int[np.ndarray, " pair"]], task: ModularTask, *, shape: Shape, heads: int, d_head: int, like: Tensor
) -> PairBatch:
    """The pairs given by their rows among a task's p^2, for each run."""
    p, index = task.p, torch.from_numpy(np.sort(np.stack(indices), axis=1)).to(like.device)
    runs, pairs = index.shape
    a, b = index // p, index % p
    rows = torch.stack([a, p + b], dim=-1) + 2 * p * torch.arange(runs, device=like.device).view(-1, 1, 1)
    order = torch.argsort(rows.flatten(), stable=True)
    starts = torch.searchsorted(rows.flatten()[order].contiguous(), torch.arange(runs * 2 * p, device=like.device))
    # The same order, head by head within a token.
    head = torch.arange(heads, device=like.device)
    token = rows.flatten()[order]
    by_head = torch.argsort((token.unsqueeze(1) * heads + head).flatten(), stable=True)
    value_order = (order.unsqueeze(1) // 2 * heads + head).flatten()[by_head]
    pattern_order = (order.unsqueeze(1) * heads + head).flatten()[by_head]
    counts = torch.diff(starts, append=starts.new_tensor([len(order)]))
    value_starts = (starts.unsqueeze(1) * heads + counts.unsqueeze(1) * head).flatten()
    base_columns, z_columns = 1 if shape.equals_sign else p, heads * d_head
    constants = -(-(z_columns + base_columns + 1) // _ALIGNMENT) * _ALIGNMENT - z_columns - base_columns
    columns = like.new_zeros(runs, pairs, z_columns + base_columns + constants + shape.neuron_columns)
    columns[..., z_columns : z_columns + base_columns] = 1 if shape.equals_sign else F.one_hot(b, p).to(like)
    columns[..., z_columns + base_columns] = 1
    missing = like.new_zeros(runs, constants, shape.logit_columns)
    missing[:, 0, shape.classes :] = _NEVER
    return PairBatch(
        labels=torch.from_numpy(task.labels).to(like.device)[index].unsqueeze(-1),
        rows=rows.flatten(), places=(b * p + a).unsqueeze(1), score_order=order, score_starts=starts, value_order=value_order,
        value_starts=value_starts, pattern_order=pattern_order, columns=columns, z_columns=z_columns, base_columns=base_columns,
        sum_of_head=torch.eye(heads).repeat_interleave(d_head, dim=0).to(like), no_score=like.new_zeros(runs, pairs, 1, heads),
        nothing=like.new_zeros(runs, constants, shape.neuron_columns), missing=missing,
    )  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """What the forward pass keeps for the gradient, besides the batch's columns."""

    v: Float[Tensor, "run pair two head d_head"]
    softmax: Float[Tensor, "run pair two head"]
    pattern: Float[Tensor, "run pair two head"]
    logits: Float[Tensor, "run pair padded_classes"]


def forward(tables: Tables, batch: PairBatch, shape: Shape) -> Kept:
    """Logits of all pairs of all runs, from the tables; z and the neurons are left in the batch's columns."""
    runs, heads, rows, d_head = tables.v.shape
    by_token = tables.v.transpose(1, 2).reshape(runs, rows, heads * d_head)
    if shape.equals_sign:
        by_token = torch.cat([by_token, tables.scores.squeeze(-2).mT], dim=-1)
    near_far = torch.cat([by_token[:, :-1] + by_token[:, -1:], by_token[:, :-1]], dim=1).flatten(0, 1)
    gathered = near_far.index_select(0, batch.rows).view(runs, -1, 2, near_far.shape[-1])
    v = gathered[..., : batch.z_columns].unflatten(-1, (heads, d_head))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if shape.equals_sign:
        scores = torch.cat([gathered[..., batch.z_columns :], batch.no_score], dim=2)
    else:
        by_pair = tables.scores.flatten(-2)
        relative = by_pair.gather(-1, batch.places.expand(-1, heads, -1)).mT.unsqueeze(2)
        scores = torch.cat([relative, batch.no_score], dim=2)
    softmax = scores.softmax(2)[:, :, :2]
    pattern = softmax
    if shape.attention_rate != 1:
        pattern = shape.attention_rate * softmax + (1 - shape.attention_rate)
    near, far = (pattern[:, :, position].unsqueeze(-1) for position in range(2))
    z = batch.columns[..., : batch.z_columns].unflatten(-1, (heads, d_head))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    torch.addcmul(v[:, :, 0] * near, v[:, :, 1], far, out=z)
    H, base = tables.head_to_columns.flatten(1, 2), tables.base
    neurons, logits = slice(0, shape.neuron_columns), slice(shape.neuron_columns, None)
    torch.bmm(batch.before_neurons, torch.cat([H[..., neurons], base[..., neurons], batch.nothing], dim=1), out=batch.neurons)
    batch.neurons.relu_()
    to_logits = torch.cat([H[..., logits], base[..., logits], batch.missing, _padded_W_L(tables, shape)], dim=1)
    return Kept(v=v, softmax=softmax, pattern=pattern, logits=torch.bmm(batch.columns, to_logits))


def backward(tables: Tables, batch: PairBatch, kept: Kept, *, d_logits: Tensor, shape: Shape) -> TableGradients:
    """From the gradient of the logits (0 for classes that do not exist) to that of the tables."""
    runs, heads, rows, d_head = tables.v.shape
    H, end = tables.head_to_columns.flatten(1, 2), batch.z_columns + batch.base_columns
    d_neurons = torch.bmm(d_logits, _padded_W_L(tables, shape).mT)
    torch.ops.aten.threshold_backward.grad_input(d_neurons, batch.neurons, 0, grad_input=d_neurons)
    d_z = torch.bmm(d_neurons, H[..., : shape.neuron_columns].mT).baddbmm_(d_logits, H[..., shape.neuron_columns :].mT)
    to_neurons, to_logits = torch.bmm(batch.before_neurons.mT, d_neurons), torch.bmm(batch.columns.mT, d_logits)
    parts = kept.v * d_z.view(runs, -1, 1, heads, d_head)
    d_pattern = (parts.flatten(-2).flatten(1, 2) @ batch.sum_of_head).view(kept.softmax.shape)
    d_scores = kept.softmax * (d_pattern - (kept.softmax * d_pattern).sum(2, keepdim=True))
    if shape.attention_rate != 1:
        d_scores = d_scores * shape.attention_rate
    weights = kept.pattern.flatten().index_select(0, batch.pattern_order)
    d_rows = F.embedding_bag(
        batch.value_order, d_z.view(-1, d_head), batch.value_starts, mode="sum", per_sample_weights=weights
    ).view(runs, 2, rows - 1, heads, d_head)
    head_to_columns = torch.cat([to_neurons[:, : batch.z_columns], to_logits[:, : batch.z_columns]], dim=-1)
    return TableGradients(
        v=_near_and_far(d_rows).transpose(1, 2),
        head_to_columns=head_to_columns.view(tables.head_to_columns.shape),
        base=torch.cat([to_neurons[:, batch.z_columns : end], to_logits[:, batch.z_columns : end]], dim=-1),
        scores=_score_gradients(tables, batch, d_scores, shape=shape),
        W_L=to_logits[:, -shape.neuron_columns :][:, : shape.d_mlp],
    )


def _padded_W_L(tables: Tables, shape: Shape) -> Float[Tensor, "run neuron_column logit_column"]:
    surplus = shape.neuron_columns - shape.d_mlp
    return F.pad(tables.W_L, (0, 0, 0, surplus)) if surplus else tables.W_L


def _near_and_far(d_rows: Float[Tensor, "run 2 p *any"]) -> Float[Tensor, "run p+1 *any"]:
    """Gradient of a table by token whose last row is the difference between the positions, from that of both positions' rows."""
    return torch.cat([d_rows.sum(1), d_rows[:, 0].sum(1, keepdim=True)], dim=1)


def _score_gradients(tables: Tables, batch: PairBatch, d_scores: Tensor, *, shape: Shape) -> Tensor:
    runs, _, _, heads = d_scores.shape
    if shape.equals_sign:
        rows = F.embedding_bag(batch.score_order, d_scores.reshape(-1, heads), batch.score_starts, mode="sum")
        return _near_and_far(rows.view(runs, 2, -1, heads)).mT.unsqueeze(-2)
    by_pair = torch.zeros_like(tables.scores).flatten(-2)
    by_pair.scatter_(-1, batch.places.expand(-1, heads, -1), d_scores[:, :, 0].mT)
    return by_pair.reshape(tables.scores.shape)


Loss = Callable[[Float[Tensor, "run pair padded_classes"], Int[Tensor, "run pair 1"], int], tuple[Tensor, Tensor]]


def cross_entropy(
    logits: Float[Tensor, "run pair padded_classes"], labels: Int[Tensor, "run pair 1"], _classes: int
) -> tuple[Float[Tensor, "run pair"], Float[Tensor, "run pair padded_classes"]]:
    """`losses.cross_entropy` and its gradient, as precise, without autograd: few operations, each over all logits once.

    With w the probability of all wrong classes together, the loss is ``-log1p(-w)`` where w is small, and minus the right class's
    log-probability elsewhere; the gradient is ``p_j`` for wrong classes, and -w for the right one.
    """
    log_p = logits.log_softmax(-1)
    right = log_p.gather(-1, labels)
    p = log_p.exp_().scatter_(-1, labels, 0)
    wrong = p.sum(-1, keepdim=True)
    losses = torch.where(wrong < 0.5, -torch.log1p(-wrong), -right)
    return losses.squeeze(-1), p.scatter_(-1, labels, -wrong)


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
