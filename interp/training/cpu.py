"""The fast CPU engine: tables over tokens (tables.py), compiled loops over pairs (kernels.py), and three matrix products.

What remains of a step once everything before the neurons is a table: neurons @ W_L, its two gradients, and loops that touch each
pair's neurons a few times. Float32 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interp.config import RunConfig
from interp.errors import UsageError
from interp.task import ModularTask
from interp.training import kernels
from interp.training.engine import Evaluation
from interp.training.initial import initial_weights
from interp.training.optimizer import Optimizer
from interp.training.parameters import Parameters
from interp.training.tables import Shape, TableGradients, Tables, backpropagate, tabulate
from interp.training.threads import threads_for, torch_threads

_EVALUATED_AT_ONCE = 4096


def refusal(config: RunConfig) -> str | None:
    """Why this engine cannot do what a config asks; None if it can."""
    if config.device != "cpu":
        return f"device {config.device!r}: it runs on the CPU only"
    if config.dtype != "float32":
        return f"dtype {config.dtype!r}: it computes in float32 only"
    if config.model.activation != "relu":
        return f"activation {config.model.activation!r}: it knows relu only"
    return None


@dataclass(frozen=True)
class Pass:
    """Pairs that are computed together, shared out among threads by token: each thread has about as many pairs."""

    pairs: kernels.Pairs
    spans: kernels.Spans

    def __len__(self) -> int:
        return len(self.pairs.a)


def make_pass(index: Int[np.ndarray, " n"], task: ModularTask, *, threads: int) -> Pass:
    """The pass over some of a task's p^2 pairs, given by their rows."""
    index = np.sort(index)
    a, b = (tokens.astype(np.int32) for tokens in np.divmod(index, task.p))
    by_b = np.argsort(b, kind="stable").astype(np.int32)
    first_a, first_b = (np.searchsorted(tokens, np.arange(task.p + 1)).astype(np.int32) for tokens in (a, b[by_b]))
    shares = np.linspace(0, len(index), threads + 1).round()

    def tokens_of_threads(first: np.ndarray) -> np.ndarray:
        cuts = np.searchsorted(first, shares).astype(np.int32)
        cuts[0], cuts[-1] = 0, task.p
        return cuts

    return Pass(
        kernels.Pairs(a, b, task.labels[index].astype(np.int32), first_a=first_a, by_b=by_b, first_b=first_b),
        kernels.Spans(tokens_of_threads(first_a), tokens_of_threads(first_b), shares.astype(np.int32)),
    )


