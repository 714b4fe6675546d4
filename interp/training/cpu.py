"""The fast CPU engine: tables over tokens (tables.py), compiled loops over pairs (kernels.py), and three matrix products.

What remains of a step once everything before the neurons is a table: neurons @ W_L, its two gradients, and loops that touch each
pair's neurons a few times. Float32 only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from interp.config import RunConfig
from interp.errors import UsageError
from interp.task import ModularTask
from interp.training import kernels
from interp.training.blas import find_blas
from interp.training.engine import Evaluation
from interp.training.initial import initial_weights
from interp.training.optimizer import Optimizer
from interp.training.parameters import Parameters
from interp.training.tables import Shape, TableGradients, Tables, backpropagate, far_rows, tabulate, through_far_rows
from interp.training.threads import threads_for

_CHUNK = 192  # pairs a thread works on at a time: their neurons and gradient stay in its second-level cache


def refusal(config: RunConfig) -> str | None:
    """Why this engine cannot do what a config asks; None if it can."""
    if config.device != "cpu":
        return f"device {config.device!r}: it runs on the CPU only"
    if config.dtype != "float32":
        return f"dtype {config.dtype!r}: it computes in float32 only"
    if config.model.activation != "relu":
        return f"activation {config.model.activation!r}: it knows relu only"
    return None


def make_pairs(index: Int[np.ndarray, " n"], task: ModularTask, *, threads: int) -> kernels.Pairs:
    """Some of a task's p^2 pairs, given by their rows, shared out among threads by token: each has about as many pairs."""
    index = np.sort(index)
    a, b = (tokens.astype(np.int32) for tokens in np.divmod(index, task.p))
    by_b = np.argsort(b, kind="stable")
    first_a, first_b = (np.searchsorted(tokens, np.arange(task.p + 1)).astype(np.int32) for tokens in (a, b[by_b]))
    shares = np.linspace(0, len(index), threads + 1)

    def tokens_of_threads(first: Int[np.ndarray, " p+1"]) -> Int[np.ndarray, " thread+1"]:
        cuts = np.searchsorted((first[1:] + first[:-1]) / 2, shares).astype(np.int32)
        cuts[0], cuts[-1] = 0, task.p
        return cuts

    return kernels.Pairs(
        a,
        b,
        label=task.labels[index].astype(np.int32),
        first_a=first_a,
        rank=np.argsort(by_b).astype(np.int32),
        first_b=first_b,
        span_a=tokens_of_threads(first_a),
        span_b=tokens_of_threads(first_b),
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
        self._loops = kernels.loops(self.threads)
        self._blas = find_blas(kernels.PROCESSOR)
        self.blas = self._blas.name
        # The loops share the work out; where they cannot, the matrix products inside them do.
        self._blas_threads = 1 if self._loops.parallel else self.threads
        self._setting = kernels.Setting(
            model.d_mlp,
            config.classes,
            rate=np.float32(model.attention_rate),
            stablemax=config.optimizer.loss == "stablemax",
            sgemm=self._blas.sgemm,
        )
        split = config.split.draw(task)
        self._train, self._test = (make_pairs(index, task, threads=self.threads) for index in (split.train, split.test))
        self._allocate(task.p, model.n_heads)
        self._train_accuracy: float | None = None
        with kernels.telling():
            self.gradient()

    def _allocate(self, p: int, heads: int) -> None:
        shape = self._shape
        neurons, logits = shape.neuron_columns, shape.logit_columns
        n, columns = len(self._train.a), neurons + logits
        room = max(_CHUNK, *(int(np.diff(pairs.first_a).max()) for pairs in (self._train, self._test)))

        def arrays(*sizes: tuple[int, ...]) -> list[np.ndarray]:
            return [torch.zeros(size).numpy() for size in sizes]

        t = self.threads
        self._chunks = kernels.Chunk(*arrays((t, room, neurons), (t, room, logits), (t, room, neurons), (t, room, 2, heads)))
        self._by_b = kernels.ByB(*arrays((n, columns), (n, heads), (n, heads)))
        scores = (heads, 1, p + 1) if shape.equals_sign else (heads, p, p)
        self._gradients = kernels.Gradients(
            *arrays((heads, p + 1, columns), (p, columns), scores),
            *arrays((t, shape.classes, shape.d_mlp), (t, heads, columns), (t, heads)),
        )
        self._sums = kernels.Sums(np.zeros(t), np.zeros(t, dtype=np.int64))

    @torch.no_grad()
    def gradient(self) -> float:
        """Mean training loss; its gradient by hand."""
        with self._blas.threads(self._blas_threads):
            tables = tabulate(self.parameters.weights.tensors(), self._shape)
            self._loops.train(self._train, _arrays(tables), self._setting, self._chunks, self._by_b, self._gradients, self._sums)
            self._backward(tables)
        self._train_accuracy = float(self._sums.correct.sum()) / len(self._train.a)
        return float(self._sums.loss.sum()) / len(self._train.a)

    def update(self) -> None:
        """One optimizer update."""
        self._train_accuracy = None
        with self._blas.threads(self._blas_threads):
            self._optimizer.step()

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies."""
        with self._blas.threads(self._blas_threads):
            arrays = _arrays(tabulate(self.parameters.weights.tensors(), self._shape))
            if self._train_accuracy is None:
                _, self._train_accuracy = self._measure(self._train, arrays)
            test_loss, test_accuracy = self._measure(self._test, arrays)
        return Evaluation(test_loss, train_accuracy=self._train_accuracy, test_accuracy=test_accuracy)

    def state(self) -> dict[str, Tensor]:
        """The optimizer's state."""
        return self._optimizer.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the optimizer's state."""
        self._train_accuracy = None
        self._optimizer.load(state)

    def _measure(self, pairs: kernels.Pairs, arrays: kernels.Tables) -> tuple[float, float]:
        """Mean loss and accuracy."""
        n = len(pairs.a)
        self._loops.evaluate(pairs, arrays, self._setting, self._chunks, self._sums)
        return float(self._sums.loss.sum()) / n, float(self._sums.correct.sum()) / n

    def _backward(self, tables: Tables) -> None:
        """From the gradient of the tables to that of the weights."""
        far, base, scores, W_L, difference, difference_score = map(torch.from_numpy, self._gradients)
        equals = self._shape.equals_sign
        torch.sum(difference, 0, out=far[:, -1])
        if equals:
            torch.sum(difference_score, 0, out=scores[:, 0, -1])
        d_base = base.sum(0, keepdim=True) if equals else base
        upstream = TableGradients(*through_far_rows(tables, far), base=d_base, scores=scores, W_L=W_L.sum(0).mT)
        weights = self.parameters.weights.tensors()
        backpropagate(weights, tables, upstream, shape=self._shape, into=self.parameters.gradients)


def _arrays(tables: Tables) -> kernels.Tables:
    return kernels.Tables(far_rows(tables).numpy(), tables.base.numpy(), tables.scores.numpy(), tables.W_L.numpy())
