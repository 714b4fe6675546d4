"""A small run to record, all that it leaves on the disk, and a hook into the middle of its training."""

from __future__ import annotations

import json

from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.tasks.modular import ModularTask
from interp.training import loop

CONFIG = RunConfig(
    task=ModularTask(p=11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=4, every=10),
    steps=35,
    evaluate_every=6,
    engine="reference",
    threads=1,
)


def content(run):
    """Every byte of a run except its log, which has times in it."""
    return {
        p.relative_to(run.path).as_posix(): p.read_bytes() for p in run.path.rglob("*") if p.is_file() and p.name != "log.jsonl"
    }


def events(run):
    return [json.loads(line)["event"] for line in (run.path / "log.jsonl").read_text().splitlines()]


def at_step(monkeypatch, wanted, action):
    """Do something when training has computed a given step, before it is saved."""
    original = loop.Training._step

    def step(training, train_loss):
        found = original(training, train_loss)
        if found.index == wanted:
            action()
        return found

    monkeypatch.setattr(loop.Training, "_step", step)
