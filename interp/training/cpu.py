"""The fast CPU engine: tables over tokens (tables.py), and compiled passes over the pairs (kernels).

What remains of a step once everything before the neurons is a table: neurons @ W_L, its two gradients, and loops that touch each
pair's neurons a few times. Float32 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from interp.config import RunConfig
from interp.errors import UsageError
from interp.process import forked
from interp.training import kernels
from interp.training.contention import Contention
from interp.training.engine import Evaluation
from interp.training.initial import initial_weights
from interp.training.optimizer import Optimizer
from interp.training.pair_chunks import share_out
from interp.training.parameters import Parameters
from interp.training.tables import Multiply, Shape, TableGradients, Tables, backpropagate, tabulate
from interp.training.threads import threads_for, torch_threads

# What a step of this engine and of the reference engine costs apart from arithmetic, in multiplications of a forward pass.
_OWN, _REFERENCE = 6_000_000, 12_000_000
_MARGIN = 1.12  # by so much this engine must seem to have less to do: at 1.10 it has been found as slow as the other
# Between rows of buffers: a power of two apart, they would share a few lines of the first-level cache.
_GAP = kernels.LANES


def refusal(config: RunConfig) -> str | None:
    """Why this engine cannot do what a config asks; None if it can."""
    if config.device != "cpu":
        return f"device {config.device!r}: it runs on the CPU only"
    if config.dtype != "float32":
        return f"dtype {config.dtype!r}: it computes in float32 only"
    if config.model.activation != "relu":
        return f"activation {config.model.activation!r}: it knows relu only"
    return None


def is_worth_it(config: RunConfig) -> bool:
    """Whether tables pay: with few pairs to train on, the reference engine has less to do than there is to tabulate.

    Compares multiplications of one forward pass, to which both engines' gradients are proportional, and what a step costs
    besides. Measured by benchmarks/scaling.py: where this says yes, the CPU engine has not been found slower.
    """
    task, model = config.task, config.model
    n, p, d_model, heads = len(config.split.draw(task).train), task.p, model.d_model, model.n_heads
    columns = model.d_mlp + config.classes
    tables = d_model * (d_model * (columns + p) + p * columns + model.d_mlp * config.classes)
    tables += 25 * heads * (p + 1) * columns  # what is read and written for each of their numbers
    if not task.equals_sign:
        tables += p * p * (d_model + 20 * heads)  # scores of all pairs
    pair = (2 * heads * columns + model.d_mlp * config.classes) / 2  # in the passes each takes half the time
    reference_pair = d_model * (8 * d_model + 2 * model.d_mlp + config.classes)
    return _MARGIN * (_OWN + tables + n * pair) < _REFERENCE + n * reference_pair


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
        self._weights = self.parameters.weights.tensors()
        self._optimizer = Optimizer(config.optimizer, self.parameters)
        self._shape = Shape(task.equals_sign, model.attention_rate, d_mlp=model.d_mlp, classes=config.classes)
        self._contention = Contention() if kernels.can_be_parallel(self.threads) else None
        self._setting = kernels.Setting(
            neuron_columns=self._shape.neuron_columns,
            classes=config.classes,
            rate=np.float32(model.attention_rate),
            stablemax=config.optimizer.loss == "stablemax",
        )
        split = config.split.draw(task)
        self._train, self._test = (share_out(index, task, threads=self.threads) for index in (split.train, split.test))
        self._allocate(task.p, heads=model.n_heads, d_head=self.parameters.weights.W_V.shape[-1])
        self._train_accuracy: float | None = None
        with kernels.telling():
            for _ in range(3 if self._contention else 1):  # the parallel passes are used, and compiled, from the third on
                self.evaluate()
                self.gradient()

    def _allocate(self, p: int, *, heads: int, d_head: int) -> None:
        shape, t = self._shape, self.threads
        neurons, columns = shape.neuron_columns, shape.neuron_columns + shape.logit_columns
        room = max(int(np.diff(pairs.chunk).max()) for pairs in (self._train, self._test))

        def arrays(*sizes: tuple[int, ...]) -> list[np.ndarray]:
            return [torch.zeros(size).numpy() for size in sizes]

        (self._W_L,) = arrays((neurons, shape.logit_columns + _GAP))
        active = np.zeros((t, room, -(-neurons // kernels.WORD)), dtype=np.int64)
        strips = room if kernels.needs_strips(shape.classes) else 0
        columns_of_chunk, softmax, weights, d_scores, near, d_neurons = arrays(
            (t, room, columns + _GAP), (t, 2, heads, room), (t, 2, heads + 1, room), (t, 2, heads, room), (t, heads, columns),
            (t, strips + 1, neurons + _GAP),
        )  # fmt: skip
        weights[:, :, -1] = 1
        self._chunks = kernels.Chunk(active, columns_of_chunk, softmax, weights, d_scores, near, d_neurons)
        equals = shape.equals_sign
        most, width = int(np.diff(self._train.tokens).max()), heads * d_head
        near, far, both, d_v, last_v, parts, d_columns, d_scores, d_W_L = arrays(
            (heads + equals, p, columns),
            (t, heads + (not equals), p, columns),
            (t, most + 1, columns),
            (heads, p + 1, d_head),
            (t, heads, d_head),
            (t, width + 1, columns),
            (width + (1 if equals else p), columns),
            (t, heads, 1, p + 1) if equals else (1, heads, p, p),
            (t, neurons, shape.logit_columns + _GAP),
        )
        self._gradients = kernels.Gradients(near, far, both, d_v, last_v, parts, d_columns, d_scores, d_W_L)
        self._d_v, self._d_columns, self._d_scores, self._d_W_L = map(torch.from_numpy, (d_v, d_columns, d_scores, d_W_L))
        self._far = torch.zeros(heads, p + 1, columns)
        self._sums = kernels.Sums(np.zeros(t), np.zeros(t, dtype=np.int64))

    @torch.no_grad()
    def gradient(self) -> float:
        """Mean training loss; its gradient by hand."""
        start = perf_counter()
        with torch_threads(1):
            tables = tabulate(self._weights, self._shape, multiply=self._multiply)
            arrays = self._arrays(tables)
            self._passes.train(self._train, arrays, self._setting, self._chunks, self._gradients, self._sums)
            self._passes.combine(self._train.tokens, arrays, self._gradients)
            self._passes.add_up(self._gradients)
            self._backward(tables)
        if self._contention:
            self._contention.note(perf_counter() - start)
        self._train_accuracy = float(self._sums.correct.sum()) / len(self._train.a)
        return float(self._sums.loss.sum()) / len(self._train.a)

    def update(self) -> None:
        """One optimizer update."""
        self._train_accuracy = None
        with torch_threads(1):
            self._optimizer.step()

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies."""
        with torch_threads(1):
            arrays = self._arrays(tabulate(self._weights, self._shape, multiply=self._multiply))
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

    @property
    def _multiply(self) -> Multiply:
        """Products of large matrices, by as many threads as the passes."""
        return partial(kernels.multiply, threads=self.threads, parallel=self._passes is kernels.PARALLEL)

    @property
    def _passes(self) -> kernels.Passes:
        """The passes to use now: whether in parallel or not, the same shares are summed in the same order."""
        is_parallel = self._contention and self._contention.use_threads() and not forked()
        return kernels.PARALLEL if is_parallel else kernels.SERIAL

    def _measure(self, pairs: kernels.Pairs, arrays: kernels.Tables) -> tuple[float, float]:
        """Mean loss and accuracy."""
        n = len(pairs.a)
        self._passes.evaluate(pairs, arrays, self._setting, self._chunks, self._sums)
        return float(self._sums.loss.sum()) / n, float(self._sums.correct.sum()) / n

    def _arrays(self, tables: Tables) -> kernels.Tables:
        torch.from_numpy(self._W_L)[: self._shape.d_mlp, : self._shape.logit_columns] = tables.W_L
        v, head_to_columns, base, scores = (
            tensor.contiguous().numpy() for tensor in (tables.v, tables.head_to_columns, tables.base, tables.scores)
        )
        arrays = kernels.Tables(v, head_to_columns, self._far.numpy(), base, scores, self._W_L)
        self._passes.prepare(arrays, self.threads)
        return arrays

    def _backward(self, tables: Tables) -> None:
        """From the gradient of the tables to that of the weights."""
        upstream = TableGradients(
            v=self._d_v,
            columns=self._d_columns,
            scores=self._d_scores.sum(0),
            W_L=self._d_W_L[0, : self._shape.d_mlp, : self._shape.logit_columns],
        )
        backpropagate(self._weights, tables, upstream, shape=self._shape, into=self.parameters.gradients, multiply=self._multiply)
