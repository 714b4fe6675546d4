"""The training loop: a stream of steps. It writes nothing and prints nothing; the caller asks for each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from interp.config.run_config import RunConfig
from interp.errors import TrainingError, UsageError
from interp.measures.dating import is_settled
from interp.networks.one_layer import Weights
from interp.training.choice import make_engine
from interp.training.engine import Engine
from interp.training.fitting import Room, check_run, shortage_explained
from interp.training.start import SEEDED, FromSeed, FromState, Start
from interp.training.stream import Plan, Step


class Training:
    """One run in progress, a `Stream`: iterate over it for its steps; ask for its `state` between steps to resume later.

    Args:
        config: the run.
        start: where it begins; by default, with the config's seed.
        engine: what computes the steps; by default, what the config asks for.
        force: begin even if the run takes more memory than this machine has, by estimate.

    Raises:
        UsageError: if it takes more, with the number that is too large; nothing is allocated then.
    """

    def __init__(self, config: RunConfig, start: Start = SEEDED, *, engine: Engine | None = None, force: bool = False) -> None:
        if isinstance(start, FromSeed) and start.seed is not None:
            config = replace(config, seed=start.seed)
        if engine is None and not force:
            check_run(config, room=Room.here())
        self.config = config
        self.start = start
        with shortage_explained():
            self.engine: Engine = engine or make_engine(config)
        self._index = 0
        self._evaluations: list[tuple[float, float, float]] = []
        self._saved = config.checkpoints.steps(config.steps)
        if isinstance(start, FromState):
            self.load(start.state())

    @property
    def plan(self) -> Plan:
        """What never changes; `engine` and `threads` are those that are used."""
        config, weights = self.config, self.engine.parameters.weights
        return Plan(
            settings=config,
            task=config.task,
            split=config.split.draw(config.task),
            steps=config.steps,
            saved=self._saved,
            kind=weights.kind,
            n_parameters=weights.n_parameters,
            engine=self.engine.name,
            threads=self.engine.threads,
            device=config.device,
            may_end_early=config.until_settled,
            moments=tuple(config.checkpoints.moments_of(config.steps)),
            start=self.start.facts() if isinstance(self.start, FromState) else {},
        )

    def __iter__(self) -> Iterator[Step[Weights]]:
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
        """Everything needed to go on bit for bit from the last step yielded (live tensors: write or copy them at once)."""
        return {
            "index": torch.tensor(self._index),
            "evaluations": torch.tensor(self._evaluations, dtype=torch.float64).reshape(-1, 3),
            "flat": self.engine.parameters.flat,
            **{f"engine.{name}": tensor for name, tensor in self.engine.state().items()},
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Resume what an earlier `state()` returned: the first step yielded is then the one it was taken at.

        Raises:
            UsageError: if the state is that of a model of another shape.
        """
        flat = self.engine.parameters.flat
        if state["flat"].shape != flat.shape or state["flat"].dtype != flat.dtype:
            raise UsageError(
                f"state: given {tuple(state['flat'].shape)} weights of {state['flat'].dtype}, expected {tuple(flat.shape)} of "
                f"{flat.dtype}, as the config says"
            )
        self._index = int(state["index"])
        self._evaluations = [(row[0], row[1], row[2]) for row in state["evaluations"].tolist()]
        flat.copy_(state["flat"])
        self.engine.load({name.removeprefix("engine."): t for name, t in state.items() if name.startswith("engine.")})

    def _step(self, train_loss: float) -> Step[Weights]:
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


def train(config: RunConfig, *, start: Start = SEEDED, force: bool = False) -> Iterator[Step[Weights]]:
    """Train a run: yields its first step, by default step 0, then a `Step` after every update.

    Deterministic: equal configs, engines and thread counts give equal bytes. Nothing is saved; see `interp.record`.

    Args:
        config: the run.
        start: where it begins.
        force: train even if the run takes more memory than this machine has, by estimate.

    Raises:
        UsageError: if it takes more, with the number that is too large; nothing is allocated then.

    >>> import interp
    >>> from dataclasses import replace
    >>> steps = interp.train(replace(interp.recipe("demo"), steps=2, engine="reference"))
    >>> [step.index for step in steps]
    [0, 1, 2]
    """
    yield from Training(config, start, force=force)
