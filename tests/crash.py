"""Ends recordings at every point where they touch the disk, and says which of them could not be resumed.

Run as a script, in a process of its own: it forks a child per crash. The child counts its calls of the system's file
functions and, at the n-th, kills itself with SIGKILL: before the call, or half way through a write. In the modes named
``power`` it first does to the files what a power cut may do: bytes that were not flushed are gone, and names whose directory
was not flushed are as they were before, all of them (``power``) or a random half (``power-some``). Then a reader must find the
run sound, with every step that was committed, and a second child, which knows nothing of the first, resumes it: every
byte is compared with a run that was never interrupted.

    python tests/crash.py FOLDER MODE...     crashes at every call; prints one JSON object

With ``MODE/n`` it crashes at every n-th of some calls: after each kind of file got its name, the first call of each kind.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.errors import DataError
from interp.keeping import recorder, session
from interp.store.run import open_run
from interp.store.writer import RunWriter
from interp.tasks.modular import ModularTask
from interp.training.loop import Training

CONFIG = RunConfig(
    task=ModularTask(p=5),
    model=ModelConfig(d_model=4, n_heads=1, d_mlp=6),
    checkpoints=CheckpointConfig(log=0, every=2),
    steps=6,
    evaluate_every=3,
    engine="reference",
    threads=1,
)
COUNTED = ("open", "write", "fsync", "link", "rename", "replace", "unlink", "truncate", "mkdir")
UNHASHED = {"log.jsonl", ".lock"}  # the log has times in it


class Disk:
    """Stands in for the os functions that change files; remembers what a power cut would take, and kills at the n-th call."""

    def __init__(self, mode: str, last: int | None) -> None:
        self.calls: list[str] = []
        self._mode, self._last = mode, last
        self._real = {name: getattr(os, name) for name in COUNTED}
        self._paths: dict[int, str] = {}
        self._flushed: dict[str, int] = {}
        self._undo: list[tuple[str, Callable[[], None]]] = []
        for name in COUNTED:
            setattr(os, name, self._counting(name))

    def _counting(self, name: str) -> Callable[..., object]:
        def call(*args, **kwargs):
            self.calls.append(f"{name} {self._kind(*args[:2])}")
            if len(self.calls) == self._last:
                if self._mode == "half" and name == "write":
                    self._real["write"](args[0], args[1][: len(args[1]) // 2])
                self._crash()
            if self._mode.startswith("power"):
                getattr(self, f"_before_{name}", lambda *_: None)(*map(_plain, args))
            result = self._real[name](*args, **kwargs)
            if name == "open":
                self._paths[result] = _plain(args[0])
            return result

        return call

    def _kind(self, file: object, target: object = None) -> str:
        """Which kind of file a call is about, without step and random part."""
        path = str(self._paths.get(file) if isinstance(file, int) else target if isinstance(target, str | Path) else file)
        return re.sub(r"[0-9a-f]{8}", "", os.path.basename(path))

    def _crash(self) -> None:
        for name, function in self._real.items():
            setattr(os, name, function)
        if self._mode.startswith("power"):
            for path, size in self._flushed.items():
                if os.path.isfile(path) and os.path.getsize(path) > size:
                    os.truncate(path, size)
            lost = {path for path, _ in self._undo}
            if self._mode == "power-some":
                coin = random.Random(self._last)
                lost = {path for path in sorted(lost) if coin.random() < 0.5}
            for path, undo in reversed(self._undo):
                if path in lost:
                    undo()
        os.kill(os.getpid(), signal.SIGKILL)

    def _restore(self, path: str) -> Callable[[], None]:
        """What puts a file back as it is now."""
        before = Path(path).read_bytes() if os.path.isfile(path) else None

        def undo() -> None:
            if before is None:
                Path(path).unlink(missing_ok=True)
            elif Path(path).parent.is_dir():
                Path(path).write_bytes(before)

        return undo

    def _before_open(self, path: str, flags: int, *_: object) -> None:
        if flags & os.O_CREAT:
            self._flushed.setdefault(path, os.path.getsize(path) if os.path.exists(path) else 0)
            if not os.path.exists(path):
                self._undo.append((path, self._restore(path)))

    def _before_fsync(self, descriptor: int) -> None:
        path = self._paths[descriptor]
        if os.path.isdir(path):
            self._undo = [(name, undo) for name, undo in self._undo if os.path.dirname(name) != path]
        else:
            self._flushed[path] = os.path.getsize(path)

    def _before_link(self, source: str, target: str, *_: object) -> None:
        self._flushed[target] = self._flushed[source]
        self._undo.append((target, self._restore(target)))

    _before_replace = _before_rename = _before_link

    def _before_unlink(self, path: str, *_: object) -> None:
        self._undo.append((path, self._restore(path)))

    def _before_truncate(self, path: str, length: int) -> None:
        self._flushed[path] = min(self._flushed.get(path, length), length)

    def _before_mkdir(self, path: str, *_: object) -> None:
        self._undo.append((path, lambda: shutil.rmtree(path, ignore_errors=True)))


def _plain(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def in_child(action: Callable[[], None]) -> int:
    """Exit status of an action in a forked process; negative is the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def record(root: Path, *, mode: str = "kill", last: int | None = None, calls: Path | None = None) -> None:
    """Record the run, with a commit after every second step, up to the n-th call; writes down which calls there were."""
    session.COMMIT_SECONDS, session.COMMIT_SHARE = 0.0, float("inf")
    commit = RunWriter.commit

    def noted_commit(writer: RunWriter, step: int, *args, **kwargs) -> None:
        if step % 2:
            commit(writer, step, *args, **kwargs)
            committed_of(root).write_text(str(step))

    RunWriter.commit = noted_commit
    disk = Disk(mode, last)
    recorder.record(CONFIG, root, "run", progress=False)
    if calls is not None:
        calls.write_text(json.dumps(disk.calls))


