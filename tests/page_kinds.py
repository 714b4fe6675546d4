"""Runs of many kinds, planted: what each of them can do is known, because its weights were made to do it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from begun import begin_planted
from foreign import legacy_state_by_hand

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.interop import Known
from interp.losses import correct, cross_entropy
from interp.networks.one_layer import Weights, forward
from interp.store.run import open_run
from interp.store.writer import RunWriter, writing
from interp.synthetic import clock_weights, lookup_weights, mixture_weights, pizza_weights
from interp.tasks.modular import ModularTask, Operation
from interp.tasks.splits import SplitConfig

P, KEYS = 13, (2, 5)
SPLIT = SplitConfig(fraction=0.5, seed=3)
EVERY = 500

Model = Callable[[], Weights]


def table(p: int = P, operation: Operation = "add") -> Weights:
    """The training pairs by heart, and of the others whatever came first."""
    train = SPLIT.draw(ModularTask(p, operation)).train
    return lookup_weights(p, train, amplitude=30.0, seed=0, operation=operation)


def clock(p: int = P, keys: Sequence[int] = KEYS) -> Weights:
    return clock_weights(p, keys, amplitude=20.0)


def between(dial: float, p: int = P, keys: Sequence[int] = KEYS) -> Weights:
    """Both at once: a table at 0, a clock at 1."""
    return mixture_weights(dial, table(p), clock(p, keys))


def silent(model: Weights) -> Weights:
    """The same network with logits that are all 0: before any training."""
    tensors = model.tensors()
    return Weights.from_tensors({**tensors, "W_U": torch.zeros_like(tensors["W_U"])})


def scores(model: Weights, task: ModularTask) -> dict[str, float]:
    """Loss and accuracy on train and test pairs."""
    logits, labels, split = forward(model, task.pairs).logits, torch.from_numpy(task.labels), SPLIT.draw(task)
    found = {}
    for part in ("train", "test"):
        index = torch.from_numpy(getattr(split, part))
        found[f"{part}_loss"] = float(cross_entropy(logits[index], labels[index]).mean())
        found[f"{part}_accuracy"] = float(correct(logits[index], labels[index]).double().mean())
    return found


def wider(model: Weights) -> Weights:
    """The same function with heads as wide as their share of the residual stream, as a configuration has them."""
    more = model.d_model // model.n_heads - model.d_head
    tensors = model.tensors()
    for name in ("W_Q", "W_K", "W_V", "b_Q"):
        tensors[name] = torch.nn.functional.pad(tensors[name], (0, more))
    # Scores are divided by the root of a head's width.
    for name in ("W_Q", "b_Q"):
        tensors[name] = tensors[name] * ((model.d_head + more) / model.d_head) ** 0.5
    tensors["W_O"] = torch.nn.functional.pad(tensors["W_O"], (0, 0, 0, more))
    return Weights.from_tensors(tensors)


@dataclass(frozen=True)
class Kind:
    """A run to plant: its models in their order, `EVERY` steps apart, and how it was trained and ended."""

    models: Sequence[Model]
    operation: Operation = "add"
    p: int = P
    weight_decay: float = 1.0
    every: int = EVERY
    status: str = "finished"

    @property
    def task(self) -> ModularTask:
        return ModularTask(self.p, self.operation, equals_sign=self.models[-1]().equals_sign)


def grows(p: int = P, keys: Sequence[int] = KEYS) -> list[Model]:
    """A table first, then a clock that grows in it."""
    return [lambda: silent(between(0.0, p, keys)), *(partial(between, dial, p, keys) for dial in (0.0, 0.1, 0.25, 0.6, 1.0))]


def remembers(p: int = P, operation: Operation = "add") -> list[Model]:
    return [lambda: silent(table(p, operation)), *([partial(table, p, operation)] * 3)]


def pizza() -> list[Model]:
    made = partial(pizza_weights, P, KEYS, amplitude=20.0)
    return [lambda: silent(made()), *([made] * 3)]


KINDS: dict[str, Kind] = {
    "grokked": Kind(grows()),
    "grokked without decay": Kind(grows(), weight_decay=0.0),
    "memorizer": Kind(remembers()),
    "memorizer without decay": Kind(remembers(), weight_decay=0.0),
    "at once": Kind([lambda: silent(clock()), *([clock] * 3)], every=100),
    "slow": Kind(grows()[:3], status="running"),
    "broken off": Kind([lambda: silent(table())] * 2, status="stopped"),
    "one checkpoint": Kind([clock]),
    "multiplication": Kind(remembers(operation="multiply"), operation="multiply"),
    "x2xyy2": Kind(remembers(operation="x2xyy2"), operation="x2xyy2"),
    "pizza": Kind(pizza()),
    "even p": Kind(grows(12, (1, 5)), p=12),
}


def planted(kind: Kind, path: Path) -> interp.Run:
    """A run of this kind on disk; one that is being trained is told apart by its facts, see `training`."""
    models = [model().to(dtype=torch.float32) for model in kind.models]
    first, steps = models[0], [kind.every * i for i in range(len(models))]
    config = RunConfig(
        task=kind.task,
        split=SPLIT,
        model=ModelConfig(d_model=first.d_model, n_heads=first.n_heads, d_mlp=first.d_mlp, attention_rate=first.attention_rate),
        optimizer=OptimizerConfig(weight_decay=kind.weight_decay),
        checkpoints=CheckpointConfig(log=0, every=kind.every),
        steps=max(steps[-1], 1),
        engine="reference",
        threads=1,
    )
    with writing(path):
        begin_planted(path, config, n_parameters=first.n_parameters)
        writer = RunWriter(path)
        for step, model in zip(steps, models, strict=True):
            writer.save(step, model)
            writer.add_history(step, scores(model, kind.task))
        if kind.status == "running":
            writer.commit(steps[-1], {}, status="running")
        else:
            writer.finish(steps[-1], status=kind.status, reason="non-finite" if kind.status == "stopped" else "budget")
    return open_run(path)


def imported(folder: Path) -> interp.Run:
    """One model, a clock, and a log that has losses only."""
    source = folder / "source"
    source.mkdir()
    torch.save(legacy_state_by_hand(wider(clock()).to(dtype=torch.float32)), source / "model.pth")
    with (source / "model.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "train_loss", "test_loss"])
        rows.writerows(zip(range(0, 2500, 500), (2.6, 1e-3, 1e-4, 1e-5, 1e-6), (2.6, 9.0, 8.0, 1.0, 1e-4), strict=True))
    known = Known(split=SPLIT, steps=(2000,), log=source / "model.csv", trust_split=True)
    return interp.import_run(source / "model.pth", root=folder / "runs", name="imported", known=known)
