"""Runs of a GPU batch as runs of their own, on the CPU, where a batch computes the same without graphs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp import ModularTask, Run, RunConfig, open_run, record, record_batch
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig
from interp.errors import TrainingError, UsageError
from interp.keeping import session
from interp.store.writer import writing
from interp.training import loop
from interp.training.lockstep import rounds
from interp.training.loop import Training
from interp.training.stacked.graphs import GraphedRuns

BASE = RunConfig(
    task=ModularTask(11),
    model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=3, every=10, moments=(10,)),
    steps=30,
    evaluate_every=7,
    dtype="float64",
)
OPTIMIZERS = [
    OptimizerConfig(warmup_steps=5),
    OptimizerConfig(lr=3e-3, grokfast_lambda=2.0),
    OptimizerConfig(norm_constraint=True),
]
MEMBERS = [replace(BASE, seed=seed, optimizer=optimizer) for seed, optimizer in enumerate(OPTIMIZERS)]
NAMES = ["one", "two", "three"]


def content(run: Run) -> dict[str, bytes]:
    """Every byte of a run except its log, which has times in it."""
    files = (path for path in run.path.rglob("*") if path.is_file() and path.name != "log.jsonl")
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in files}


def assert_equal_to_rounding(run: Run, other: Run) -> None:
    assert run.steps == other.steps
    for step in run.steps:
        for name, tensor in run[step].weights.tensors().items():
            torch.testing.assert_close(tensor, other[step].weights.tensors()[name], rtol=1e-6, atol=1e-8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A batch that was never interrupted."""
    return record_batch(MEMBERS, tmp_path_factory.mktemp("whole"), NAMES, progress=False)


def at_step(monkeypatch: pytest.MonkeyPatch, wanted: int, *, seed: int, received: int = signal.SIGINT) -> None:
    """A signal in the middle of a round: when one of the runs computes a given step."""
    original = loop.Training._step

    def step(training: Training, train_loss: float) -> object:
        found = original(training, train_loss)
        if found.index == wanted and training.config.seed == seed:
            signal.raise_signal(received)
        return found

    monkeypatch.setattr(loop.Training, "_step", step)


def test_each_member_equals_its_single_stacked_run(whole: list[Run], tmp_path: Path) -> None:
    for run, config, name in zip(whole, MEMBERS, NAMES, strict=True):
        assert (run.name, run.status, run.reason, run.engine, run.config) == (name, "finished", "budget", "cuda", config)
        assert run.verify() == ()
        assert json.loads((run.path / "run.json").read_text())["batch"] == 3
        assert run.history.sizes["step"] == config.steps + 1
        (alone,) = record_batch([config], tmp_path, [name], progress=False)
        assert_equal_to_rounding(run, alone)
        reference = record(replace(config, engine="reference"), tmp_path / "reference", name, progress=False)
        assert_equal_to_rounding(run, reference)


