"""The doctor at the bedside: small runs that are trained with one thing wrong, and a healthy one; what the command says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patients import mirrored

import interp
from interp import CheckpointConfig, ModularTask, SplitConfig, binary_operation, diagnose, recipe
from interp.cli.entry import main
from interp.errors import TrainingError

DEMO = recipe("demo")
# Settings that grok within 1,500 steps.
HEALTHY = replace(
    DEMO,
    task=ModularTask(29),
    split=replace(DEMO.split, fraction=0.7),
    optimizer=replace(DEMO.optimizer, weight_decay=3.0),
    checkpoints=CheckpointConfig(log=0, every=50),
    steps=1500,
    threads=1,
    until_settled=False,
)


class StopsAt:
    """A watch that has seen enough at a step."""

    stop: str | None = None

    def __init__(self, step: int) -> None:
        self.at = step

    def begin(self, run: interp.Run) -> None:
        """Nothing is needed of what was before."""

    def see(self, step: interp.Step, *, is_saved: bool) -> None:  # noqa: ARG002  as `record` calls it
        self.stop = "enough" if step.index >= self.at else None

    def ahead(self, step: int, speed: float) -> str:  # noqa: ARG002  as the bar calls it
        return ""


def table(p: int) -> interp.TableTask:
    return binary_operation("dealt out", np.random.default_rng(0).integers(0, p, (p, p)))


PLANTED = {
    "weight decay": {"optimizer": replace(HEALTHY.optimizer, weight_decay=0.0)},
    "too few pairs": {"split": replace(HEALTHY.split, fraction=0.3)},
    "budget": {"steps": 200},
    "no structure": {"task": table(29)},
    "learning rate": {"optimizer": replace(HEALTHY.optimizer, lr=0.2), "steps": 500},
    "initial scale": {"model": replace(HEALTHY.model, init_scale=0.02)},
    "precision": {"optimizer": replace(HEALTHY.optimizer, eps=0.02), "steps": 500},
}


def trained(root: Path, **changes: object) -> interp.Run:
    try:
        return interp.record(replace(HEALTHY, **changes), root, "run", progress=False)
    except TrainingError:
        return interp.open_run(root / "run")


@pytest.mark.parametrize("cause", PLANTED)
def test_a_run_with_one_thing_wrong_has_it_named_first(cause, tmp_path):
    run = trained(tmp_path, **PLANTED[cause])
    found = diagnose(run)
    assert found.state != "grokked"
    assert found.cause == cause, str(found)


def test_a_healthy_run_gets_no_advice_neither_half_way_nor_at_its_end(tmp_path):
    assert diagnose(HEALTHY).findings == ()
    half = interp.record(HEALTHY, tmp_path, "run", progress=False, watch=StopsAt(300))
    assert (half.status, diagnose(half).state, diagnose(half).findings) == ("interrupted", "memorized", ())
    whole = interp.resume(half.path, progress=False)
    assert (whole.status, diagnose(whole).state, diagnose(whole).findings) == ("finished", "grokked", ())


def test_a_leaking_split_is_seen_in_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(SplitConfig, "draw", lambda _, task: mirrored(task.p))
    assert diagnose(trained(tmp_path, steps=100)).cause == "split leaks"


def test_the_command_says_it_of_a_run_by_its_name(tmp_path, capsys):
    run = trained(tmp_path, **PLANTED["weight decay"])
    assert diagnose(run.path) == diagnose(str(run.path)) == diagnose(run)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "run", "--root", str(tmp_path)])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("run: memorized at step")
    assert "1. weight decay (almost certain: 0.98)" in said
    with pytest.raises(SystemExit):
        main(["doctor", str(tmp_path / "run"), "--json"])
    assert json.loads(capsys.readouterr().out)["cause"] == "weight decay"
