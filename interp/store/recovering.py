"""Going back to a run's last commit, whatever a crash has left: its line is completed, and what came after is cut off."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from interp.errors import DataError
from interp.reading import read_file
from interp.store.durable import append, write_atomically
from interp.store.journal import Commit, Journal, read_journal
from interp.store.manifest import HISTORY, JOURNAL, MANIFEST, RECORD, RESUME, Entry, Manifest
from interp.store.resume import read_resume

if TYPE_CHECKING:
    from hashlib import _Hash


def recover(path: Path) -> tuple[Manifest, str, Mapping[str, Tensor] | None]:
    """Bring a run's manifest to its last commit, which is that of its resume state.

    Returns:
        What is committed, the hash that the next commit's line comes after, and the state to resume from, None before any.

    Raises:
        DataError: if there is no such state, or it is of another run.
    """
    journal = read_journal(path)
    if not (path / RESUME).exists():
        if journal.manifest().step is not None:
            read_resume(path)  # raises, and says what to do
        return *_growing(path, journal, journal.base), None
    found = read_resume(path)
    if isinstance(found.commit, Manifest):  # of an earlier version
        if found.commit.files.get(RECORD) != journal.base.files.get(RECORD):
            raise _foreign(path)
        return *_growing(path, journal, found.commit), found.tensors
    complete(path, journal, found.commit)
    return read_journal(path).manifest(), found.commit.sha256, found.tensors


def complete(path: Path, journal: Journal, commit: Commit) -> None:
    """Make a commit's line the last one: add it where a crash prevented that, or drop what lies after it.

    Raises:
        DataError: if it does not come after any of the lines.
    """
    heads = journal.heads
    if commit.sha256 in heads:
        _cut(path, heads[commit.sha256])
    elif commit.after in heads:
        _cut(path, heads[commit.after])
        append(path / JOURNAL, commit.line())
    else:
        raise _foreign(path)


def recover_history(path: Path, manifest: Manifest) -> _Hash:
    """Cut off the history's lines after the last commit; returns the hash of those before, to which more can be added.

    Raises:
        DataError: if they are damaged.
    """
    entry = manifest.files.get(HISTORY, Entry.of(b""))
    where = path / HISTORY
    data = read_file(where, inside=path) if where.exists() else b""
    found = hashlib.sha256(data[: entry.size])
    if found.hexdigest() != entry.sha256:
        raise DataError(f"{where}: damaged before its committed end at {entry.size} bytes; restore it from a copy")
    if len(data) > entry.size:
        os.truncate(where, entry.size)
    return found


def _growing(path: Path, journal: Journal, manifest: Manifest) -> tuple[Manifest, str]:
    """Make manifest.json one to which lines can be added: it is of an earlier version, or there is no line yet."""
    start = manifest.hash_of_content(growing=True)
    _cut(path, 0)
    if journal.start != start:
        write_atomically(path / MANIFEST, manifest.to_json(growing=True))
    return manifest, start


def _cut(path: Path, size: int) -> None:
    where = path / JOURNAL
    if where.exists() and where.stat().st_size > size:
        os.truncate(where, size)


def _foreign(path: Path) -> DataError:
    return DataError(f"{path / RESUME}: belongs to another run; restore the right file from a copy")
