"""Reading what anybody may have made: regular files only, never waited for, up to a size; and JSON that is not out to harm."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

# Bytes of a JSON file. The manifest of a run with 100,000 checkpoints has 15 million.
JSON_BYTES = 2**26
# Bytes of any file that is read whole, whatever size is stated for it.
LARGEST = 2**34
# Containers within containers; a configuration nests three deep.
DEPTH = 64
# Digits of an integer: one of more is no float any more.
DIGITS = 300

_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


def read_file(path: Path, *, at_most: int = LARGEST, inside: Path | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        at_most: bytes that it may have; nothing is read of a larger one.
        inside: a folder above it, below which no link is followed.

    Raises:
        OSError: if it is something else, too large, or cannot be opened; `strerror` says what it is.

    >>> read_file(Path("/dev/null"))
    Traceback (most recent call last):
    OSError: [Errno 22] it is a device, expected a file: '/dev/null'
    """
    with opened(path, inside=inside) as file:
        data = _read(file, at_most + 1, path, size=os.fstat(file.fileno()).st_size)
    if len(data) > at_most:
        raise _too_large(len(data), at_most, path)
    return data


def read_start(path: Path, size: int, *, inside: Path | None = None) -> bytes:
    """The first bytes of a regular file that may have more, as `read_file`."""
    with opened(path, inside=inside) as file:
        return _read(file, size, path, size=min(size, os.fstat(file.fileno()).st_size))


@contextmanager
def opened(path: Path, *, inside: Path | None = None) -> Iterator[BinaryIO]:
    """A regular file, open for reading; see `read_file`."""
    descriptor = _open(path) if inside is None else _open_inside(inside, path)
    with os.fdopen(descriptor, "rb") as file:
        yield file


def check_file(path: Path, *, inside: Path | None = None) -> None:
    """Refuse what `opened` does: for libraries that open a file by its name.

    Raises:
        OSError: as `read_file`.
    """
    with opened(path, inside=inside):
        pass


def parsed_json(text: bytes | str) -> Any:
    """A JSON value, nested less than `DEPTH` deep, without integers that are no float.

    Raises:
        ValueError: if it is anything else.

    >>> parsed_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: nested more than 64 deep
    """
    if isinstance(text, bytes):  # as `json.loads` does
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    try:
        value = _decoder().decode(text) if not text.startswith("\ufeff") else json.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {DEPTH} deep") from None
    if text.count("{") + text.count("[") <= DEPTH:  # so few cannot be nested deeper
        return value
    level, depth = [value], 0
    while level := [inner for one in level for inner in _inside(one)]:
        depth += 1
        if depth > DEPTH:
            raise ValueError(f"nested more than {DEPTH} deep")
    return value


@cache
def _decoder() -> json.JSONDecoder:
    """One for all files: to make it takes longer than to read a small one."""
    return json.JSONDecoder(parse_int=_integer)


def _inside(value: Any) -> Iterator[Any]:
    """The containers in a container."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in inner if isinstance(one, dict | list))


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits")
    return int(digits)


def _open(path: Path | str, *, folder: int | None = None, named: Path | None = None) -> int:
    """A descriptor of a regular file; in a folder, of one that is no link."""
    shown = str(named or path)
    try:
        # Before it is opened: to open some devices does something.
        _check_regular(os.stat(path, dir_fd=folder, follow_symlinks=folder is None).st_mode, shown)
        follow = 0 if folder is None else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow, dir_fd=folder)
    except OSError as error:
        error.filename = shown
        raise
    except ValueError as error:  # a name with a zero in it
        raise OSError(errno.EINVAL, str(error), shown) from error
    try:
        _check_regular(os.fstat(descriptor).st_mode, shown)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _open_inside(inside: Path, path: Path) -> int:
    """A descriptor of a regular file below a folder, none of whose folders below it is a link."""
    above, whole = f"{inside}/", str(path)
    *folders, name = whole[len(above) :].split("/") if whole.startswith(above) else path.relative_to(inside).parts
    at = os.open(inside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, folder in enumerate(folders, start=1):
            _check_no_link(folder, at, inside.joinpath(*folders[:number]))
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        return _open(name, folder=at, named=path)
    finally:
        os.close(at)


def _check_no_link(name: str, folder: int, path: Path) -> None:
    if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise OSError(errno.ELOOP, "it is a link, expected a folder", str(path))


def _check_regular(mode: int, shown: str) -> None:
    if not stat.S_ISREG(mode):
        number = errno.ELOOP if stat.S_ISLNK(mode) else errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, f"it is {_KINDS.get(stat.S_IFMT(mode), 'no file')}, expected a file", shown)


def _read(file: BinaryIO, most: int, path: Path, *, size: int) -> bytes:
    """At most so many bytes of a file, none if it has more."""
    if size > most or size > LARGEST:
        raise _too_large(size, min(most - 1, LARGEST), path)
    try:
        # As much room as the file has, and one byte: what is asked for is allocated. One that has grown since is read on.
        data = file.read(min(most, size + 1))
        while size < len(data) < most and (more := file.read(min(most - len(data), len(data)))):
            data += more
        return data
    except MemoryError:
        raise OSError(errno.ENOMEM, f"its {size:,} bytes do not fit into memory", str(path)) from None


def _too_large(size: int, at_most: int, path: Path) -> OSError:
    return OSError(errno.EFBIG, f"it has {size:,} bytes, expected at most {at_most:,}", str(path))
