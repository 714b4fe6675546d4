"""Killed at any moment, or cut off from power, and resumed: the bytes are those of a run that was never interrupted."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.keeping.recorder import record
from interp.store.run import open_run
from interp.tasks.modular import ModularTask

HERE = Path(__file__).parent
CONFIG = RunConfig(
    task=ModularTask(p=23),
    model=ModelConfig(d_model=32, n_heads=2, d_mlp=64),
    checkpoints=CheckpointConfig(log=10, every=50),
    steps=400,
    evaluate_every=10,
    engine="reference",
    threads=1,
)
RECORD = """
import sys
from interp.keeping import recorder, session
from interp.config.run_config import RunConfig
session.COMMIT_SECONDS = 0.05
{before}
recorder.record(RunConfig.from_json(sys.argv[2]), sys.argv[1], "run")
"""


def start(root, config=CONFIG, *, before="") -> subprocess.Popen[str]:
    """A fresh process that records, or goes on with, the run in a root."""
    command = [sys.executable, "-c", RECORD.replace("{before}", before), str(root), config.to_json()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_commit(path, process, *, after=-1):
    """Wait until the run has a committed step after the given one; returns it, or None if the process ended before."""
    while process.poll() is None:
        if (path / "manifest.json").exists() and ((step := open_run(path).manifest.step) is not None) and step > after:
            return step
        time.sleep(0.005)
    return None


def content(path):
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "log.jsonl"}


def crash(folder, *modes):
    command = [sys.executable, str(HERE / "crash.py"), str(folder), *modes]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["crashes"] >= 20
    assert {"link step_.safetensors", "replace manifest.json", "write history.jsonl"} <= set(found["calls"])
    assert "checkpoints/step_00000004.safetensors" in found["files"]
    assert found["failures"] == {}


def test_crashes_all_over_a_recording(tmp_path):
    """After each kind of file got its name, at the first call of each kind: killed before it, or half way through a write."""
    crash(tmp_path, "half/1")


def test_power_cuts_and_second_crashes(tmp_path):
    crash(tmp_path, "power/6", "power-some/6", "twice/8")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["half", "power", "power-some", "twice"])
def test_crashes_everywhere(tmp_path, mode):
    """At every single call that touches the disk."""
    crash(tmp_path, mode)


def test_killed_from_outside_at_random_moments(tmp_path):
    """A fresh process each time, killed some random time after its first commit."""
    path, delays, last = tmp_path / "run", random.Random(5), -1
    for _ in range(2):
        process = start(tmp_path)
        seen = wait_for_commit(path, process, after=last)
        time.sleep(delays.random() * 0.2)
        process.kill()
        process.communicate()
        found = open_run(path)
        assert found.verify() == ()
        if seen is None or found.status == "finished":  # on a fast machine
            break
        last = found.manifest.step
        assert last >= seen
    done = record(CONFIG, tmp_path, "run", progress=False)
    whole = record(CONFIG, tmp_path / "whole", "run", progress=False)
    assert content(done.path) == content(whole.path)


def test_sigterm_saves_the_last_step_says_how_to_go_on_and_ends_the_process(tmp_path):
    process = start(tmp_path, replace(CONFIG, steps=100_000))
    wait_for_commit(tmp_path / "run", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGTERM
    run = open_run(tmp_path / "run")
    assert run.status == "interrupted"
    assert run.history["step"].values[-1] == run.manifest.step
    assert f"saved at step {run.manifest.step}; go on with: interp resume" in errors


def test_a_refusal_of_the_system_is_explained_and_harms_nothing(tmp_path):
    """A real one, by the kernel: no file may grow beyond 60 kB, which checkpoints do not reach and the resume state does."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))"
    process = start(tmp_path, before=limit)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "resume.safetensors" in errors
    assert "cannot be written (File too large). What was saved before is unharmed" in errors
    assert open_run(tmp_path / "run").verify() == ()
    run = record(CONFIG, tmp_path, "run", progress=False)
    assert (run.status, run.verify()) == ("finished", ())
    assert max(path.stat().st_size for path in (run.path / "checkpoints").iterdir()) < 60_000
