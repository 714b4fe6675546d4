"""Files that are being written, before they get their names; and what killed writers left of them.

A temporary file is called ``.NAME.interp-XXXXXXXX.tmp``, and its writer holds a lock (flock) on it until it has its name. The
lock ends with the process, however that ends, so a file that nobody has locked is left over: no clock and no process number
is looked at. Where the file system refuses locks it cannot be known, and the file stays.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OURS = re.compile(r"\..+\.interp-[0-9a-f]{8}\.tmp", re.DOTALL)
# Of versions that did not lock them; those of leases, which other processes may be taking, have two dots.
_FORMER = re.compile(r"\.[^.].*\.[0-9a-f]{8}\.tmp", re.DOTALL)
_cleared: set[str] = set()


@contextmanager
def written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """A temporary file in the same directory that holds these bytes, flushed; if the block fails, it goes.

    The first one in a directory also clears away what killed processes left there.
    """
    if (directory := os.path.abspath(path.parent)) not in _cleared:
        _cleared.add(directory)
        clear_temporaries(path.parent)
    temporary, descriptor = _create(path)
    try:
        try:
            write_all(descriptor, data, path)
            yield temporary
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes, path: Path) -> None:
    """Write bytes and flush them; `path` is the file that errors name."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def clear_temporaries(directory: Path) -> None:
    """Delete the temporary files of writers that are gone. Whatever cannot be looked at or deleted stays."""
    for path in _temporaries(directory, _OURS):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def remove_temporaries(directory: Path) -> None:
    """Delete all that killed writers left behind, of earlier versions too. Only for the one who may write there."""
    for pattern in (_OURS, _FORMER):
        for path in _temporaries(directory, pattern):
            path.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether a file of this name was being written, by this version or an earlier one."""
    return any(pattern.fullmatch(name) for pattern in (_OURS, _FORMER))


def _temporaries(directory: Path, pattern: re.Pattern[str]) -> list[Path]:
    with suppress(OSError), os.scandir(directory) as entries:
        return [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
    return []


def _create(path: Path) -> tuple[Path, int]:
    """A new temporary file, locked. Whoever clears up may be faster than the lock: then there is another."""
    while True:
        temporary = path.with_name(f".{path.name}.interp-{secrets.token_hex(4)}.tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # busy with whoever clears up, or a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)
