"""Given models as a run on disk, without training."""

from __future__ import annotations

from pathlib import Path

from begun import begin_planted

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.networks.one_layer import Weights
from interp.store.run import open_run
from interp.store.writer import RunWriter, writing
from interp.tasks.modular import ModularTask, Operation
from interp.tasks.splits import SplitConfig

STEPS = (0, 20)


def saved(path: Path, weights: list[Weights], operation: Operation = "add") -> interp.Run:
    """Models as the checkpoints of a run."""
    first = weights[0]
    config = RunConfig(
        task=ModularTask(first.p, operation, equals_sign=first.equals_sign),
        split=SplitConfig(fraction=0.5),
        model=ModelConfig(d_model=first.d_model, n_heads=first.n_heads, d_mlp=first.d_mlp, attention_rate=first.attention_rate),
        checkpoints=CheckpointConfig(log=0, every=20),
        steps=STEPS[-1],
        engine="reference",
        threads=1,
    )
    with writing(path):
        begin_planted(path, config, n_parameters=first.n_parameters)
        writer = RunWriter(path)
        for step, one in zip(STEPS, weights, strict=True):
            writer.save(step, one)
            writer.add_history(step, dict.fromkeys(("train_loss", "test_loss", "train_accuracy", "test_accuracy"), 1.0))
        writer.finish(STEPS[-1], status="finished", reason="budget")
    return open_run(path)
