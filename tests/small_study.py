"""A study that is trained in seconds: eight runs of a dozen steps, modulo 7, by the reference engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from interp import CheckpointConfig, ModelConfig, ModularTask, RunConfig, Study, recipe

MEASURES = ("progress_measures", "weight_norms")


def small_base(**changes: Any) -> RunConfig:
    """A configuration whose runs take a fraction of a second."""
    base = replace(
        recipe("demo"),
        task=ModularTask(p=7),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=16),
        checkpoints=CheckpointConfig(log=4, every=5),
        steps=12,
        evaluate_every=1,
        until_settled=False,
        engine="reference",
    )
    return replace(base, **changes)


def small_study(root: Path, **changes: Any) -> Study:
    """The study, not yet begun."""
    settings: dict[str, Any] = {
        "vary": {"optimizer.weight_decay": [0.5, 1.0], "split.fraction": [0.4, 0.8]}, "seeds": range(2), "name": "small",
        "measures": MEASURES,
    }  # fmt: skip
    return Study(**{"base": small_base(), "root": root, **settings, **changes})


def in_turn(runs: Any, job: Any) -> Any:
    """An executor: one run after the other in this process."""
    for number, config in runs.items():
        try:
            yield number, job(config)
        except Exception as error:
            yield number, error


def run_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a run but its log, which has times, and its lock."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in ("log.jsonl", ".lock")}
