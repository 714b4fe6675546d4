"""Anyone's training as a run: recorded, interrupted, resumed bit for bit, verified, opened without its code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_loop import Loop, Perceptron, perceptron

from interp import ModularTask, Run, RunConfig, Step, TableTask, Training, binary_operation, open_run, record, resume
from interp.cli.looking import runs as print_runs
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import DataError, TrainingError, UsageError
from interp.keeping import session
from interp.observing.summary import summary
from interp.reporting.card import card

# A table that is no binary operation: three tokens, with an answer in 0..3.
TASK = TableTask(
    "how many even", np.array([[a, b, c] for a in range(4) for b in range(4) for c in range(4)]),
    np.array([(a % 2 == 0) + (b % 2 == 0) + (c % 2 == 0) for a in range(4) for b in range(4) for c in range(4)]),
    n_tokens=4, classes=4,
)  # fmt: skip


def content(run: Run) -> dict[str, bytes]:
    """Every byte of a run except its log, which has times in it."""
    files = (path for path in run.path.rglob("*") if path.is_file() and path.name != "log.jsonl")
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in files}


def at(index: int, action: Callable[[], Any]) -> Callable[[Step[Perceptron]], Step[Perceptron]]:
    """Does something when a loop is about to yield a step."""

    def change(step: Step[Perceptron]) -> Step[Perceptron]:
        if step.index == index:
            action()
        return step

    return change


def interrupted(root: Path, index: int) -> None:
    with pytest.raises(KeyboardInterrupt, match="record the same stream again"):
        record(Loop(TASK, change=at(index, lambda: signal.raise_signal(signal.SIGINT))), root, "run", progress=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the loop that was never interrupted."""
    return record(Loop(TASK), tmp_path_factory.mktemp("whole"), "run", progress=False)


def test_what_is_saved_is_what_was_yielded(whole: Run) -> None:
    opened = open_run(whole.path, perceptron)
    assert (opened.status, opened.reason, opened.kind, opened.steps) == ("finished", "budget", "perceptron", (0, 5, 10, 15, 20))
    for step in Loop(TASK):
        assert opened.history.sel(step=step.index)["train_loss"].item() == step.train_loss
        if step.index % 5 == 0:
            checkpoint = opened[step.index]
            with pytest.raises(UsageError, match="needs a one-layer transformer"):
                _ = checkpoint.weights
            assert isinstance(checkpoint.network, Perceptron)
            for name, tensor in step.weights.tensors().items():
                assert torch.equal(checkpoint.network.tensors()[name], tensor)
            mine, theirs = (network.activations(TASK.inputs)["logits"] for network in (checkpoint.network, step.weights))
            assert torch.equal(mine, theirs)
        if step.index == 20:
            break
    assert opened.verify() == ()


