"""Ctrl-C reaches every process of a terminal: those that a command has just started say nothing, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interp import ModularTask, RunConfig, Study
from interp.config.run_config import ModelConfig

SMALL = RunConfig(
    task=ModularTask(7),
    model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
    steps=1_000_000,
    until_settled=False,
    engine="reference",
)


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc here")
def test_workers_that_still_import_do_not_complain(tmp_path) -> None:
    study = Study(SMALL, seeds=range(4), root=tmp_path, name="s")
    study.save()
    errors = tmp_path / "errors"
    with errors.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "interp", "study", "run", str(study.folder), "--workers", "2"],
            stdout=subprocess.DEVNULL,
            stderr=err,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 120
        workers: set[int] = set()
        while len(workers) < 2:  # as if Ctrl-C came to them first: it is the command that ends them
            for worker in set(workers_of(process.pid)) - workers:
                if is_importing(worker):
                    os.kill(worker, signal.SIGINT)
                    workers.add(worker)
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < end
            time.sleep(0.002)
        while len(list(study.folder.glob("runs/*/manifest.json"))) < 2:
            assert process.poll() is None, errors.read_text()
            assert time.monotonic() < end, errors.read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 130
    finally:
        process.kill()
        process.wait()
    said = errors.read_text()
    assert "Traceback" not in said
    assert "interrupted" in said
    end = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_importing(process: int) -> bool:
    """Whether it is far enough for Ctrl-C to be an exception, and has more than a second to go."""
    return "_multiarray_umath" in Path(f"/proc/{process}/maps").read_text()


def workers_of(process: int) -> list[int]:
    """Processes that it has started to train runs."""
    found = []
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        try:
            is_worker = b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if is_worker:
            found.append(int(child))
    return found
