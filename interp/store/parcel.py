"""A run as one sequence of bytes, to be sent from one machine to another, and checked when it arrives."""

from __future__ import annotations

import io
import secrets
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from interp.errors import DataError
from interp.store.durable import make_directory, sync_directory
from interp.store.locking import LEASE, LOCK
from interp.store.manifest import MANIFEST
from interp.store.run import Run, open_run

_LARGEST = 2**34  # bytes; a run that is sent is thinned out first, and far smaller


def pack_run(path: Path) -> bytes:
    """The files of a run that nobody writes: an uncompressed tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.name != LOCK and file.suffix != ".tmp" and not file.name.startswith(f"{LEASE}."):
                archive.add(file, arcname=file.relative_to(path).as_posix())
    return buffer.getvalue()


def unpack_run(data: bytes, path: Path) -> Run:
    """Write a run that was packed; it gets its name once every file is there and sound.

    Raises:
        DataError: if it is damaged, or cannot be written; nothing is left behind then.
    """
    arriving = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        make_directory(arriving)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                _extract(archive, member, arriving)
        if problems := open_run(arriving).verify(threads=1):
            raise DataError(f"{path}: damaged on the way: {problems[0]}")
        sync_directory(arriving)
        if (path / MANIFEST).is_file():
            return open_run(path)  # somebody else was faster, with the same bytes
        if path.exists():
            shutil.rmtree(path)  # what was begun there, and has no manifest
        arriving.rename(path)
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{path}: a run that arrived cannot be written ({error})") from error
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return open_run(path)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    name = PurePosixPath(member.name)
    if not member.isfile() or name.is_absolute() or ".." in name.parts or member.size > _LARGEST:
        raise DataError(f"given {member.name!r} in a run's archive, expected its regular files only")
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None
    target.write_bytes(content.read())
