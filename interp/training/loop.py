"""The training loop: a stream of steps. It writes nothing and prints nothing; the caller asks for each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.config.run_config import RunConfig
from interp.errors import TrainingError, UsageError
from interp.measures.dating import is_settled
from interp.training.changing import Changing
from interp.training.choice import make_engine
from interp.training.engine import Engine
from interp.training.examples import Examples, check_batch
from interp.training.fitting import Room, check_run, shortage_explained
from interp.training.start import SEEDED, FromSeed, FromState, FromWeights, Start, begun_at_phases
from interp.training.stream import Plan, Step

# What changes, and a mask, keep in a training's state.
CHANGES, MASK = "changes.", "mask."


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
        if not isinstance(config, RunConfig):
            raise UsageError(f"config: given {config!r:.60}, expected a RunConfig, such as interp.recipe('demo')")
        if isinstance(start, FromSeed) and start.seed is not None:
            config = replace(config, seed=start.seed)
        if engine is None and not force:
            check_run(config, room=Room.here())
        check_batch(config)
        self.config = config
        self.start = start
        with shortage_explained():
            self.engine: Engine = engine or make_engine(config)
        self._changing = Changing(config, self.engine.parameters.weights) if config.changes else None
        self._examples: Examples | None = None  # those that a change has put in the place of the config's
        self._mask: dict[str, Tensor] = {}  # which weights there are; the others stay 0
        self._index = 0
        self._evaluations: list[tuple[float, float, float]] = []
        self._saved = config.checkpoints.steps(config.steps)
        if isinstance(start, FromState):
            self.load(start.state())
        elif isinstance(start, FromWeights):
            self._begin_with(start)

    def __repr__(self) -> str:
        return f"Training({self.config.recipe!r}: at step {self._index:,} of {self.config.steps:,}, engine {self.engine.name})"

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
            start={} if isinstance(self.start, FromSeed) else {**self.start.facts(), **self._begun_before()},
        )

    def _begun_before(self) -> dict[str, Any]:
        """When the changes began, in the state that it begins with, that waited for a phase: its own history may not tell."""
        tensors = self.start.tensors if isinstance(self.start, FromState) and self.start.moments == "kept" else {}
        begun = begun_at_phases(self.config.schedule, tensors)
        return {"changes_began": begun} if begun else {}

    def __iter__(self) -> Iterator[Step[Any]]:
        """Yield the present step, then one more after every update, up to the budget or until settled.

        Raises:
            TrainingError: when the training loss is not finite; nothing is yielded for that step.
        """
        while True:
            if self._changing is not None:
                self._prepare(self._changing)
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
            if self._changing is None:
                self.engine.update()
            else:
                self._changing.update(self.engine, self._index)
            self._apply_mask()
            self._index += 1

    @torch.no_grad()
    def _apply_mask(self) -> None:
        tensors = self.engine.parameters.weights.tensors() if self._mask else {}
        for name, mask in self._mask.items():
            tensors[name].mul_(mask)

    def _prepare(self, changing: Changing) -> None:
        """Let the changes begin that begin here; give the engine the examples and the loss of this step."""
        changing.begin(self._index, self.engine.parameters)
        examples = changing.examples(self._index)
        if examples is not changing.examples(-1) or self._examples is not None:
            self._train_on(examples, changing)
        self.engine.use(changing.optimizer(self._index, before=True))

    def _train_on(self, examples: Examples, changing: Changing) -> None:
        """Go on with other examples: in an engine made for them, from where the present one is."""
        if examples is self._examples:
            return
        before, self._examples = self.engine, examples
        self.engine = make_engine(self.config, examples)
        self.engine.parameters.flat.copy_(before.parameters.flat)
        self.engine.use(changing.optimizer(self._index - 1))
        self.engine.load(before.state())

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on bit for bit from the last step yielded (live tensors: write or copy them at once)."""
        return {
            "index": torch.tensor(self._index),
            "evaluations": torch.tensor(self._evaluations, dtype=torch.float64).reshape(-1, 3),
            "flat": self.engine.parameters.flat,
            **{f"engine.{name}": tensor for name, tensor in self.engine.state().items()},
            **{f"{MASK}{name}": mask for name, mask in self._mask.items()},
            **({} if self._changing is None else {f"{CHANGES}{name}": one for name, one in self._changing.state().items()}),
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
        self._mask = {name.removeprefix(MASK): mask for name, mask in state.items() if name.startswith(MASK)}
        if self._changing is not None:
            self._changing.load({name.removeprefix(CHANGES): one for name, one in state.items() if name.startswith(CHANGES)})
            self.engine.use(self._changing.optimizer(self._index - 1))
        self.engine.load({name.removeprefix("engine."): t for name, t in state.items() if name.startswith("engine.")})

    @torch.no_grad()
    def _begin_with(self, start: FromWeights) -> None:
        """Put given weights in the place of the initial ones."""
        mine, given = self.engine.parameters.weights.tensors(), start.weights.tensors()
        for name in {**mine, **given}:
            there = [tuple(found[name].shape) if name in found else "no such tensor" for found in (given, mine)]
            if there[0] != there[1]:
                raise UsageError(f"weights: {name}: given {there[0]}, expected {there[1]}, as the config says")
        for name, tensor in mine.items():
            tensor.copy_(given[name])
        self._mask = {name: mask.to(mine[name]) for name, mask in (start.mask or {}).items()}
        self._apply_mask()
        self._index, self._evaluations = start.step, list(start.evaluations)
        state = self.engine.state()
        norm = self.engine.parameters.flat.norm()
        taken = self._fitting(start.moments or {})
        self.engine.load({**state, **taken, "norm": torch.full_like(state["norm"], float(norm))})  # not that of the initial ones

    def _fitting(self, moments: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Moments from elsewhere, if they are those of this optimizer and of these weights."""
        size = self.engine.parameters.flat.numel()
        for name, tensor in moments.items():
            if tensor.numel() not in (1, size):
                raise UsageError(
                    f"moments: {name}: given {tensor.numel():,} numbers, expected {size:,}, one for each weight: these are those "
                    "of a network of another shape"
                )
        return moments

    def _step(self, train_loss: float) -> Step[Any]:
        weights, index = self.engine.parameters.weights, self._index
        out_of_budget = index >= self.config.steps
        if index % self.config.evaluate_every and index not in self._saved and not out_of_budget:
            return Step(index, train_loss, weights)
        evaluation, sum_squared = self.engine.evaluate(), self.engine.parameters.sum_squared()
        if self._changing is not None:
            self._changing.note(index, evaluation, self.engine.parameters)
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


def train(config: RunConfig, *, start: Start = SEEDED, force: bool = False) -> Iterator[Step[Any]]:
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
