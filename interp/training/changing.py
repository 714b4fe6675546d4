"""The changes of a run in progress: which of them act at a step, and what they do there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from interp import measures
from interp.config.changes import (
    Ablate,
    ClampNorm,
    DecayTensor,
    GradientNoise,
    RandomSet,
    ScaleTensor,
    SetField,
    SwapLabels,
    Symmetry,
    TrainOn,
    What,
)
from interp.config.run_config import OptimizerConfig, RunConfig
from interp.cores import torch_threads
from interp.errors import UsageError
from interp.measures.dating import RIGHT
from interp.networks.network import Network
from interp.networks.one_layer import Weights
from interp.training.engine import Engine, Evaluation
from interp.training.examples import Examples, examples_of, with_pairs, with_swapped_labels
from interp.training.gradient_changes import add_noise_, add_symmetry_, take_out_of_neurons_
from interp.training.optimizer import warmup_factor
from interp.training.parameters import Parameters
from interp.training.weight_changes import copies_of, decay_otherwise_, scale_update_, take_out_

W = TypeVar("W")
_NOT_YET = -1


class Changing:
    """What is changed in one run while it trains.

    Args:
        config: the run.
        weights: its network.

    Raises:
        UsageError: if a change names a tensor that the network does not have.
    """

    def __init__(self, config: RunConfig, weights: Network) -> None:
        self._config, self._schedule = config, config.schedule
        self._base = examples_of(config)
        self._known: dict[tuple[int, ...], Examples] = {(): self._base}
        self._began = [_NOT_YET] * len(self._schedule)
        self._norms = [0.0] * len(self._schedule)
        self._frequencies: dict[int, tuple[int, ...]] = {}
        for number, change in enumerate(self._schedule):
            what, there = change.what, list(weights.tensors())
            if isinstance(what, ScaleTensor | DecayTensor) and what.tensor not in there:
                raise UsageError(f"changes: given {str(change)!r}: unknown tensor {what.tensor!r}. Known: {', '.join(there)}")
            if isinstance(what, Ablate) and what.frequencies == "newest":
                self._frequencies[number] = ()
            elif isinstance(what, Ablate) and what.frequencies != "keys":
                self._frequencies[number] = _drawn(what.frequencies, config.task.p)

    def begin(self, step: int, parameters: Parameters) -> None:
        """Let the changes begin that begin at a step, before its gradient is computed."""
        for number, change in enumerate(self._schedule):
            if not isinstance(change.start, str) and change.start <= step:
                self._begin(number, step, parameters)

    def note(self, step: int, found: Evaluation, parameters: Parameters) -> None:
        """Let the changes begin that wait for a phase, if it is reached."""
        reached = {"memorized": found.train_accuracy >= RIGHT, "grokked": found.test_accuracy >= RIGHT}
        for number, change in enumerate(self._schedule):
            if isinstance(change.start, str) and reached[change.start]:
                self._begin(number, step, parameters)
        for number, what in self._acting(Ablate, step):
            if what.frequencies == "newest":
                self._frequencies[number] = self._with_newest(self._frequencies[number], parameters.weights)

    def examples(self, step: int) -> Examples:
        """What is trained on and tested at a step; the same object as long as it is the same."""
        data: dict[int, TrainOn | SwapLabels] = dict(self._acting(TrainOn, step, before=True))
        data |= dict(self._acting(SwapLabels, step, before=True))
        key = tuple(sorted(data))
        if key not in self._known:
            found = self._base
            for number in key:
                what = data[number]
                found = with_pairs(found, what) if isinstance(what, TrainOn) else with_swapped_labels(found, what)
            self._known[key] = found
        return self._known[key]

    def optimizer(self, step: int, *, before: bool = False) -> OptimizerConfig:
        """The optimizer's fields in the update at a step; `before`: as far as they are known when its gradient is computed."""
        given = {what.field: what.value for _, what in self._acting(SetField, step, before=before)}
        return replace(self._config.optimizer, **given) if given else self._config.optimizer

    @torch.no_grad()
    def update(self, engine: Engine, step: int) -> None:
        """One update with everything that acts at its step."""
        mine, parameters = self.optimizer(step), engine.parameters
        engine.use(replace(mine, loss=self.optimizer(step, before=True).loss))
        with torch_threads(engine.threads):
            self._change_gradient(parameters, step, mine.loss)
        scaled = [what for _, what in self._acting(ScaleTensor, step) if what.factor != 1]
        decayed = [what for _, what in self._acting(DecayTensor, step) if what.decay != mine.weight_decay]
        tensors = parameters.weights.tensors()
        before = copies_of(tensors, {*(what.tensor for what in scaled), *(what.tensor for what in decayed)})
        lr = mine.lr * warmup_factor(int(engine.state()["updates"]), mine.warmup_steps) if decayed else 0.0
        engine.update()
        with torch_threads(1):
            for what in decayed:
                decay_otherwise_(tensors[what.tensor], before[what.tensor], lr=lr, own=mine.weight_decay, other=what.decay)
            for one in scaled:
                scale_update_(tensors[one.tensor], before[one.tensor], one.factor)
            self._change_weights(parameters, step)

    def state(self) -> dict[str, Tensor]:
        """What resuming needs: when each change began, at which norm, with which frequencies."""
        found = {f"frequencies.{number}": torch.tensor(ks) for number, ks in self._frequencies.items()}
        return {"began": torch.tensor(self._began), "norms": torch.tensor(self._norms, dtype=torch.float64), **found}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved `state`; one of a run without changes has none."""
        if "began" not in state:
            return
        self._began, self._norms = state["began"].tolist(), state["norms"].tolist()
        for name, tensor in state.items():
            if name.startswith("frequencies."):
                self._frequencies[int(name.removeprefix("frequencies."))] = tuple(tensor.tolist())

    def _begin(self, number: int, step: int, parameters: Parameters) -> None:
        if self._began[number] != _NOT_YET:
            return
        with torch_threads(1):
            self._norms[number] = float(parameters.flat.norm())
        if number not in self._frequencies and isinstance(self._schedule[number].what, Ablate):
            self._frequencies[number] = self._keys(step, parameters.weights)
        self._began[number] = step

    def _keys(self, step: int, weights: Weights) -> tuple[int, ...]:
        found, most = self._passing(weights)
        if not measures.stand_out(len(found), most):
            raise UsageError(
                f"changes: keys at step {step}: {len(found)} of {most} frequencies pass the rule, so that none "
                "stands out; begin later, or name the frequencies"
            )
        return found

    def _with_newest(self, before: tuple[int, ...], weights: Weights) -> tuple[int, ...]:
        """The frequencies taken out until now and those that stand out now; one is always left."""
        found, most = self._passing(weights)
        if not measures.stand_out(len(found), most):
            return before
        return tuple(dict.fromkeys([*before, *found]))[: most - 1]

    def _passing(self, weights: Weights) -> tuple[tuple[int, ...], int]:
        """The frequencies that pass the rule, and how many there are."""
        harmonics = self._config.task.harmonics
        assert harmonics is not None  # such tasks are refused
        found = measures.key_frequencies_from_matrix(weights.W_L, harmonics=harmonics)
        return tuple(int(k) for k in found), len(harmonics.names)

    def _acting(self, kind: type[W], step: int, *, before: bool = False) -> Iterator[tuple[int, W]]:
        """The changes of a kind that act at a step; `before`: when its gradient is computed and no phase is found there yet."""
        for number, change in enumerate(self._schedule):
            what: What = change.what
            last = step - 1 if before and isinstance(change.start, str) else step
            has_begun = _NOT_YET < self._began[number] <= last
            if isinstance(what, kind) and has_begun and (change.until is None or step < change.until):
                yield number, what

    def _change_gradient(self, parameters: Parameters, step: int, loss: str) -> None:
        examples, device = self.examples(step), parameters.flat.device
        rows = torch.from_numpy(examples.train).to(device)
        for number, what in self._acting(Ablate, step):
            if what.site == "neurons" and what.share and self._frequencies[number]:
                labels = torch.from_numpy(examples.labels[examples.train]).to(device)
                take_out_of_neurons_(parameters, self._frequencies[number], share=what.share, rows=rows, labels=labels, loss=loss)
        for _, penalty in self._acting(Symmetry, step):
            if penalty.strength:
                pairs = torch.from_numpy(self._config.task.pairs[examples.train]).to(device)
                add_symmetry_(parameters, pairs, penalty.strength)
        for _, noise in self._acting(GradientNoise, step):
            if noise.sigma:
                add_noise_(parameters, noise.sigma, seed=noise.seed, step=step)

    def _change_weights(self, parameters: Parameters, step: int) -> None:
        for number, what in self._acting(Ablate, step):
            if what.site != "neurons" and what.share and self._frequencies[number]:
                take_out_(parameters.weights, self._frequencies[number], site=what.site, share=what.share)
        for number, clamp in self._acting(ClampNorm, step):
            wanted = clamp.rho * (self._norms[number] if clamp.of is None else clamp.of)
            parameters.flat.mul_(wanted / float(parameters.flat.norm()))


def _drawn(named: tuple[int, ...] | RandomSet | str, p: int) -> tuple[int, ...]:
    """The frequencies of a list, or those of a control."""
    if isinstance(named, tuple):
        return named
    assert isinstance(named, RandomSet)
    drawn = np.random.Generator(np.random.PCG64(named.seed)).permutation(p // 2)[: named.number] + 1
    return tuple(sorted(int(k) for k in drawn))
