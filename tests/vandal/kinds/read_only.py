"""Folders that cannot be written: looking works as in any other, and whatever has to write says that it cannot."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from small_study import run_bytes

from vandal.disks import mounted, protect
from vandal.originals import CONFIG, differing
from vandal.rounds import Round


def one(at: Round) -> None:
    """A finished, a measured or an interrupted run where nothing can be changed."""
    original = at.draw.choice([at.originals.whole, at.originals.measured, at.originals.interrupted])
    with _protected(at, original) as (path, before):
        _look(at, path, original, before)
        at.refuse("train", at.originals.config(CONFIG), "--name", "new", "--root", path.parent, before=before)
        is_finished = original != at.originals.interrupted
        resumed = at.interp("resume", path, before=before)
        at.expect(resumed.code != 0 or is_finished, "wrong", f"a training went on without writing: {resumed.line}")
        at.refuse("report", path, "-a", "weight_norms", "-o", path / "report.html", before=before)
        wrong = differing(run_bytes(path), run_bytes(original))
        at.expect(not wrong, "lost", f"files in a folder that cannot be written changed: {wrong}")


@contextmanager
def _protected(at: Round, original: Path) -> Iterator[tuple[Path, tuple[Callable[[], None], ...]]]:
    """A copy that cannot be changed: on a disk that accepts no changes, or by its permissions."""
    if at.draw.random() < 0.5:
        with mounted(at.room / "disk", 64 * 2**20) as disk:
            if disk is not None:
                path = at.originals.copy(original, disk / "runs" / "run")
                protect(disk)
                yield path, ()
                return
        at.makeshift = "no disk could be mounted: only permissions were taken"
    path = at.originals.copy(original, at.room / "runs" / "run")
    folders = [path.parent, path, *(each for each in path.rglob("*") if each.is_dir())]
    for each in folders:
        each.chmod(0o555)
    for file in path.rglob("*"):
        if file.is_file():
            file.chmod(0o444)
    try:
        yield path, (without_privileges,) if os.geteuid() == 0 else ()
    finally:
        for each in folders:
            each.chmod(0o755)


def without_privileges() -> None:
    """Have permissions mean to the superuser what they mean to others: drop every capability (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the interface, this process
    none = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice 32 of each
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capabilities cannot be dropped")


def _look(at: Round, path: Path, original: Path, before: tuple[Callable[[], None], ...]) -> None:
    for command in (("verify",), ("show",), ("analyze", "-a", "weight_norms")):
        said = at.succeed(command[0], path, *command[1:], before=before)
        if command[0] == "analyze":
            same = said.out == at.expected(original, *command)
            at.expect(same, "wrong", "other numbers where nothing can be written")
    at.succeed("runs", "--root", path.parent, before=before)
    at.succeed("report", path, "-a", "weight_norms", "-o", at.room / "report.html", before=before)
