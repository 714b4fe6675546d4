"""Test loss and accuracy of many networks of one shape: by the fast engine where it can and there are many, else by tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue

import numpy as np
import torch
from torch import Tensor

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.losses import cross_entropy
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_logits
from interp.store.run import Run
from interp.tasks.splits import Split
from interp.training.choice import cpu_config, make_engine
from interp.training.engine import Engine
from interp.training.examples import Examples

Score = Callable[[Weights], tuple[float, float]]
# Pairs of all networks together from which on the engine, whose beginning takes seconds, is the faster one.
WORTH_IT = 2_000_000


def scorer(run: Run, like: Weights, *, networks: int) -> Score:
    """A function from a network to its test loss (nats, over the task's answers) and test accuracy; several threads may call it.

    Args:
        run: whose test pairs are asked.
        like: a network of the shape of all of them.
        networks: how many there will be.
    """
    config = _config(run, like) if networks * len(run.task.labels) >= WORTH_IT else None
    return by_tables(run) if config is None else by_engine(run, config)


def by_tables(run: Run) -> Score:
    """The same from the logits of all pairs."""
    labels, test = torch.from_numpy(run.task.labels), torch.from_numpy(_split(run).test)

    def score(weights: Weights) -> tuple[float, float]:
        logits, answers = pair_logits(weights)[test], labels[test]
        return float(cross_entropy(logits, answers).double().mean()), float((logits.argmax(dim=1) == answers).double().mean())

    return score


def by_engine(run: Run, config: RunConfig) -> Score:
    """The same by the CPU engine's passes over the test pairs: one engine for each thread that asks at the same time."""
    split = _split(run)
    examples = Examples(split.train[:1], np.sort(split.test), run.task.labels)  # trained on is nothing
    idle: SimpleQueue[Engine] = SimpleQueue()

    def score(weights: Weights) -> tuple[float, float]:
        try:
            engine = idle.get_nowait()
        except Empty:
            engine = make_engine(config, examples)
        there = engine.parameters.weights.tensors()
        for name, tensor in weights.tensors().items():
            there[name].copy_(_of_answers(name, tensor, config.task.classes))
        found = engine.evaluate()
        idle.put(engine)
        return found.test_loss, found.test_accuracy

    return score


def _split(run: Run) -> Split:
    """The pairs that are tested: of a run whose pairs were changed, those of its last step."""
    return run.split_at(run.steps[-1])


def _of_answers(name: str, tensor: Tensor, classes: int) -> Tensor:
    """A tensor without the class of ``=``, if there is one."""
    return tensor[..., :classes] if name in ("W_U", "b_U") else tensor


def _config(run: Run, like: Weights) -> RunConfig | None:
    """What the engine needs to know of the networks; None if it cannot do it."""
    if not run.has_config:
        return None
    model = replace(run.config.model, equals_class=False)
    return cpu_config(replace(run.config, model=model, optimizer=OptimizerConfig(loss="cross_entropy"), changes=()), like)