class CpuEngine:
    """Full-batch gradients without autograd, equal to the reference engine's to float32 rounding."""

    name = "cpu"

    def __init__(self, config: RunConfig) -> None:
        """Allocate everything a step needs.

        Raises:
            UsageError: if this engine cannot do what the config asks.
        """
        if reason := refusal(config):
            raise UsageError(f"engine 'cpu' cannot do this: {reason}; use --engine reference")
        task, model = config.task, config.model
        self.threads = threads_for(config)
        self.parameters = Parameters(initial_weights(config))
        self._optimizer = Optimizer(config.optimizer, self.parameters)
        self._shape = Shape(task.equals_sign, model.attention_rate, d_mlp=model.d_mlp, classes=config.classes)
        split = config.split.draw(task)
        self._train = make_pass(split.train, task, threads=self.threads)
        blocks = -(-len(split.test) // max(len(split.train), _EVALUATED_AT_ONCE))
        tests = np.array_split(np.sort(split.test), blocks)
        self._tests = [make_pass(index, task, threads=self.threads) for index in tests]
        self._rate = np.float32(model.attention_rate)
        self._loops = kernels.loops(self.threads)
        self._loss = getattr(self._loops, config.optimizer.loss)
        self._allocate(task.p, model.n_heads)
        self._train_accuracy: float | None = None
        with kernels.telling():
            self.gradient()

    def _allocate(self, p: int, heads: int) -> None:
        shape = self._shape
        columns = shape.neuron_columns + shape.logit_columns
        rows = max(map(len, [self._train, *self._tests]))
        self._neurons, self._logits = torch.zeros(rows, shape.neuron_columns), torch.zeros(rows, shape.logit_columns)
        self._d_neurons = torch.zeros(len(self._train), shape.neuron_columns)
        softmax, d_scores = torch.zeros(rows, 2, heads), torch.zeros(len(self._train), 2, heads)
        self._rows = kernels.Rows(*map(Tensor.numpy, (self._neurons, self._logits, self._d_neurons, softmax, d_scores)))
        self._d_far, self._d_base = torch.zeros(heads, p + 1, columns), torch.zeros(p, columns)
        self._d_scores = torch.zeros(heads, 1, p + 1) if shape.equals_sign else torch.zeros(heads, p, p)
        difference, near_scores = torch.zeros(self.threads, heads, columns), torch.zeros(p, heads)
        gradients = self._d_far, self._d_base, self._d_scores, difference, near_scores
        self._gradients = kernels.Gradients(*map(Tensor.numpy, gradients))
        self._sums = kernels.Sums(np.zeros(self.threads), np.zeros(self.threads, dtype=np.int64))

    @torch.no_grad()
    def gradient(self) -> float:
        """Mean training loss; its gradient by hand."""
        with torch_threads(self.threads):
            tables = tabulate(self.parameters.weights.tensors(), self._shape)
            loss = self._forward(self._train, tables)
            self._train_accuracy = self._accuracy(self._train)
            self._backward(tables)
        return loss

    def update(self) -> None:
        """One optimizer update."""
        self._train_accuracy = None
        with torch_threads(self.threads):
            self._optimizer.step()

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies."""
        with torch_threads(self.threads):
            tables = tabulate(self.parameters.weights.tensors(), self._shape)
            if self._train_accuracy is None:
                self._forward(self._train, tables)
                self._train_accuracy = self._accuracy(self._train)
            n = sum(map(len, self._tests))
            loss = accuracy = 0.0
            for block in self._tests:
                share = len(block) / n
                loss += self._forward(block, tables) * share
                accuracy += self._accuracy(block) * share
        return Evaluation(test_loss=loss, train_accuracy=self._train_accuracy, test_accuracy=accuracy)

    def state(self) -> dict[str, Tensor]:
        """The optimizer's state."""
        return self._optimizer.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the optimizer's state."""
        self._train_accuracy = None
        self._optimizer.load(state)

    def _forward(self, block: Pass, tables: Tables) -> float:
        """Mean loss of a block; leaves the gradient of the logits in their place, and the right answers counted."""
        arrays = kernels.Tables(tables.far.numpy(), tables.base.numpy(), tables.scores.numpy())
        n, classes = len(block), self._shape.classes
        self._loops.forward(block.pairs, arrays, self._rows, self._rate, block.spans)
        logits = self._logits[:n, :classes]
        torch.addmm(logits, self._neurons[:n, : self._shape.d_mlp], tables.W_L, out=logits)
        self._loss(block.pairs, self._rows, classes, 1.0 / n, block.spans, self._sums)
        return float(self._sums.loss.sum()) / n

    def _accuracy(self, block: Pass) -> float:
        return float(self._sums.correct.sum()) / len(block)

    def _backward(self, tables: Tables) -> None:
        arrays = kernels.Tables(tables.far.numpy(), tables.base.numpy(), tables.scores.numpy())
        n, d_mlp, block = len(self._train), self._shape.d_mlp, self._train
        d_logits = self._logits[:n, : self._shape.classes]
        torch.mm(d_logits, tables.W_L.mT, out=self._d_neurons[:, :d_mlp])
        d_W_L = torch.mm(d_logits.mT, self._neurons[:n, :d_mlp]).mT
        self._loops.backward(block.pairs, arrays, self._rows, self._gradients, self._rate, block.spans)
        d_base = self._d_base.sum(0, keepdim=True) if self._shape.equals_sign else self._d_base
        upstream = TableGradients(self._d_far, d_base, self._d_scores, d_W_L)
        backpropagate(self.parameters.weights.tensors(), tables, upstream, shape=self._shape, into=self.parameters.gradients)
