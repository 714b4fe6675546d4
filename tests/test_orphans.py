"""Whoever starts processes may be killed at any moment: none of them goes on without it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Kills itself as soon as a worker has its first job in hand, before it can have imported anything.
WORKERS = """
import os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from interp import recipe
from interp.training import processes
from interp.training.many import train_many

def job(config):
    Path("begun").touch()
    while True:
        time.sleep(1)

if __name__ == "__main__":
    start = processes._Worker.start
    def killed(worker, config, job):
        start(worker, config, job)
        print(worker.process.pid, flush=True)
        if sys.argv[1] == "begun":
            while not Path("begun").exists():
                time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)
    processes._Worker.start = killed
    list(train_many([recipe("demo")], job, workers=1))
"""

# Compiles into an empty cache, and kills itself as soon as the processes that help are there.
COMPILING = """
import os, signal, subprocess, sys, threading, time
from dataclasses import replace
from interp import recipe
from interp.training.cpu import preparation

def look():
    while True:
        children = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()
        if len(children) >= 2:
            time.sleep(float(sys.argv[1]))
            print(*children, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)

threading.Thread(target=look, daemon=True).start()
config = replace(recipe("demo"), steps=1, threads=2, engine="cpu")
from interp.training.loop import train
list(train(config))
"""


def left_behind(code: str, *arguments: str, cwd: Path, **environment: str) -> list[int]:
    """Run a program that kills itself; the processes that it had started, by number, as it printed them."""
    script = cwd / "script.py"
    script.write_text(code)
    said, errors = cwd / "said", cwd / "errors"  # files and no pipes, which whoever is left behind would keep open
    with said.open("w") as out, errors.open("w") as err:
        command = [sys.executable, str(script), *arguments]
        done = subprocess.run(
            command, cwd=cwd, stdout=out, stderr=err, check=False, env={**os.environ, **environment}, timeout=300
        )
    assert done.returncode == -signal.SIGKILL, errors.read_text()
    return [int(number) for number in said.read_text().split()]


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_end(processes: list[int], seconds: float = 60) -> bool:
    """Whether all of them are gone soon; those that are not are ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(map(is_there, processes)):
            return True
        time.sleep(0.05)
    for process in filter(is_there, processes):
        os.kill(process, signal.SIGKILL)
    return False


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc here")


@pytest.mark.parametrize("when", ["at once", "begun"])
def test_workers_end_with_the_process_that_started_them(tmp_path, when) -> None:
    """Also one that had its job, but not yet the modules to do it with, when that process was killed."""
    workers = left_behind(WORKERS, when, cwd=tmp_path)
    assert len(workers) == 1
    assert all_end(workers)


@pytest.mark.parametrize("seconds", ["0", "3"])
def test_processes_that_compile_end_with_the_one_that_wants_it(tmp_path, seconds) -> None:
    helpers = left_behind(COMPILING, seconds, cwd=tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"), NUMBA_NUM_THREADS="2")
    assert len(helpers) >= 2
    assert all_end(helpers)
