"""Runs whose history is planted: what became of them is known. Their first and last checkpoints are a clock or a lookup table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from begun import begin_planted

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.store.run import open_run
from interp.store.writer import RunWriter, writing
from interp.synthetic import clock_weights, lookup_weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

P, KEYS, LAST = 13, (2, 3), 5_000
SPLIT = SplitConfig(fraction=0.5, seed=3)
STEPS = np.arange(0, LAST + 1, 100)


def _risen(at: int) -> np.ndarray:
    return np.where(at <= STEPS, 1.0, 0.05)


# Train and test accuracy at `STEPS`.
HISTORIES = {
    "clock": (_risen(200), _risen(3_000)),
    "together": (_risen(200), _risen(300)),
    "memorizer": (_risen(200), np.full(len(STEPS), 0.05)),
    "nothing": (np.full(len(STEPS), 0.2), np.full(len(STEPS), 0.05)),
    "lost": (_risen(200), np.where((STEPS >= 3_000) & (STEPS < 4_800), 1.0, 0.05)),
    "dipping": (_risen(200), np.where((STEPS >= 3_000) & (STEPS != 4_000), 1.0, 0.05)),
}


def planted_history(root: Path, kind: str, *, end: int | None = LAST) -> interp.Run:
    """A run of one of `HISTORIES`, finished, or interrupted at a step.

    Args:
        end: its last step; of another than `LAST` the run is unfinished.
    """
    task = ModularTask(P)
    table = kind in ("memorizer", "nothing")
    weights = lookup_weights(P, SPLIT.draw(task).train, amplitude=30.0) if table else clock_weights(P, KEYS, amplitude=20.0)
    config = RunConfig(
        task=task, split=SPLIT, model=ModelConfig(d_model=weights.d_model, n_heads=weights.n_heads, d_mlp=weights.d_mlp),
        checkpoints=CheckpointConfig(log=0, every=LAST), steps=LAST, engine="reference", threads=1,
    )  # fmt: skip
    train, test = HISTORIES[kind]
    path = root / kind
    with writing(path):
        begin_planted(path, config, n_parameters=weights.n_parameters)
        writer = RunWriter(path)
        for i, step in enumerate(STEPS[end >= STEPS]):
            if step in (0, end):
                writer.save(int(step), weights)
            curves = {"train_loss": 5 * (1.01 - train[i]), "test_loss": 5 * (1.01 - test[i])}
            right = {"train_accuracy": train[i], "test_accuracy": test[i], "sum_squared_weights": 100.0}
            writer.add_history(int(step), {name: float(value) for name, value in (curves | right).items()})
        if end == LAST:
            writer.finish(LAST, status="finished", reason="budget")
        else:
            writer.commit(end, {}, status="interrupted")
    return open_run(path)