def test_a_run_opens_with_none_of_its_code(whole: Run) -> None:
    code = "import sys, interp; run = interp.open_run(sys.argv[1]); print(run.task.digest, run[5].network.kind, run.verify())"
    done = subprocess.run([sys.executable, "-c", code, str(whole.path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [TASK.digest, "perceptron", "()"]
    assert whole.task == TASK
    assert dict(whole.settings) == {"seed": 0, "width": 12, "lr": 0.2}
    assert (whole.budget, whole.may_end_early, whole.is_imported) == (20, False, False)
    network = whole[5].network
    assert network.facts() == {"slope": 0.1}
    with pytest.raises(UsageError, match=r"its function is not stored.*open_run\(path, network="):
        network.activations(TASK.inputs)
    with pytest.raises(DataError, match=r"has no RunConfig; run\.settings"):
        _ = whole.config


def test_networks_are_made_by_kind(whole: Run) -> None:
    assert isinstance(open_run(whole.path, {"perceptron": perceptron})[0].network, Perceptron)
    assert not isinstance(open_run(whole.path, {"other": perceptron})[0].network, Perceptron)
    other = type("Other", (), {"kind": "other"})
    with pytest.raises(DataError, match="makes networks of kind 'other', but 'perceptron' is stored"):
        open_run(whole.path, lambda tensors, facts: other())[0]


def test_two_recordings_have_equal_bytes_and_a_finished_one_is_returned(whole: Run, tmp_path: Path) -> None:
    assert content(record(Loop(TASK), tmp_path, "run", progress=False)) == content(whole)
    untouched = Loop(TASK, change=lambda step: pytest.fail("trained again"))
    assert record(untouched, tmp_path, "run", progress=False).steps == whole.steps
    assert resume(tmp_path / "run").steps == whole.steps


@pytest.mark.parametrize("index", [0, 1, 10, 13, 19])
def test_an_interruption_changes_no_byte(whole: Run, tmp_path: Path, index: int) -> None:
    interrupted(tmp_path, index)
    stopped = open_run(tmp_path / "run")
    assert (stopped.status, stopped.manifest.step, stopped.verify()) == ("interrupted", index, ())
    with pytest.raises(UsageError, match="kind 'perceptron', which this toolkit cannot make"):
        resume(tmp_path / "run")
    assert content(record(Loop(TASK), tmp_path, "run", progress=False)) == content(whole)


def test_a_killed_loop_is_resumed_bit_for_bit(whole: Run, tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from foreign_loop import Loop
from test_stream import TASK, at
from interp import record
from interp.keeping import session
session.COMMIT_SECONDS, session.COMMIT_SHARE = 0.0, float("inf")
record(Loop(TASK, change=at(12, lambda: os.kill(os.getpid(), signal.SIGKILL))), sys.argv[1], "run", progress=False)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    assert open_run(tmp_path / "run").manifest.step == 11
    assert content(record(Loop(TASK), tmp_path, "run", progress=False)) == content(whole)


def test_a_loop_that_goes_on_otherwise_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path, 9)
    before = content(open_run(tmp_path / "run"))
    other = Loop(TASK, change=lambda step: replace(step, train_loss=float(np.nextafter(step.train_loss, 9))))
    with pytest.raises(DataError, match=r"cannot go on here: .*\"step\": 9.*recorded"):
        record(other, tmp_path, "run", progress=False)
    forgets = Loop(TASK)
    forgets.load = lambda state: None  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="continued at step 0, expected 9: after load"):
        record(forgets, tmp_path, "run", progress=False)
    assert content(open_run(tmp_path / "run")) == before


def test_another_plan_is_refused_field_by_field(whole: Run) -> None:
    root = whole.path.parent
    message = r"another plan \(settings\.seed: given 1, recorded 0; settings\.width: given 13, recorded 12; n_parameters"
    with pytest.raises(UsageError, match=message):
        record(Loop(TASK, seed=1, width=13), root, "run", progress=False)
    with pytest.raises(UsageError, match=r"task\.table: given 'xor'.*split\.train"):
        record(Loop(binary_operation("xor", [[0, 1], [1, 0]])), root, "run", progress=False)
    with pytest.raises(UsageError, match="recorded from a training of kind 'perceptron'"):
        record(RunConfig(), root, "run", progress=False)
    with pytest.raises(UsageError, match="a stream has no recipe"):
        record(Loop(TASK), root)


def test_a_loop_may_end_early_if_it_says_so(tmp_path: Path) -> None:
    ends = Loop(TASK, change=lambda step: replace(step, last=step.index == 7))
    run = record(ends, tmp_path, "run", progress=False)
    assert (run.status, run.reason, run.steps[-1], run.verify()) == ("finished", "ended", 7, ())
    silent = Loop(TASK, change=lambda step: step if step.index < 7 else None)
    with pytest.raises(UsageError, match=r"ended after step 6, before its budget of 20 .*last=True"):
        record(silent, tmp_path, "silent", progress=False)
    assert open_run(tmp_path / "silent").manifest.step == 6


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    loop = Loop(TASK, change=lambda step: replace(step, train_loss=float("nan")) if step.index == 8 else step)
    with pytest.raises(TrainingError, match="not finite since step 8"):
        record(loop, tmp_path, "run", progress=False)
    run = open_run(tmp_path / "run")
    assert (run.status, run.reason, run.manifest.step, run.verify()) == ("stopped", "non-finite", 7, ())


def wider(step: Step[Perceptron]) -> Step[Perceptron]:
    """From step 5 on, a network whose tensors have other shapes but as many numbers."""
    named = {**step.weights.tensors(), "in": step.weights.tensors()["in"].T}
    return replace(step, weights=Perceptron(named, 0.1)) if step.index >= 5 else step


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda step: None, "yielded no step"),
        (lambda step: replace(step, index=3), "given step 3, expected one >= 4: steps must ascend"),
        (wider, r"step 5: tensor 'in': given \(12, 18\), expected \(18, 12\)"),
        (lambda step: replace(step, weights=Perceptron({"in": torch.zeros(2)}, 0.1)), "with 2 parameters, expected kind"),
        (lambda step: replace(step, weights=Perceptron(step.weights.tensors(), 1j)), "facts that are JSON values"),
    ],
)
def test_what_is_no_stream_is_named(tmp_path: Path, change: Callable[[Step[Perceptron]], Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        record(Loop(TASK, change=change), tmp_path, "run", progress=False)


@pytest.mark.parametrize(
    ("state", "message"), [({"index": 3}, "'index' is int, expected a tensor"), ([], "given list, expected tensors by name")]
)
def test_a_state_that_is_not_tensors_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: object, message: str
) -> None:
    monkeypatch.setattr(session, "COMMIT_SECONDS", 0.0)
    loop = Loop(TASK)
    loop.state = lambda: state  # type: ignore[method-assign]
    with pytest.raises(UsageError, match=message):
        record(loop, tmp_path, "run", progress=False)


def test_settings_that_are_not_json_are_named(tmp_path: Path) -> None:
    loop = Loop(TASK)
    loop.plan = replace(loop.plan, settings={"lr": torch.zeros(1)})
    with pytest.raises(UsageError, match="cannot be stored as JSON"):
        record(loop, tmp_path, "run", progress=False)


def test_damage_is_found_and_says_where(whole: Run, tmp_path: Path) -> None:
    run = record(Loop(TASK), tmp_path, "run", progress=False)
    assert {"task.safetensors", "moments/step_00000010.safetensors"} <= run.manifest.files.keys()
    for name in ("task.safetensors", "moments/step_00000010.safetensors", "checkpoints/step_00000005.safetensors"):
        good = (run.path / name).read_bytes()
        (run.path / name).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert {problem.file for problem in open_run(run.path).verify()} == {name}
        (run.path / name).write_bytes(good)
    (run.path / "moments" / "step_00000011.safetensors").write_bytes(b"")
    assert [str(problem) for problem in run.verify()] == ["moments/step_00000011.safetensors: surplus: not a file of this run"]


def test_what_shows_runs_shows_this_one(whole: Run, capsys: pytest.CaptureFixture[str]) -> None:
    facts = whole.facts()
    assert (facts["recipe"], facts["seed"], facts["p"], facts["operation"]) == (None, None, None, "how many even")
    assert summary(whole)["settings"] == {"seed": 0, "width": 12, "lr": 0.2}
    print_runs(root=whole.path.parent, json_output=True)
    assert "how many even" in capsys.readouterr().out
    assert "how many even" in card(whole)


def test_a_training_is_a_stream_like_others(tmp_path: Path) -> None:
    config = RunConfig(
        task=ModularTask(7), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8), checkpoints=CheckpointConfig(log=2, every=5),
        steps=10, engine="reference", threads=1,
    )  # fmt: skip
    by_config = record(config, tmp_path, "config", progress=False)
    by_stream = record(Training(config), tmp_path, "stream", progress=False)
    assert by_stream.config == config
    assert content(by_stream) == content(by_config)
