"""A run on disk without training: its content is what tests plant in it."""

from __future__ import annotations

from pathlib import Path

from interp.config.run_config import RunConfig
from interp.store.beginning import begin
from interp.tasks.splits import Split
from interp.training.stream import Plan


def begin_planted(
    path: Path, config: RunConfig, *, n_parameters: int = 1, split: Split | None = None, kind: str = "one-layer"
) -> None:
    """Begin a run at a path that is held for writing; its split is the config's unless another is given."""
    saved = config.checkpoints.steps(config.steps)
    drawn = split or config.split.draw(config.task)
    begin(path, Plan(config, config.task, drawn, config.steps, saved, kind, n_parameters, "planted", 1), provenance={})
