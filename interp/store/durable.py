"""Bytes on disk that survive a crash at any moment: written beside, flushed, then moved into place; and who may write."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from interp.errors import DataError, UsageError
from interp.reading import opened, read_file

LOCK = ".lock"
# A folder may be a stranger's: no link is followed to what is written, and nothing is waited for that nobody reads.
_OWN = os.O_NOFOLLOW | os.O_NONBLOCK
_PATIENCE = 10  # attempts to take a lock: a process that only checks may hold it for a moment


def sha256(data: bytes) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Put bytes at a path, replacing what is there: at every moment the old file or the new one is there, whole.

    The bytes are on the disk when this returns. The file's mode follows the umask.
    """
    temporary = _write_beside(path, data)
    os.replace(temporary, path)
    sync_directory(path.parent)


def write_output(path: Path, data: bytes) -> Path:
    """Write a file that was asked for, as `write_atomically` does; returns its path.

    Raises:
        DataError: if it cannot be written.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def write_new(path: Path, data: bytes) -> None:
    """Put bytes at a path where there is nothing yet; a file that is already there must hold the same bytes, and is left alone.

    The bytes are on the disk when this returns, their name only after `sync_directory`.

    Raises:
        DataError: if a file with other bytes is there. It is never overwritten.
    """
    if not path.exists():
        temporary = _write_beside(path, data)
        try:
            if _link(temporary, path):
                return
        finally:
            temporary.unlink(missing_ok=True)
    if read_file(path, inside=path.parent) != data:
        raise DataError(
            f"{path} exists and holds other bytes than those to be saved there; it is left as it is. "
            "Equal runs give equal bytes on one machine with one set of libraries: resume where it was begun, "
            "record under another name, or move that file away"
        )


def append(path: Path, data: bytes) -> None:
    """Add bytes at the end of a file, which is made if it is not there; they are on the disk when this returns."""
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OWN, 0o666)
    try:
        _write_all(descriptor, data, path)
    finally:
        os.close(descriptor)
    if is_new:
        sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Make a directory and those above it where they are missing; their names are on the disk when this returns."""
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for directory in missing:
        sync_directory(directory.parent)


def sync_directory(path: Path) -> None:
    """Flush the names in a directory, as `os.fsync` does the bytes of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(directory: Path) -> None:
    """Delete what killed writers left behind. Only for the holder of the lock."""
    for path in directory.glob(".*.tmp"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Be the only process that writes in a directory. The lock ends with the process, however it ends.

    Raises:
        UsageError: if another process holds it.
        DataError: if the directory cannot be written to.
    """
    with explained(directory):
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | _OWN, 0o666)
    try:
        if not _try_lock(descriptor, attempts=_PATIENCE):
            raise UsageError(f"{directory} is being written by another process; wait until it ends, or stop it")
        yield
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Whether some process is writing in a directory at this moment."""
    try:
        with opened(directory / LOCK, inside=directory) as file:
            return not _try_lock(file.fileno(), attempts=1)
    except OSError:
        return False


@contextmanager
def explained(run: Path) -> Iterator[None]:
    """Turn the system's refusals to write (full disk, read-only, ...) into an error that says what is safe and what to do."""
    try:
        yield
    except OSError as error:
        again = f"go on with: interp resume {shlex.quote(str(run))}, or record its stream again"
        is_run = (run / "manifest.json").is_file()
        what = f"What was saved before is unharmed: make room or allow writing, then {again}"
        raise DataError(
            f"{error.filename or run}: cannot be written ({error.strerror}). "
            f"{what if is_run else 'Nothing was saved: make room or allow writing, then try again'}"
        ) from error


def _try_lock(descriptor: int, *, attempts: int) -> bool:
    for attempt in range(attempts):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if attempt + 1 < attempts:
            time.sleep(0.02)
    return False


def _write_beside(path: Path, data: bytes) -> Path:
    """Write bytes to a temporary file in the same directory and flush them; the name is unique, for writers without a lock."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            _write_all(descriptor, data, path)
        finally:
            os.close(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _write_all(descriptor: int, data: bytes, path: Path) -> None:
    """Write bytes and flush them; `path` is the file that errors name."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _link(temporary: Path, path: Path) -> bool:
    """Give a file its name unless that is taken: False if it is."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links; the run's lock keeps other writers away
        if path.exists():
            return False
        os.rename(temporary, path)
    return True
