"""A process that was forked off inside a context leaves it too, but what its parent holds there is not its to give back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from foreign_loop import Loop

import interp
from interp.errors import DataError
from interp.live.attendant import attended
from interp.live.server import listen, serving
from interp.live.showing import shown
from interp.live.viewers import Published
from interp.store.foreign import _removed_on_failure
from interp.store.locking import holder, is_locked, locked
from interp.store.writer import writing

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class LeftError(Exception):
    """A child leaves."""


def child_leaves() -> None:
    """Fork off a process, which leaves the block that this is called in by an error."""
    if (child := os.fork()) == 0:
        raise LeftError
    assert os.waitpid(child, 0)[1] == 0


@contextmanager
def children_end(parent: int) -> Iterator[None]:
    """What a child raises ends it, before it is taken for a test."""
    try:
        yield
    finally:
        if os.getpid() != parent:
            os._exit(0 if isinstance(sys.exception(), LeftError) else 1)


_TRAININGS = """
import sys; sys.path.insert(0, {tests!r})
import os
import torch
from foreign_loop import Loop
from own_loops import SPLIT, TASK, Tokens, own_loop, seeded
import interp
from interp.store.manifest import RECORD

def child_exits():
    if (child := os.fork()) == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0

def change(step):
    if step.index == 7:
        child_exits()
    return step

def recorded(lock):
    how = dict(task=TASK, split=SPLIT, root={root!r}, lock=lock, checkpoints=[0, 10])
    with interp.recording(f"own-{{lock}}", seeded(Tokens), **how) as log:
        for step in range(11):
            log.step(step, train_loss=1.0)
            if step == 7:
                child_exits()
    return log.run

def trained(lock):
    return interp.record(Loop(TASK, change=change), {root!r}, f"stream-{{lock}}", progress=False, lock=lock)

for lock in ("system", "lease"):
    for run in (recorded(lock), trained(lock)):
        print(run.name, run.status, *run.steps, *run.verify())
"""


def test_a_child_that_exits_leaves_the_run_to_its_parent(tmp_path):
    code = _TRAININGS.format(tests=str(Path(__file__).parent), root=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ended = "stream-{0} finished 0 5 10 15 20"
    assert done.stdout.splitlines() == [
        line for lock in ("system", "lease") for line in (f"own-{lock} finished 0 10", ended.format(lock))
    ]
    assert done.stderr == ""


@pytest.mark.parametrize("lock", ["system", "lease"])
def test_a_lock_is_kept_and_a_child_may_not_write(tmp_path, lock):
    with children_end(os.getpid()), locked(tmp_path, lock) as allowed:
        word = holder(tmp_path)
        child_leaves()
        assert word
        assert holder(tmp_path) == word
        assert is_locked(tmp_path)
        allowed()
        if (child := os.fork()) == 0:
            with pytest.raises(DataError, match="written by the process that this one was forked off from"):
                allowed()
            raise LeftError
        assert os.waitpid(child, 0)[1] == 0
    assert not is_locked(tmp_path)


def test_a_directory_that_is_not_yet_a_run_and_an_import_stay(tmp_path):
    path = tmp_path / "run"
    with children_end(os.getpid()), writing(path) as allowed:
        child_leaves()
        allowed()
        with _removed_on_failure(path, [path]):
            child_leaves()
            allowed()


def test_a_stream_that_fails_in_a_child_ends_nothing(tmp_path):
    def change(step):
        if step.index == 7:
            child_leaves()
        return step

    with children_end(os.getpid()):
        run = interp.record(Loop(interp.ModularTask(5), change=change), tmp_path, "mine", progress=False)
    assert (run.status, run.verify()) == ("finished", ())


@pytest.mark.parametrize("served", [lambda _: serving(listen(), Published()), attended], ids=["here", "beside"])
def test_a_page_is_served_on(tmp_path, served):
    with children_end(os.getpid()):
        context: AbstractContextManager[str | None] = served(tmp_path / "run")
        with context:
            child_leaves()


def test_the_file_that_leads_to_a_page_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.get", lambda: 1 / 0)
    with children_end(os.getpid()), shown("http://127.0.0.1:1/"):
        child_leaves()
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_page_ends_though_a_child_lives_on(tmp_path):
    with attended(tmp_path / "run"):
        if (child := os.fork()) == 0:
            time.sleep(60)
            os._exit(0)
        begun = time.monotonic()
    try:
        assert time.monotonic() - begun < 30
        assert os.waitpid(child, os.WNOHANG) == (0, 0)  # it has the pipe still
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