def test_a_members_state_is_that_of_a_batch_of_one(whole: list[Run]) -> None:
    for run, config in zip(whole, MEMBERS, strict=True):
        state = run.moments(10)
        single = GraphedRuns([config])
        expected = single.runs.optimizer.state()
        engine = {name.removeprefix("engine."): tensor for name, tensor in state.items() if name.startswith("engine.")}
        assert expected.keys() <= engine.keys()
        assert all(engine[name].shape == tensor.shape for name, tensor in expected.items())
        single.runs.flat[0].copy_(state["flat"])
        single.load(engine)
        for _ in range(20):
            single.gradient()
            single.update()
        for name, tensor in run[30].weights.tensors().items():
            torch.testing.assert_close(single.runs.parameters[0].weights.tensors()[name], tensor, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("step", [0, 9, 29])
def test_an_interruption_saves_all_and_loses_nothing(
    whole: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, step, seed=1)
        with pytest.raises(KeyboardInterrupt, match=r"3 runs in .* are saved; call record_batch again"):
            record_batch(MEMBERS, tmp_path, NAMES, progress=False)
    stopped = [open_run(tmp_path / name) for name in NAMES]
    assert [(run.status, run.manifest.step, run.verify()) for run in stopped] == [("interrupted", step, ())] * 3
    done = record_batch(MEMBERS, tmp_path, NAMES, progress=False)
    assert [content(run) for run in done] == [content(run) for run in whole]


def test_finished_members_are_returned_and_others_go_on_by_their_steps(
    whole: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for member, name, step in zip(MEMBERS, NAMES, (None, 9, 4), strict=True):
        with monkeypatch.context() as patch:
            if step is None:
                record_batch([member], tmp_path, [name], progress=False)
                continue
            at_step(patch, step, seed=member.seed)
            with pytest.raises(KeyboardInterrupt):
                record_batch([member], tmp_path, [name], progress=False)
    sizes, made = [], GraphedRuns.__init__
    monkeypatch.setattr(GraphedRuns, "__init__", lambda self, runs: sizes.append([run.seed for run in runs]) or made(self, runs))
    done = record_batch(MEMBERS, tmp_path, NAMES, progress=False)
    assert sizes == [[1], [2]]
    for run, expected in zip(done, whole, strict=True):
        assert run.verify() == ()
        assert_equal_to_rounding(run, expected)
    sizes.clear()
    assert [run.steps for run in record_batch(MEMBERS, tmp_path, NAMES, progress=False)] == [run.steps for run in whole]
    assert sizes == []


def test_killed_at_any_moment_all_members_go_on(whole: list[Run], tmp_path: Path) -> None:
    code = """
import os, signal, sys
from test_record_batch import MEMBERS, NAMES
from interp import record_batch
from interp.keeping import session
from interp.training import loop
session.COMMIT_SECONDS, session.COMMIT_SHARE = 0.0, float("inf")
original = loop.Training._step
def step(training, train_loss):
    if training._index == 21 and training.config.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(training, train_loss)
loop.Training._step = step
record_batch(MEMBERS, sys.argv[1], NAMES, progress=False)
"""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert [open_run(tmp_path / name).manifest.step for name in NAMES] == [20, 20, 20]
    again = record_batch(MEMBERS, tmp_path, NAMES, progress=False)
    assert [content(run) for run in again] == [content(run) for run in whole]


def test_what_was_saved_after_the_last_commit_is_computed_again_in_another_batch(
    whole: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that no commit names may differ in its last digits from what another batch computes."""
    with monkeypatch.context() as patch:
        at_step(patch, 9, seed=1)
        with pytest.raises(KeyboardInterrupt):
            record_batch(MEMBERS, tmp_path, NAMES, progress=False)
    pending = tmp_path / "two" / "checkpoints" / "step_00000010.safetensors"
    pending.write_bytes(whole[0].read("checkpoints/step_00000010.safetensors"))
    assert content(record_batch(MEMBERS, tmp_path, NAMES, progress=False)[1]) == content(whole[1])


def test_a_member_whose_loss_is_not_finite_stops_and_the_others_go_on(whole: list[Run], tmp_path: Path) -> None:
    diverges = replace(BASE, seed=9, optimizer=OptimizerConfig(lr=1e38))
    runs = record_batch([*MEMBERS, diverges], tmp_path, [*NAMES, "wild"], progress=False)
    assert [run.status for run in runs] == ["finished"] * 3 + ["stopped"]
    assert runs[3].verify() == ()
    for run, expected in zip(runs, whole, strict=False):
        assert_equal_to_rounding(run, expected)
    assert [run.status for run in record_batch([*MEMBERS, diverges], tmp_path, [*NAMES, "wild"], progress=False)][3] == "stopped"


def test_runs_that_do_not_fit_into_memory_are_recorded_in_turn(
    whole: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = GraphedRuns.__init__

    def little_memory(self: GraphedRuns, runs: list[RunConfig]) -> None:
        if len(runs) > 2 or any(run.seed == 4 for run in runs):
            raise torch.cuda.OutOfMemoryError("planted")
        made(self, runs)

    monkeypatch.setattr(GraphedRuns, "__init__", little_memory)
    for run, expected in zip(record_batch(MEMBERS, tmp_path, NAMES, progress=False), whole, strict=True):
        assert_equal_to_rounding(run, expected)
    with pytest.raises(TrainingError, match="does not fit into the memory"):
        record_batch([replace(BASE, seed=3), replace(BASE, seed=4)], tmp_path, ["fits", "not"], progress=False)
    assert open_run(tmp_path / "fits").status == "finished"


def test_commits_of_a_batch_are_made_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(session, "COMMIT_SHARE", float("inf"))
    commits: list[tuple[str, int]] = []
    commit = session.RunWriter.commit

    def noted(writer: session.RunWriter, step: int, state: object, **rest: object) -> None:
        commits.append((writer.path.name, step))
        commit(writer, step, state, **rest)

    monkeypatch.setattr(session.RunWriter, "commit", noted)
    record_batch(MEMBERS[:2], tmp_path, NAMES[:2], progress=False)
    assert commits == [(name, step) for step in range(30) for name in NAMES[:2]]


def test_between_two_rounds_the_runs_agree_in_their_step() -> None:
    for expected, advances in enumerate(rounds(MEMBERS)):
        assert [int(advance.training.state()["index"]) for advance in advances] == [expected] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"configs": []}, "given no configs"),
        ({"configs": [BASE, replace(BASE, task=ModularTask(7))]}, "may differ in seeds"),
        ({"configs": [replace(BASE, engine="cpu")]}, "given 'cpu', expected auto or cuda"),
        ({"configs": MEMBERS, "names": ["one", "one", "two"]}, "expected 3 different ones"),
        ({"configs": MEMBERS, "names": ["one"]}, "expected 3 different ones"),
    ],
)
def test_what_is_no_batch_is_refused(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        record_batch(root=tmp_path, progress=False, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_others_are_left_alone(whole: list[Run], tmp_path: Path) -> None:
    root = whole[0].path.parent
    with pytest.raises(UsageError, match="seed: given 7, recorded 0"):
        record_batch([replace(MEMBERS[0], seed=7)], root, ["one"], progress=False)
    with writing(tmp_path / "two"), pytest.raises(UsageError, match="written by another process"):
        record_batch(MEMBERS, tmp_path, NAMES, progress=False)
