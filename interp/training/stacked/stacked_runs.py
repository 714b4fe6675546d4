"""Many runs of one shape computed as one batch, in plain torch: full-batch losses, gradients, updates and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.networks.initial import initial_weights
from interp.training.parameters import Parameters
from interp.training.stacked.stacked_optimizer import StackedOptimizer
from interp.training.stacked.stacked_passes import LOSSES, PairBatch, backward, column_sizes, forward, make_batch, order_by_token
from interp.training.token_tables import Shape, TokenTables, backpropagate, tabulate

_EVALUATED_AT_ONCE = 2**17  # pairs, of all runs together: their columns and logits take about 0.5 GB in the reference setting


def stack_key(config: RunConfig) -> RunConfig:
    """What runs must have in common to be stacked: the config without seeds, initialisation and the optimizer's numbers."""
    optimizer = OptimizerConfig(loss=config.optimizer.loss, perpendicular_gradient=config.optimizer.perpendicular_gradient)
    model = replace(config.model, init="nanda", init_scale=1.0)
    # Blocks need not be equally large: runs that hold out different ones may train on different numbers of pairs.
    split = config.split if config.split.blocks else replace(config.split, rule="torch", seed=0)
    return replace(config, seed=0, recipe="", split=split, optimizer=optimizer, model=model, threads=None)


class StackedRuns:
    """Full-batch gradients and updates of many runs at once.

    Args:
        configs: runs with the same `stack_key`.

    Raises:
        UsageError: if their keys differ, or the activation is not relu.
    """

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        first = configs[0]
        if any(stack_key(config) != stack_key(first) for config in configs):
            raise UsageError("stacked runs may differ only in their seeds, their initialisation and the optimizer's numbers")
        if changed := next((config for config in configs if config.changes), None):
            raise UsageError(f"stacked runs: given the change {changed.changes[0]!r}: runs that change while they train go alone")
        if first.model.activation != "relu":
            raise UsageError(f"stacked runs: activation {first.model.activation!r}: they compute relu only")
        self.configs = list(configs)
        singles = [Parameters(initial_weights(config)) for config in configs]
        self.flat = torch.stack([single.flat for single in singles])
        self._gradient = torch.zeros_like(self.flat)
        buffers = zip(singles, self.flat, self._gradient, strict=True)
        self.parameters = [Parameters(single.weights, buffers=(mine, its)) for single, mine, its in buffers]
        self._weights, self._gradients = (singles[0].views(buffer) for buffer in (self.flat, self._gradient))
        self._shape = Shape(first.task.equals_sign, first.model.attention_rate, d_mlp=first.model.d_mlp, classes=first.classes)
        self._sizes = column_sizes(
            first.task, self._shape, heads=first.model.n_heads, d_head=first.model.d_model // first.model.n_heads
        )
        splits = [config.split.draw(config.task) for config in configs]
        train, test = (np.sort(np.stack(rows), axis=1) for rows in zip(*((s.train, s.test) for s in splits), strict=True))
        make = partial(make_batch, task=first.task, device=self.flat.device)
        self._train = make(train)
        self._columns = self._train.columns(self._sizes, like=self.flat)
        self._order = order_by_token(self._train, first.task, sizes=self._sizes, like=self.flat)
        # Pairs are evaluated in parts: all p^2 at once can need more memory than training.
        at_once = max(1, _EVALUATED_AT_ONCE // len(configs))
        self._parts = {
            name: [make(rows[:, start : start + at_once]) for start in range(0, rows.shape[1], at_once)]
            for name, rows in (("train", train), ("test", test))
        }
        self._loss = LOSSES[first.optimizer.loss]
        self.optimizer = StackedOptimizer([config.optimizer for config in configs], self.flat, self._gradient)

    @torch.no_grad()
    def gradient(self) -> Float[Tensor, " run"]:
        """Mean training loss of each run, on the device; the gradients are written into the flat buffer."""
        tables = tabulate(self._weights, self._shape)
        kept = forward(tables, self._train, self._columns, sizes=self._sizes, shape=self._shape)
        losses, d_logits = self._loss(kept.logits, self._train.labels, self._shape.classes)
        upstream = backward(tables, self._train, self._order, kept, d_logits=d_logits, sizes=self._sizes, shape=self._shape)
        backpropagate(self._weights, tables, upstream, shape=self._shape, into=self._gradients)
        self._gradient.mul_(1 / losses.shape[1])  # until here it is the gradient of the sum over all pairs
        return losses.mean(dim=1)

    def update(self) -> None:
        """One update of every run."""
        self.optimizer.step(self._gradients, self._weights)

    @torch.no_grad()
    def evaluate(self) -> Float[Tensor, "3 run"]:
        """Test loss, training accuracy and test accuracy of each run (rows), on the device, in float64."""
        tables = tabulate(self._weights, self._shape)
        _, train_accuracy = self._means(tables, self._parts["train"])
        test_loss, test_accuracy = self._means(tables, self._parts["test"])
        return torch.stack([test_loss, train_accuracy, test_accuracy])

    def _means(self, tables: TokenTables, parts: Sequence[PairBatch]) -> tuple[Float[Tensor, " run"], Float[Tensor, " run"]]:
        """Mean loss and accuracy over all parts."""
        loss, right = self.flat.new_zeros(2, len(self.configs), dtype=torch.float64)
        for part in parts:
            columns = part.columns(self._sizes, like=self.flat)
            logits = forward(tables, part, columns, sizes=self._sizes, shape=self._shape).logits
            right += (logits.argmax(-1, keepdim=True) == part.labels).double().sum((1, 2))
            loss += self._loss(logits, part.labels, self._shape.classes)[0].double().sum(1)
        pairs = sum(part.labels.shape[1] for part in parts)
        return loss / pairs, right / pairs
