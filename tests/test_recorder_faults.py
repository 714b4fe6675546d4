"""Recording when something goes wrong: no number, another machine, another process, full disks, damaged states."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from recorded import CONFIG, at_step, content

from interp.config.run_config import OptimizerConfig
from interp.errors import DataError, TrainingError, UsageError
from interp.keeping import session, sources
from interp.keeping.recorder import record, resume
from interp.store.run import list_runs, open_run
from interp.training import loop
from interp.training.reference import ReferenceEngine


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never interrupted."""
    return record(CONFIG, tmp_path_factory.mktemp("whole"), "run", progress=False)


def test_a_loss_that_is_not_finite_stops_the_run_and_what_was_saved_stays(tmp_path, monkeypatch):
    original = ReferenceEngine.update

    def poisoned(engine):
        original(engine)
        if engine._optimizer.updates == 15:
            engine.parameters.flat[3] = float("nan")

    monkeypatch.setattr(ReferenceEngine, "update", poisoned)
    with pytest.raises(TrainingError, match=r"not finite since step 15\. What was saved before stays"):
        record(CONFIG, tmp_path, "run", progress=False)
    run = open_run(tmp_path / "run")
    assert (run.status, run.reason, run.manifest.step) == ("stopped", "non-finite", 14)
    assert (run.steps[-1], run.history.sizes["step"], run.verify()) == (11, 15, ())
    monkeypatch.setattr(loop, "make_engine", lambda config: pytest.fail("trained again"))
    with pytest.raises(TrainingError, match="not finite since step 15"):
        record(CONFIG, tmp_path, "run", progress=False)


def test_a_real_divergence_stops_the_run(tmp_path):
    config = replace(CONFIG, optimizer=OptimizerConfig(lr=1e30, weight_decay=0.0))
    with pytest.raises(TrainingError, match="not finite since step"):
        record(config, tmp_path, "run", progress=False)
    run = open_run(tmp_path / "run")
    assert run.status == "stopped"
    assert run.verify() == ()
    assert np.isfinite(run.history["train_loss"].values).all()


def test_another_config_under_the_same_name_is_refused_field_by_field(whole):
    other = replace(CONFIG, seed=7, model=replace(CONFIG.model, d_mlp=25))
    with pytest.raises(
        UsageError, match=r"model\.d_mlp: given 25, recorded 24; seed: given 7, recorded 0.*another name"
    ) as error:
        record(other, whole.path.parent, "run", progress=False)
    assert "steps" not in str(error.value)


def test_a_machine_that_computes_otherwise_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 9, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            record(CONFIG, tmp_path, "run", progress=False)
    before = content(open_run(tmp_path / "run"))
    gradient = ReferenceEngine.gradient
    monkeypatch.setattr(ReferenceEngine, "gradient", lambda engine: float(np.nextafter(gradient(engine), 9)))
    with pytest.raises(DataError, match=r"cannot go on here: .*\"step\": 9.*recorded"):
        resume(tmp_path / "run", progress=False)
    assert content(open_run(tmp_path / "run")) == before


