"""Many runs of one shape computed as one batch, in plain torch: the tables of tables.py with a leading dimension of runs.

A token's row is picked, and gradients are summed over the pairs of a token, by products with 0-1 matrices: on a GPU these are
faster than scattered additions and, unlike them, give the same bytes every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import starmap

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.config import OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.losses import correct, cross_entropy, stablemax_cross_entropy
from interp.task import ModularTask
from interp.training.engine import Evaluation
from interp.training.initial import initial_weights
from interp.training.parameters import Parameters
from interp.training.stacked_optimizer import StackedOptimizer
from interp.training.tables import Shape, TableGradients, Tables, backpropagate, tabulate

_LOSSES = {"cross_entropy": cross_entropy, "stablemax": stablemax_cross_entropy}


def stack_key(config: RunConfig) -> RunConfig:
    """What runs must have in common to be stacked: the config without seeds and numbers of the optimizer."""
    optimizer = OptimizerConfig(loss=config.optimizer.loss, perpendicular_gradient=config.optimizer.perpendicular_gradient)
    model = replace(config.model, init="nanda", init_scale=1.0)
    split = replace(config.split, rule="torch", seed=0)
    return replace(config, seed=0, recipe="", split=split, optimizer=optimizer, model=model, threads=None)


@dataclass(frozen=True)
class Hot:
    """Pairs of every run: which token is at which position, as 0-1 matrices, and the labels."""

    near: Float[Tensor, "run pair p+1"]  # a, and the last row of a table: the difference between the positions
    far: Float[Tensor, "run pair p+1"]  # b
    score: Int[Tensor, "run one pair"]  # b p + a: place of the score without `=`
    labels: Int[Tensor, "run pair"]


def make_hot(indices: Sequence[Int[np.ndarray, " pair"]], task: ModularTask, *, like: Tensor) -> Hot:
    """The pairs given by their rows among a task's p^2, for each run."""
    index = torch.from_numpy(np.sort(np.stack(indices), axis=1))
    a, b = index // task.p, index % task.p
    near, far = F.one_hot(a, task.p + 1), F.one_hot(b, task.p + 1)
    near[..., -1] = 1
    labels, score = torch.from_numpy(task.labels)[index], (b * task.p + a).unsqueeze(1)
    return Hot(near.to(like), far.to(like), score.to(like.device), labels.to(like.device))


@dataclass(frozen=True)
class Kept:
    """What the forward pass of all pairs keeps for the gradient."""

    softmax: Float[Tensor, "run pair head two"]
    pattern: Float[Tensor, "run pair head two"]
    v: tuple[Float[Tensor, "run pair head d_head"], Float[Tensor, "run pair head d_head"]]
    z: Float[Tensor, "run pair head*d_head"]
    neurons: Float[Tensor, "run pair d_mlp"]
    logits: Float[Tensor, "run pair classes"]


def attend(tables: Tables, hot: Hot, shape: Shape) -> Float[Tensor, "run pair head two"]:
    """Softmax over the scores at a and b (and that of ``=``), for a and b."""
    if shape.equals_sign:
        by_token = tables.scores.squeeze(-2).mT
        scores = torch.stack([hot.near @ by_token, hot.far @ by_token], dim=-1)
        return F.pad(scores, (0, 1)).softmax(-1)[..., :2]
    by_pair = tables.scores.flatten(-2)
    scores = by_pair.gather(-1, hot.score.expand(-1, by_pair.shape[1], -1)).mT
    return F.pad(scores.unsqueeze(-1), (0, 1)).softmax(-1)


def forward(tables: Tables, hot: Hot, shape: Shape) -> Kept:
    """Logits of all pairs of all runs, from the tables."""
    softmax = attend(tables, hot, shape)
    pattern = shape.attention_rate * softmax + (1 - shape.attention_rate)
    runs, heads, rows, d_head = tables.v.shape
    v = tables.v.transpose(1, 2).reshape(runs, rows, heads * d_head)
    near_v, far_v = ((each @ v).unflatten(-1, (heads, d_head)) for each in (hot.near, hot.far))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    z = (pattern[..., :1] * near_v + pattern[..., 1:] * far_v).flatten(-2)
    base = tables.base if shape.equals_sign else hot.far[..., :-1] @ tables.base
    columns = z @ tables.head_to_columns.flatten(1, 2) + base
    neurons = columns[..., : shape.d_mlp].relu()
    logits = columns[..., shape.logits] + neurons @ tables.W_L[..., : shape.classes]
    return Kept(softmax, pattern, v=(near_v, far_v), z=z, neurons=neurons, logits=logits)


