"""The fast CPU engine: tables over tokens and passes over pairs, all compiled (kernels). token_tables.py has the formulas.

Once everything before the neurons is a table, what remains of a step is neurons @ W_L, its two gradients, and loops that touch
each pair's neurons a few times. Float32 only.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.config.changes import SetField
from interp.config.run_config import OptimizerConfig, RunConfig
from interp.cores import torch_threads
from interp.errors import UsageError
from interp.networks.initial import initial_weights
from interp.networks.shapes import SHAPES
from interp.process import forked
from interp.training.cpu import kernels
from interp.training.cpu.buffers import allocate
from interp.training.cpu.contention import Contention
from interp.training.cpu.openmp import can_be_parallel
from interp.training.cpu.pair_chunks import share_out
from interp.training.cpu.preparation import prepare
from interp.training.engine import Evaluation
from interp.training.examples import Examples, examples_of
from interp.training.optimizer import Optimizer
from interp.training.parameters import Parameters
from interp.training.threads import threads_for
from interp.training.token_tables import Shape

# Cost of a step apart from arithmetic, in this engine and in the reference engine, in multiplications of a forward pass.
_OWN, _REFERENCE = 1_000_000, 40_000_000
_MARGIN = 1.12  # the estimate must favour this engine by this factor: at 1.10 it was measured to be as slow as the other


def refusal(config: RunConfig) -> str | None:
    """Why this engine cannot do what a config asks; None if it can."""
    if config.device != "cpu":
        return f"device {config.device!r}: it runs on the CPU only"
    if config.dtype != "float32":
        return f"dtype {config.dtype!r}: it computes in float32 only"
    if config.unusual:
        return f"{config.unusual}: it trains a one-layer transformer with AdamW on the full batch"
    if config.model.activation != "relu":
        return f"activation {config.model.activation!r}: it computes relu only"
    for change in config.schedule:
        if isinstance(change.what, SetField) and change.what.field == "loss" and change.what.value != config.optimizer.loss:
            return f"change {str(change)!r}: it is compiled for one loss"
    return None


def is_worth_it(config: RunConfig) -> bool:
    """Whether tables pay: with few training pairs, the reference engine needs less arithmetic than the tables alone.

    Compares the multiplications of one forward pass, to which the cost of the gradients is proportional in both engines, plus the
    fixed cost of a step. In the measurements of benchmarks/scaling.py the CPU engine was never slower where this says yes.
    """
    task, model = config.task, config.model
    n, p, d_model, heads = config.split.count_of(task), task.p, model.d_model, model.n_heads
    columns = model.d_mlp + config.classes
    # W_L and the linear part of flipped neurons: one more product of this size backward, and two for the flipped neurons.
    tables = d_model * (d_model * (columns + p) + p * columns + 1.7 * model.d_mlp * config.classes)
    tables += 25 * heads * (p + 1) * columns  # reading and writing each number of the tables
    if not task.equals_sign:
        tables += p * p * (d_model + 20 * heads)  # scores of all pairs
    pair = (2 * heads * columns + model.d_mlp * config.classes) / 2  # a multiplication of the passes takes half the time
    reference_pair = d_model * (8 * d_model + 2 * model.d_mlp + config.classes)
    return _MARGIN * (_OWN + tables + n * pair) < _REFERENCE + n * reference_pair


class CpuEngine:
    """Full-batch gradients without autograd, equal to those of the reference engine up to float32 rounding."""

    name = "cpu"

    def __init__(self, config: RunConfig, examples: Examples | None = None) -> None:
        """Allocate everything a step needs; examples are, if none are given, those of the config's split.

        Raises:
            UsageError: if this engine cannot do what the config asks.
        """
        if reason := refusal(config):
            raise UsageError(f"engine 'cpu' cannot do this: {reason}; use --engine reference")
        task, model = config.task, config.model
        self.threads = threads_for(config)
        self.parameters = Parameters(initial_weights(config))
        self._shape = Shape(task.equals_sign, model.attention_rate, d_mlp=model.d_mlp, classes=config.classes)
        layout = _layout(config)
        prepare(layout, processes=self.threads)
        self._passes = kernels.passes_for(layout)
        self._launch = _Launcher(self.threads)
        self._adamw = _CompiledAdamW(config.optimizer, self.parameters, self._launch, self._passes.update)
        self._optimizer = Optimizer(config.optimizer, self.parameters, adamw=self._adamw)
        given = examples or examples_of(config)
        train, test = (share_out(index, task, threads=self.threads, labels=given.labels) for index in (given.train, given.test))
        self._n_train, self._n_test = len(train.a), len(test.a)
        self._sums = kernels.Sums(np.zeros(self.threads), np.zeros(self.threads, dtype=np.int64))
        tables, chunks, of_tables = allocate(
            self._shape, task.p, d_model=model.d_model, heads=model.n_heads, threads=self.threads, train=train, test=test
        )
        weights, into = map(_as_arrays, (self.parameters.weights.tensors(), self.parameters.gradients))
        self._signs = _no_signs(model.d_mlp, self._shape.neuron_columns, self.threads)
        self._chunks = [kernels.Handle(chunk) for chunk in chunks]
        rest = of_tables, _setting(config, layout, self._shape), into, self._sums, self._signs, self._adamw.moments
        handles: list[kernels.Handle[Any]] = [kernels.Handle(each) for each in (weights, tables, *rest)]
        addresses = np.array([chunk.address for chunk in self._chunks])
        self._train, self._test = (
            kernels.Handle(kernels.Work(self.threads, addresses, kernels.Handle(pairs), *handles)) for pairs in (train, test)
        )
        self._adamw.work = self._train
        self._train_accuracy: float | None = None
        for _ in range(3 if self._launch.can_be_parallel else 1):  # passes are launched in parallel from the third on
            self.evaluate()
            self.gradient()
        self._choose_signs()

    @torch.no_grad()
    def gradient(self) -> float:
        """Mean training loss; computes its gradient without autograd."""
        start, passes = perf_counter(), self._passes
        with torch_threads(1):
            for stages in (passes.tabulate, passes.train, passes.combine, passes.add_up, passes.backpropagate):
                self._launch(stages, self._train)
        self._launch.note(perf_counter() - start)
        loss, self._train_accuracy = self._means(self._n_train)
        return loss

    def update(self) -> None:
        """One optimizer update."""
        self._train_accuracy = None
        with torch_threads(1):
            self._optimizer.step()
        self._choose_signs()

    def use(self, optimizer: OptimizerConfig) -> None:
        """Other settings of the optimizer from now on; the loss stays."""
        self._optimizer.use(optimizer)

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies."""
        with torch_threads(1):
            self._launch(self._passes.tabulate, self._train)
            if self._train_accuracy is None:
                self._launch(self._passes.evaluate, self._train)
                _, self._train_accuracy = self._means(self._n_train)
            self._launch(self._passes.evaluate, self._test)
            test_loss, test_accuracy = self._means(self._n_test)
        return Evaluation(test_loss, train_accuracy=self._train_accuracy, test_accuracy=test_accuracy)

    def state(self) -> dict[str, Tensor]:
        """The optimizer's state, and which neurons are flipped."""
        return {**self._optimizer.state(), "flipped": torch.from_numpy(self._signs.sign[: self._shape.d_mlp] < 0)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the optimizer's state, and the signs the neurons had. (States of other engines have none.)"""
        self._train_accuracy = None
        self._optimizer.load(state)
        self._signs.active[:], self._signs.sign[:] = 0, 1
        if "flipped" in state:
            self._signs.sign[: self._shape.d_mlp][state["flipped"].numpy()] = -1
        self._choose_signs()

    def adapt(self) -> None:
        """Choose the neurons' signs anew, by weights that were changed from outside and by nothing else."""
        self._train_accuracy = None
        self._signs.active[:], self._signs.sign[:] = 0, 1
        self._choose_signs()
        self.gradient()
        self._choose_signs()

    def _choose_signs(self) -> None:
        """Choose the sign of each neuron for what follows, by the counts of the last training pass unless they are used up."""
        for stage in self._passes.choose_signs:
            kernels.SERIAL(stage.first, stage.number, self._train.address, 1)

    def _means(self, n: int) -> tuple[float, float]:
        """Mean loss and accuracy over the n pairs of the last pass."""
        return float(self._sums.loss.sum()) / n, float(self._sums.correct.sum()) / n


class _Launcher:
    """Runs passes, in parallel or not: either way the same shares are summed in the same order."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._contention = Contention() if can_be_parallel(threads) else None

    @property
    def can_be_parallel(self) -> bool:
        """Whether several threads may be used at some point."""
        return self._contention is not None

    def note(self, seconds: float) -> None:
        """Report how long the passes of a gradient took."""
        if self._contention:
            self._contention.note(seconds)

    @property
    def is_parallel(self) -> bool:
        """Whether several threads are used now."""
        return self._contention is not None and self._contention.use_threads() and not forked()

    def __call__(self, stages: kernels.Pass, work: kernels.Handle[kernels.Work]) -> None:
        """Run a pass, stage by stage."""
        launch = kernels.PARALLEL if self.is_parallel else kernels.SERIAL
        for stage in stages:
            launch(stage.first, stage.number, work.address, self._threads)


class _CompiledAdamW:
    """AdamW by the compiled pass `update` over `moments`; `work` holds a handle to them."""

    work: kernels.Handle[kernels.Work]

    def __init__(self, config: OptimizerConfig, parameters: Parameters, launch: _Launcher, update: kernels.Pass) -> None:
        self._config, self._launch, self._update, self._step = config, launch, update, 0
        self._mean, self._square = torch.zeros_like(parameters.flat), torch.zeros_like(parameters.flat)
        self.moments = kernels.Moments(
            flat=parameters.flat.numpy(),
            gradient=parameters.gradient.numpy(),
            mean=self._mean.numpy(),
            square=self._square.numpy(),
            rates=np.zeros(7, dtype=np.float32),
        )

    def use(self, config: OptimizerConfig) -> None:
        """Other settings from now on."""
        self._config = config

    def step(self, lr: float) -> None:
        """Apply one update."""
        self._step += 1
        (beta1, beta2), eps, decay = (self._config.beta1, self._config.beta2), self._config.eps, self._config.weight_decay
        rest1, rest2 = 1 - beta1**self._step, 1 - beta2**self._step
        with np.errstate(over="ignore"):  # what becomes infinite shows in the loss
            self.moments.rates[:] = 1 - lr * decay, lr / rest1, 1 - beta1, beta2, 1 - beta2, rest2**0.5, eps
        self._launch(self._update, self.work)

    def state(self) -> dict[str, Tensor]:
        """The state under torch's names; `step` is a float32 number there."""
        if not self._step:
            return {}
        return {"step": torch.tensor(float(self._step)), "exp_avg": self._mean, "exp_avg_sq": self._square}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved `state`."""
        self._step = int(state["step"])
        self._mean.copy_(state["exp_avg"])
        self._square.copy_(state["exp_avg_sq"])


def _layout(config: RunConfig) -> kernels.Layout:
    """Which machine code a run needs."""
    return kernels.Layout(
        equals_sign=config.task.equals_sign,
        biases=config.model.biases != "none",
        columns=config.classes - (config.optimizer.loss == "cross_entropy"),
        loss=config.optimizer.loss,
    )


def _setting(config: RunConfig, layout: kernels.Layout, shape: Shape) -> kernels.Setting:
    """The scalars of a run's passes."""
    strips = kernels.strips_of(layout)
    return kernels.Setting(
        neuron_columns=shape.neuron_columns,
        classes=config.classes,
        columns_of_W_L=layout.columns,
        rate=float(shape.attention_rate),
        total=float(shape.total),
        forward=kernels.Handle(strips[0]),
        backward=kernels.Handle(strips[1]),
        loss=kernels.LOSSES[layout.loss].address,
    )


def _no_signs(neurons: int, columns: int, threads: int) -> kernels.Signs:
    """Signs with no neuron flipped."""
    return kernels.Signs(
        sign=np.ones(columns, dtype=np.float32),
        flipped=np.zeros(neurons, dtype=np.int32),
        number=np.zeros(1, dtype=np.int64),
        active=np.zeros((threads, columns), dtype=np.int64),
    )


def _as_arrays(tensors: Mapping[str, Tensor]) -> kernels.Model:
    """Weights, or their gradients, in the form the passes take."""
    arrays = {
        name: tensors[name].numpy() if name in tensors else np.zeros([0] * len(axes), dtype=np.float32)
        for name, axes in SHAPES.items()
    }
    return kernels.Model(**{**arrays, "W_O": arrays["W_O"].reshape(-1, arrays["W_O"].shape[-1])})
