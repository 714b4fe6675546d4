"""Locks: held by another process, or refused by the file system, as some network file systems do."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable

from small_study import run_bytes

from vandal.originals import LONG, differing
from vandal.rounds import Round


def one(at: Round) -> None:
    """A lock that cannot be had."""
    _held(at) if at.number % 2 else _refused(at)


def _held(at: Round) -> None:
    path = at.originals.copy(at.originals.interrupted, at.room / "runs" / "run")
    before = run_bytes(path)
    with (path / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        at.refuse("resume", path)
        at.refuse("train", at.originals.config(LONG, "long.json"), "--name", "run", "--root", path.parent)
        at.succeed("verify", path)
        at.succeed("runs", "--root", path.parent)
        at.succeed("analyze", path, "-a", "weight_norms")
    wrong = differing(run_bytes(path), before)
    at.expect(not wrong, "lost", f"without the lock, {wrong} changed")
    at.succeed("resume", path)
    at.succeed("verify", path)


def refusing(number: int) -> Callable[[], None]:
    """What makes every lock fail with an error number."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    def before() -> None:
        fcntl.flock = fcntl.lockf = refuse

    return before


def _refused(at: Round) -> None:
    """A system without locks: looking works; writing does, with a word, or is refused."""
    number = at.draw.choice([errno.ENOLCK, errno.ENOTSUP, errno.EACCES, errno.EIO, errno.ENOSYS])
    before = (refusing(number),)
    path = at.originals.copy(at.originals.interrupted, at.room / "runs" / "run")
    at.succeed("verify", path, before=before)
    at.succeed("runs", "--root", path.parent, before=before)
    at.succeed("show", path, before=before)
    at.succeed("analyze", path, "-a", "weight_norms", before=before)
    if at.interp("resume", path, before=before).code == 0:
        wrong = differing(run_bytes(path), run_bytes(at.originals.long))
        at.expect(not wrong, "lost", f"without locks, {wrong} became other bytes")
    at.succeed("verify", path)
