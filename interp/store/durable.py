"""Bytes on disk that survive a crash at any moment: written beside, flushed, then moved into place."""

from __future__ import annotations

import errno
import hashlib
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interp.errors import DataError
from interp.reading import read_file
from interp.store.noted import note_once
from interp.store.temporaries import write_all, written_beside

# A folder may be a stranger's: no link is followed to what is written, and nothing is waited for that nobody reads.
NO_LINK = os.O_NOFOLLOW | os.O_NONBLOCK
# How file systems say that they cannot flush a directory; a disk that fails says something else.
_NO_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def sha256(data: bytes) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Put bytes at a path, replacing what is there: at every moment the old file or the new one is there, whole.

    The bytes are on the disk when this returns. The file's mode follows the umask.
    """
    with written_beside(path, data) as temporary:
        os.replace(temporary, path)
    sync_directory(path.parent)


def write_output(path: Path, data: bytes) -> Path:
    """Write a file that was asked for, as `write_atomically` does; returns its path.

    Raises:
        DataError: if it cannot be written.
    """
    try:
        with written_beside(path, data) as temporary:
            os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); {_state_of(path)}") from error
    try:
        sync_directory(path.parent)
    except OSError as error:
        raise DataError(f"{path}: is written, but may be gone after a power cut ({error.strerror})") from error
    return path


def write_new(path: Path, data: bytes) -> None:
    """Put bytes at a path where there is nothing yet; a file that is already there must hold the same bytes, and is left alone.

    The bytes are on the disk when this returns, their name only after `sync_directory`.

    Raises:
        DataError: if a file with other bytes is there. It is never overwritten.
    """
    if not path.exists():
        with written_beside(path, data) as temporary:
            is_new = _link(temporary, path)
            temporary.unlink(missing_ok=True)
        if is_new:
            return
    if read_file(path, inside=path.parent) != data:
        raise DataError(
            f"{path} exists and holds other bytes than those to be saved there; it is left as it is. "
            "Equal runs give equal bytes on one machine with one set of libraries: resume where it was begun, "
            "record under another name, or move that file away"
        )


def append(path: Path, data: bytes) -> None:
    """Add bytes at the end of a file, which is made if it is not there; they are on the disk when this returns."""
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_LINK, 0o666)
    try:
        write_all(descriptor, data, path)
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
    """Flush the names in a directory, as `os.fsync` does the bytes of a file.

    Some file systems (network mounts above all) refuse that, and flush names when they like: it is said once, and all goes on.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            error.filename = error.filename or str(path)
            raise
        note_once(
            "sync",
            f"the file system of {path} does not flush the names of files when asked ({error.strerror}): a crash of this process "
            "loses nothing, but after a power cut the last commits may be missing; what is missing is computed again",
        )
    finally:
        os.close(descriptor)


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


def _state_of(path: Path) -> str:
    """What is there after a file could not be written."""
    return "the file that was there is as it was" if path.exists() else "nothing was left there"
