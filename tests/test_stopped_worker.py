"""A worker that stood still for longer than its lease held: whoever takes over is not written over, and no step is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from begun import begin_planted
from growing import SPLIT, growing, scores
from growing_run import CONFIG as PLANTED

from interp import ModularTask, RunConfig, record
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.errors import DataError
from interp.keeping import session
from interp.store.leases import Leases
from interp.store.locking import LOCK, holder, is_locked, locked
from interp.store.run import open_run
from interp.store.writer import RunWriter
from interp.studies.study_plan import point_name
from interp.studies.worker import Work

CONFIG = RunConfig(
    task=ModularTask(7), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8), checkpoints=CheckpointConfig(log=0, every=1000),
    steps=20_000, until_settled=False, engine="reference", threads=1, evaluate_every=100,
)  # fmt: skip
LEASE_SECONDS = 1.0
WORKER = """
import sys
from pathlib import Path
from interp import RunConfig
from interp.studies.going import ended_by_signals
from interp.studies.worker import Work
with ended_by_signals():
    print(Work(Path(sys.argv[1]), "all", (), float(sys.argv[3]))(RunConfig.from_json(sys.argv[2])))
"""


def content(path: Path) -> dict[str, bytes]:
    files = (file for file in path.rglob("*") if file.is_file() and file.name not in ("log.jsonl", LOCK))
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def wait_for(holds, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_worker_that_is_stopped_keeps_its_run_and_ends_when_it_goes_on_and_has_lost_its_lease(tmp_path, monkeypatch) -> None:
    name = point_name(CONFIG)
    path = tmp_path / "runs" / name
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path), CONFIG.to_json(), str(LEASE_SECONDS)])
    try:
        wait_for(lambda: (path / "manifest.json").exists() and open_run(path).manifest.step is not None)
        worker.send_signal(signal.SIGSTOP)
        before = content(path)
        leases = Leases(tmp_path / "leases", seconds=LEASE_SECONDS)
        wait_for(lambda: leases.free(name))
        assert Work(tmp_path, "all", (), LEASE_SECONDS)(CONFIG) == "held"  # it still holds the run's lock
        assert content(path) == before
        worker.send_signal(signal.SIGCONT)
        worker.wait(60)
        assert worker.returncode == -signal.SIGTERM
        assert open_run(path).verify() == ()
    finally:
        worker.kill()
        worker.wait()
    monkeypatch.setattr(session, "COMMIT_SECONDS", 0.5)
    assert Work(tmp_path, "all", (), LEASE_SECONDS)(CONFIG) == "finished"
    whole = record(CONFIG, tmp_path / "whole", "run", progress=False, keep_last=False)
    assert content(path) == content(whole.path)


def test_a_writer_whose_lock_was_lost_writes_nothing_any_more(tmp_path) -> None:
    """As on a file system that gives up the locks of a machine that stood still."""
    path = tmp_path / "run"
    path.mkdir()
    with locked(path) as allowed:
        begin_planted(path, PLANTED, n_parameters=growing(0.0).n_parameters, split=SPLIT)
        writer = RunWriter(path, allowed)
        writer.save(0, growing(None))
        writer.add_history(0, scores(None) | {"sum_squared_weights": 1.0})
        writer.commit(0, {})
        before = content(path)
        writer.add_history(10, scores(0.0) | {"sum_squared_weights": 1.0})
        (path / LOCK).write_bytes(b"another")
        with pytest.raises(DataError, match="another process has taken the run over"):
            writer.commit(10, {})
        with pytest.raises(DataError, match="another process has taken the run over"):
            writer.finish(10, status="finished", reason="budget")
        assert content(path) == before
        (path / LOCK).unlink()
        with pytest.raises(DataError, match=r"it was deleted, or its \.lock was"):
            writer.commit(10, {})
        (path / LOCK).write_bytes(b"another")
    assert holder(path) == b"another"  # nor does it take away the other's


def test_a_lock_holds_a_word_while_it_is_held_and_another_each_time(tmp_path) -> None:
    words = []
    for _ in range(2):
        with locked(tmp_path):
            words.append(holder(tmp_path))
            assert is_locked(tmp_path)
        assert holder(tmp_path) == b""
    assert words[0]
    assert words[0] != words[1]


def test_a_process_that_was_killed_leaves_a_word_that_means_nothing(tmp_path) -> None:
    imports = "import os, sys; from pathlib import Path; from interp.store.locking import locked"
    code = f"{imports}\nwith locked(Path(sys.argv[1])): os._exit(1)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert holder(tmp_path) != b""
    assert not is_locked(tmp_path)
    run = record(replace(CONFIG, steps=2), tmp_path, "run", progress=False)
    assert (run.status, os.path.getsize(run.path / LOCK)) == ("finished", 0)