def backward(tables: Tables, hot: Hot, kept: Kept, *, d_logits: Tensor, shape: Shape) -> TableGradients:
    """From the gradient of the logits to that of the tables."""
    runs, heads, _, d_head = tables.v.shape
    d_neurons = (d_logits @ tables.W_L[..., : shape.classes].mT) * (kept.neurons > 0)
    columns = F.pad(d_neurons, (0, shape.neuron_columns - shape.d_mlp)), F.pad(d_logits, (0, shape.logit_columns - shape.classes))
    g = torch.cat(columns, dim=-1)
    d_z = (g @ tables.head_to_columns.flatten(1, 2).mT).unflatten(-1, (heads, d_head))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    d_pattern = torch.stack([(d_z * v).sum(-1) for v in kept.v], dim=-1)
    d_scores = kept.softmax * (d_pattern - (kept.softmax * d_pattern).sum(-1, keepdim=True)) * shape.attention_rate
    near, far = ((kept.pattern[..., i : i + 1] * d_z).flatten(-2) for i in range(2))
    d_v = hot.near.mT @ near + hot.far.mT @ far
    return TableGradients(
        v=d_v.reshape(runs, -1, heads, d_head).transpose(1, 2),
        head_to_columns=(kept.z.mT @ g).reshape(tables.head_to_columns.shape),
        base=g.sum(-2, keepdim=True) if shape.equals_sign else hot.far[..., :-1].mT @ g,
        scores=_score_gradients(tables, hot, d_scores, shape=shape),
        W_L=kept.neurons.mT @ columns[1],
    )


def _score_gradients(tables: Tables, hot: Hot, d_scores: Tensor, *, shape: Shape) -> Tensor:
    if shape.equals_sign:
        return (hot.near.mT @ d_scores[..., 0] + hot.far.mT @ d_scores[..., 1]).mT.unsqueeze(-2)
    by_pair = torch.zeros_like(tables.scores).flatten(-2)
    by_pair.scatter_(-1, hot.score.expand(-1, by_pair.shape[1], -1), d_scores[..., 0].mT)
    return by_pair.reshape(tables.scores.shape)


class StackedRuns:
    """Full-batch gradients and updates of many runs at once.

    Args:
        configs: runs with the same `stack_key`.

    Raises:
        UsageError: if they differ in it, or the neurons are not ReLUs.
    """

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        first = configs[0]
        if any(stack_key(config) != stack_key(first) for config in configs):
            raise UsageError("stacked runs may differ in their seeds, initialisation and numbers of the optimizer only")
        if first.model.activation != "relu":
            raise UsageError(f"stacked runs: activation {first.model.activation!r}: they know relu only")
        self.configs = list(configs)
        singles = [Parameters(initial_weights(config)) for config in configs]
        self.flat = torch.stack([single.flat for single in singles])
        gradient = torch.zeros_like(self.flat)
        buffers = zip(singles, self.flat, gradient, strict=True)
        self.parameters = [Parameters(single.weights, buffers=(mine, its)) for single, mine, its in buffers]
        self._weights, self._gradients = (singles[0].views(buffer) for buffer in (self.flat, gradient))
        self._shape = Shape(first.task.equals_sign, first.model.attention_rate, d_mlp=first.model.d_mlp, classes=first.classes)
        splits = [config.split.draw(config.task) for config in configs]
        self._train = make_hot([split.train for split in splits], first.task, like=self.flat)
        self._test = make_hot([split.test for split in splits], first.task, like=self.flat)
        self._loss = _LOSSES[first.optimizer.loss]
        self.optimizer = StackedOptimizer([config.optimizer for config in configs], self.flat, gradient)

    @torch.no_grad()
    def gradient(self) -> Float[Tensor, " run"]:
        """Mean training loss of each run, on the device; the gradients are left in the flat buffer."""
        tables = tabulate(self._weights, self._shape)
        kept = forward(tables, self._train, self._shape)
        with torch.enable_grad():
            logits = kept.logits.requires_grad_()
            losses = self._losses(logits, self._train).mean(dim=1)
            (d_logits,) = torch.autograd.grad(losses.sum(), logits)
        upstream = backward(tables, self._train, kept, d_logits=d_logits, shape=self._shape)
        backpropagate(self._weights, tables, upstream, shape=self._shape, into=self._gradients)
        return losses.detach()

    def update(self) -> None:
        """One update of every run."""
        self.optimizer.step(self._gradients, self._weights)

    @torch.no_grad()
    def evaluate(self) -> list[Evaluation]:
        """Test loss and both accuracies of each run."""
        tables = tabulate(self._weights, self._shape)
        train, test = (forward(tables, hot, self._shape).logits for hot in (self._train, self._test))
        losses = self._losses(test, self._test).double().mean(1).tolist()
        accuracies = [self._correct(*each).double().mean(1).tolist() for each in ((train, self._train), (test, self._test))]
        return list(starmap(Evaluation, zip(losses, *accuracies, strict=True)))

    def _losses(self, logits: Float[Tensor, "run pair classes"], hot: Hot) -> Float[Tensor, "run pair"]:
        return self._loss(logits.flatten(0, 1), hot.labels.flatten()).view(hot.labels.shape)

    def _correct(self, logits: Float[Tensor, "run pair classes"], hot: Hot) -> Bool[Tensor, "run pair"]:
        return correct(logits.flatten(0, 1), hot.labels.flatten()).view(hot.labels.shape)
