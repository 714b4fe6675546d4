"""Runs one command line on a disk that refuses: every call that changes files, locks or flushes below a folder fails.

    python tests/refusing.py NAME[,NAME...] ERRNO FOLDER ARGUMENTS...

NAME is of `CALLS` (``change`` for all that make, write, move or delete; ``lock``; ``folder-sync``).
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import stat
import sys
from collections.abc import Callable
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_open, _fsync, _flock, _io_open = os.open, os.fsync, fcntl.flock, io.open


def _inside(folder: str, path: Any) -> bool:
    if isinstance(path, int):
        path = os.readlink(f"/proc/self/fd/{path}")
    return os.path.realpath(os.fspath(path)).startswith(folder)


def refuse_changes(number: int, folder: str) -> None:
    """No file can be made, written, moved or deleted."""

    def refused(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(path: Any, *rest: Any, **named: Any) -> Any:
            if any(_inside(folder, each) for each in (path, *rest[:1]) if isinstance(each, str | os.PathLike)):
                raise OSError(number, os.strerror(number), os.fspath(path))
            return real(path, *rest, **named)

        return call

    def open_(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & _WRITING and _inside(folder, path):
            raise OSError(number, os.strerror(number), os.fspath(path))
        return _open(path, flags, *rest, **named)

    def io_open(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if set(mode) & set("wax+") and not isinstance(file, int) and _inside(folder, file):
            raise OSError(number, os.strerror(number), os.fspath(file))
        return _io_open(file, mode, *rest, **named)

    for name in ("mkdir", "replace", "rename", "link", "unlink", "remove", "truncate"):
        setattr(os, name, refused(name))
    os.open, io.open, builtins.open = open_, io_open, io_open


def refuse_locks(number: int, folder: str) -> None:
    """No lock can be taken, nor asked for."""

    def flock(descriptor: Any, operation: int) -> None:
        if _inside(folder, descriptor if isinstance(descriptor, int) else descriptor.fileno()):
            raise OSError(number, os.strerror(number))
        _flock(descriptor, operation)

    fcntl.flock = flock


def refuse_folder_syncs(number: int, folder: str) -> None:
    """The names in a folder cannot be flushed."""

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and _inside(folder, descriptor):
            raise OSError(number, os.strerror(number))
        _fsync(descriptor)

    os.fsync = fsync


CALLS = {"change": refuse_changes, "lock": refuse_locks, "folder-sync": refuse_folder_syncs}

if __name__ == "__main__":
    names, number, folder, *arguments = sys.argv[1:]
    for name in names.split(","):
        CALLS[name](getattr(errno, number), os.path.realpath(folder))
    from interp.cli import main

    main(arguments)
