"""The training loop: a stream of steps. It writes nothing and prints nothing; whoever asks for the next step decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from interp.config.run_config import RunConfig
from interp.errors import TrainingError
from interp.measures.dating import is_settled
from interp.networks.one_layer import Weights
from interp.training.choice import make_engine
from interp.training.engine import Engine


@dataclass(frozen=True)
class Step:
    """The run after `index` updates. Step 0 is the initial model.

    `weights` are live: copy or write them before asking for the next step. What is measured at evaluation steps only (test loss,
    accuracies, sum of squared weights) is None between them.
    """

    index: int
    train_loss: float
    weights: Weights
    test_loss: float | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    sum_squared_weights: float | None = None
    last: bool = False


class Training:
    """One run in progress: iterate over it for its steps; ask for its `state` between two steps to go on later.

    Args:
        config: the run.
        state: go on from what an earlier `state()` returned; the first step yielded is then the one it was taken at.
        engine: what computes the steps; by default, what the config asks for.
    """

    def __init__(self, config: RunConfig, state: Mapping[str, Tensor] | None = None, *, engine: Engine | None = None) -> None:
        self.config = config
        self.engine: Engine = engine or make_engine(config)
        self._index = 0
        self._evaluations: list[tuple[float, float, float]] = []
        self._saved = set(config.checkpoints.steps(config.steps))
        if state is not None:
            self._load(state)

    def __iter__(self) -> Iterator[Step]:
        """Yield the present step, then one more after every update, up to the budget or until settled.

        Raises:
            TrainingError: when the training loss is not finite; nothing is yielded for that step.
        """
        while True:
            train_loss = self.engine.gradient()
            if not isfinite(train_loss):
                raise TrainingError(
                    f"training loss is {train_loss} at step {self._index}: stopped. Steps before it are unharmed; "
                    "try a smaller --optimizer.lr, or --dtype float64"
                )
            step = self._step(train_loss)
            yield step
            if step.last:
                return
            self.engine.update()
            self._index += 1

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on bit for bit from the step last yielded (live tensors: write or copy them at once)."""
        return {
            "index": torch.tensor(self._index),
            "evaluations": torch.tensor(self._evaluations, dtype=torch.float64).reshape(-1, 3),
            "flat": self.engine.parameters.flat,
            **{f"engine.{name}": tensor for name, tensor in self.engine.state().items()},
        }

    def _step(self, train_loss: float) -> Step:
        weights, index = self.engine.parameters.weights, self._index
        out_of_budget = index >= self.config.steps
        if index % self.config.evaluate_every and index not in self._saved and not out_of_budget:
            return Step(index, train_loss, weights)
        evaluation, sum_squared = self.engine.evaluate(), self.engine.parameters.sum_squared()
        if not self._evaluations or self._evaluations[-1][0] != index:
            self._evaluations.append((index, sum_squared, evaluation.test_accuracy))
        return Step(
            index,
            train_loss,
            weights,
            test_loss=evaluation.test_loss,
            train_accuracy=evaluation.train_accuracy,
            test_accuracy=evaluation.test_accuracy,
            sum_squared_weights=sum_squared,
            last=out_of_budget or (self.config.until_settled and self._settled()),
        )

    def _settled(self) -> bool:
        steps, sum_squared, test_accuracy = np.array(self._evaluations).T
        return is_settled(steps, sum_squared, test_accuracy)

    def _load(self, state: Mapping[str, Tensor]) -> None:
        self._index = int(state["index"])
        self._evaluations = [(row[0], row[1], row[2]) for row in state["evaluations"].tolist()]
        self.engine.parameters.flat.copy_(state["flat"])
        self.engine.load({name.removeprefix("engine."): t for name, t in state.items() if name.startswith("engine.")})


def train(config: RunConfig) -> Iterator[Step]:
    """Train a run: yields step 0, then a `Step` after every update.

    Deterministic: equal configs, engines and thread counts give equal bytes. Nothing is saved; see `interp.record`.

    >>> import interp
    >>> from dataclasses import replace
    >>> steps = interp.train(replace(interp.recipe("demo"), steps=2, engine="reference"))
    >>> [step.index for step in steps]
    [0, 1, 2]
    """
    yield from Training(config)