def content(run: Path) -> dict[str, bytes]:
    """Every byte of a run, except what has times in it."""
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name not in UNHASHED
    }


def trouble(root: Path, expected: dict[str, bytes], *, mode: str, points: list[int]) -> str | None:
    """Crash at each of the points in turn, going on each time, then go on to the end: what was wrong, or None."""
    run = root / "run"
    for point in points:
        status = in_child(lambda point=point: record(root, mode=mode, last=point))
        if status not in (-signal.SIGKILL, 0):
            return f"exit status {status}"
        if problem := unsound(root):
            return f"unsound for readers: {problem}"
    if status := in_child(lambda: record(root)):
        return f"could not go on: exit status {status}"
    found = content(run)
    differing = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    return f"other bytes: {', '.join(differing)}" if differing else None


def committed_of(root: Path) -> Path:
    """Where a recording in a root notes the last step of which it was told that it is safe: out of the power cut's reach."""
    return root.with_suffix(".committed")


def unsound(root: Path) -> str | None:
    """What a reader who comes after the crash would find wrong or missing, or None."""
    run, committed = root / "run", committed_of(root)
    safe = int(committed.read_text()) if committed.exists() else None
    try:
        found = open_run(run) if (run / "manifest.json").exists() else None
        if safe is not None and (found is None or found.manifest.step is None or found.manifest.step < safe):
            return f"step {safe} was committed and is lost"
        return "; ".join(map(str, found.verify())) if found else None
    except DataError as error:
        return str(error)


def points_of(calls: list[str], every: int) -> list[int]:
    """Which calls to crash at, counted from 1: all of them for 0, or every n-th of those that `MODE/n` means."""
    if not every:
        return list(range(1, len(calls) + 1))
    first: dict[tuple[str, str], int] = {}
    named = ""
    for i, call in enumerate(calls, start=1):
        first.setdefault((named, call), i)
        if call.startswith(("link", "replace")):
            named = call
    return list(first.values())[::every]


def main(folder: Path, modes: list[str]) -> dict[str, object]:
    """Crash in each of the modes; ``twice`` kills the process that goes on as well, at a random point."""
    folder.mkdir(parents=True, exist_ok=True)
    Training(RunConfig.from_json(CONFIG.to_json()))  # imports what the children would each have to import
    calls = folder / "calls"
    assert in_child(lambda: record(folder / "whole", calls=calls)) == 0
    expected, names = content(folder / "whole" / "run"), json.loads(calls.read_text())
    failures, crashes = {}, 0
    for mode, _, every in (name.partition("/") for name in modes):
        for point in points_of(names, int(every or 0)):
            points = [point, random.Random(point).randrange(1, 40)] if mode == "twice" else [point]
            wrong = trouble(folder / f"{mode}-{point}", expected, mode=mode, points=points)
            crashes += 1
            if wrong:
                failures[f"{mode} {points} {names[point - 1]}"] = wrong
    return {"calls": names, "crashes": crashes, "files": sorted(expected), "failures": failures}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2:])))
