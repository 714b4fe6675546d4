"""Many runs of one shape computed as one batch, in plain torch: full-batch losses, gradients, updates and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from interp.config import OptimizerConfig, RunConfig
from interp.errors import UsageError
from interp.training.initial import initial_weights
from interp.training.parameters import Parameters
from interp.training.stacked_optimizer import StackedOptimizer
from interp.training.stacked_passes import LOSSES, backward, forward, make_batch
from interp.training.tables import Shape, backpropagate, tabulate


def stack_key(config: RunConfig) -> RunConfig:
    """What runs must have in common to be stacked: the config without seeds and numbers of the optimizer."""
    optimizer = OptimizerConfig(loss=config.optimizer.loss, perpendicular_gradient=config.optimizer.perpendicular_gradient)
    model = replace(config.model, init="nanda", init_scale=1.0)
    split = replace(config.split, rule="torch", seed=0)
    return replace(config, seed=0, recipe="", split=split, optimizer=optimizer, model=model, threads=None)


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
        self._gradient = torch.zeros_like(self.flat)
        buffers = zip(singles, self.flat, self._gradient, strict=True)
        self.parameters = [Parameters(single.weights, buffers=(mine, its)) for single, mine, its in buffers]
        self._weights, self._gradients = (singles[0].views(buffer) for buffer in (self.flat, self._gradient))
        self._shape = Shape(first.task.equals_sign, first.model.attention_rate, d_mlp=first.model.d_mlp, classes=first.classes)
        splits = [config.split.draw(config.task) for config in configs]
        heads = first.model.n_heads
        self._train, self._test = (
            make_batch(indices, first.task, shape=self._shape, heads=heads, d_head=first.model.d_model // heads, like=self.flat)
            for indices in ([split.train for split in splits], [split.test for split in splits])
        )
        self._loss = LOSSES[first.optimizer.loss]
        self.optimizer = StackedOptimizer([config.optimizer for config in configs], self.flat, self._gradient)

    @torch.no_grad()
    def gradient(self) -> Float[Tensor, " run"]:
        """Mean training loss of each run, on the device; the gradients are left in the flat buffer."""
        tables = tabulate(self._weights, self._shape)
        kept = forward(tables, self._train, self._shape)
        losses, d_logits = self._loss(kept.logits, self._train.labels, self._shape.classes)
        upstream = backward(tables, self._train, kept, d_logits=d_logits, shape=self._shape)
        backpropagate(self._weights, tables, upstream, shape=self._shape, into=self._gradients)
        self._gradient.mul_(1 / losses.shape[1])  # so far it is that of the sum over all pairs
        return losses.mean(dim=1)

    def update(self) -> None:
        """One update of every run."""
        self.optimizer.step(self._gradients, self._weights)

    @torch.no_grad()
    def evaluate(self) -> Float[Tensor, "3 run"]:
        """Test loss, accuracy on the training pairs and on the test pairs of each run, on the device, in float64."""
        tables = tabulate(self._weights, self._shape)
        train, test = (forward(tables, batch, self._shape).logits for batch in (self._train, self._test))
        # The loss is free to overwrite the logits.
        train_accuracy, test_accuracy = (
            (logits.argmax(-1, keepdim=True) == batch.labels).double().mean((1, 2))
            for logits, batch in ((train, self._train), (test, self._test))
        )
        test_loss = self._loss(test, self._test.labels, self._shape.classes)[0].double().mean(1)
        return torch.stack([test_loss, train_accuracy, test_accuracy])