def test_other_versions_are_pointed_out(tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        at_step(patch, 3, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            record(CONFIG, tmp_path, "run", progress=False)
    here = sources.provenance()
    monkeypatch.setattr(sources, "provenance", lambda device: here | {"torch": "9.9", "device": device})
    resume(tmp_path / "run", progress=False)
    assert f"torch {here['torch']} -> 9.9" in caplog.text
    assert f"device None -> {CONFIG.device}" in caplog.text  # where it goes on is asked of the device it goes on with


def test_a_run_that_another_process_writes_is_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    descriptor = os.open(tmp_path / "run" / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(UsageError, match="being written by another process"):
            record(CONFIG, tmp_path, "run", progress=False)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("nth", [1, 2, 5, 9, 14])
def test_a_full_disk_is_explained_and_the_run_goes_on_once_there_is_room(whole, tmp_path, monkeypatch, nth):
    calls, write = 0, os.write

    def full(descriptor, data):
        nonlocal calls
        calls += 1
        if calls < nth:
            return write(descriptor, data)
        write(descriptor, bytes(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(session, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(session, "COMMIT_SHARE", float("inf"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        # Before the manifest there is no run that could be resumed.
        advice = "Nothing was saved: make room" if nth < 5 else "go on with: interp resume"
        with pytest.raises(DataError, match=rf"No space left on device.*{advice}"):
            record(CONFIG, tmp_path, "run", progress=False)
    if (tmp_path / "run" / "manifest.json").exists():
        assert open_run(tmp_path / "run").verify() == ()
    assert content(record(CONFIG, tmp_path, "run", progress=False)) == content(whole)


def test_a_root_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(DataError, match=r"cannot be made or read .*choose another place with --root"):
        record(CONFIG, tmp_path / "file", progress=False)


def test_a_read_only_root_is_explained(tmp_path, monkeypatch):
    def refuse(path, *mode):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(DataError, match=r"Permission denied.*choose another place with --root"):
        record(CONFIG, tmp_path, progress=False)


def test_a_missing_root_is_made(tmp_path):
    run = record(replace(CONFIG, steps=0), tmp_path / "new" / "runs", progress=False)
    assert [found.path for found in list_runs(tmp_path / "new" / "runs")] == [run.path]


def interrupted(root, monkeypatch, step=9):
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            record(CONFIG, root, "run", progress=False)
    return root / "run"


def test_a_damaged_resume_state_is_named_and_the_run_still_reads(tmp_path, monkeypatch):
    path = interrupted(tmp_path, monkeypatch)
    state = path / "resume.safetensors"
    good = state.read_bytes()
    for damaged in (good[:-1], good[:-1] + bytes([good[-1] ^ 1]), good.replace(b"interrupted", b"interruptes"), b""):
        state.write_bytes(damaged)
        with pytest.raises(DataError, match=r"resume\.safetensors: "):
            resume(path, progress=False)
        assert [problem.file for problem in open_run(path).verify()] == ["resume.safetensors"]
    state.unlink()
    with pytest.raises(DataError, match=r"resume\.safetensors: cannot be read .*can be read but not resumed"):
        resume(path, progress=False)
    assert open_run(path)[0].step == 0
    state.write_bytes(good)
    assert resume(path, progress=False).status == "finished"


def test_the_resume_state_of_another_run_is_refused(tmp_path, monkeypatch):
    path = interrupted(tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        at_step(patch, 5, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            record(replace(CONFIG, seed=1), tmp_path, "other", progress=False)
    (path / "resume.safetensors").write_bytes((tmp_path / "other" / "resume.safetensors").read_bytes())
    with pytest.raises(DataError, match="belongs to another run"):
        resume(path, progress=False)


def test_a_damaged_history_is_not_gone_on_with(tmp_path, monkeypatch):
    path = interrupted(tmp_path, monkeypatch)
    history = bytearray((path / "history.jsonl").read_bytes())
    history[10] ^= 1
    (path / "history.jsonl").write_bytes(history)
    with pytest.raises(DataError, match=r"history\.jsonl: damaged before its committed end"):
        resume(path, progress=False)


def test_resuming_what_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no run at"):
        resume(tmp_path / "nothing")


def test_resuming_from_inside_the_run(whole, monkeypatch):
    monkeypatch.chdir(whole.path)
    assert resume(".", progress=False).steps == whole.steps


def test_a_run_that_is_refused_once_its_directory_is_made_leaves_none(tmp_path):
    refused = replace(CONFIG, split=replace(CONFIG.split, blocks="a in cosets of nothing"))
    with pytest.raises(UsageError):
        record(refused, tmp_path, "refused", progress=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()  # one that was there stays, also if it is empty
    with pytest.raises(UsageError):
        record(refused, tmp_path, "mine", progress=False)
    assert (tmp_path / "mine").is_dir()
