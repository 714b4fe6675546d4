"""Going back to a run's last commit, whatever a crash has left: its line is completed, and what came after is cut off."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from interp.errors import DataError
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
    if isinstance(found.commit, Manifest):  # of an earlier version, or mended
        if found.commit.files.get(RECORD) != journal.base.files.get(RECORD):
            raise _foreign(path)
        return *_growing(path, journal, found.commit), found.tensors
    _complete(path, journal, found.commit)
    return read_journal(path).manifest(), found.commit.sha256, found.tensors


def publish(path: Path, manifest: Manifest) -> None:
    """Make a manifest that of the run, whole: there are no lines beside it afterwards.

    Of an unfinished run, its resume state comes first, with the same manifest: then a crash here is recovered from.
    """
    if manifest.final:
        write_atomically(path / MANIFEST, manifest.to_json())
        (path / JOURNAL).unlink(missing_ok=True)
        return
    _cut(path, 0)
    write_atomically(path / MANIFEST, manifest.to_json(growing=True))


def manifest_of_state(path: Path) -> Manifest:
    """The whole manifest as of a run's resume state.

    Raises:
        DataError: if that or the lines before it are damaged or missing, or it is of another run.
    """
    commit, journal = read_resume(path).commit, read_journal(path)
    if isinstance(commit, Manifest):
        return commit
    before, heads = journal.manifest(), journal.heads
    if commit.sha256 in heads:
        commits = tuple(one for one in journal.commits if one[1] <= heads[commit.sha256])
        return replace(journal, commits=commits).manifest()
    if commit.after != list(heads)[-1]:
        raise _foreign(path)
    return replace(before, step=commit.step, status=commit.status, files={**before.files, **commit.files})


def standing(path: Path) -> list[tuple[str, str]]:
    """What is wrong with the resume state and with how it fits the manifest's lines: names of files, and what.

    A last line that is missing or not whole is in order if the resume state has it: that is what a crash leaves.

    Raises:
        DataError: if either cannot be read.
    """
    found, journal = read_resume(path), read_journal(path)
    if isinstance(found.commit, Manifest):
        return []
    commit, heads = found.commit, journal.heads
    last = journal.commits[-1][0].sha256 if journal.commits else journal.start
    if commit.sha256 not in heads and commit.after not in heads:
        return [(RESUME, "belongs to another run, or to another commit than the manifest's")]
    whole = b"" if commit.sha256 in heads else commit.line()
    if last not in (commit.sha256, commit.after) or not whole.startswith(journal.tail):
        return [(JOURNAL, "damaged or foreign at its end: it does not fit the resume state")]
    return []


def recover_history(path: Path, manifest: Manifest) -> _Hash:
    """Cut off the history's lines after the last commit; returns the hash of those before, to which more can be added.

    Raises:
        DataError: if they are damaged.
    """
    entry = manifest.files.get(HISTORY, Entry.of(b""))
    where = path / HISTORY
    data = where.read_bytes() if where.exists() else b""
    found = hashlib.sha256(data[: entry.size])
    if found.hexdigest() != entry.sha256:
        raise DataError(f"{where}: damaged before its committed end at {entry.size} bytes; restore it from a copy")
    if len(data) > entry.size:
        os.truncate(where, entry.size)
    return found


def _growing(path: Path, journal: Journal, manifest: Manifest) -> tuple[Manifest, str]:
    """Make manifest.json one to which lines can be added: it is of an earlier version, or there is no line yet."""
    start = manifest.hash_of_content(growing=True)
    if journal.start != start or journal.commits or journal.tail:
        publish(path, manifest)
    return manifest, start


def _complete(path: Path, journal: Journal, commit: Commit) -> None:
    """Make a commit's line the last one: add it where a crash prevented that, or drop what lies after it."""
    heads = journal.heads
    if commit.sha256 in heads:
        _cut(path, heads[commit.sha256])
    elif commit.after in heads:
        _cut(path, heads[commit.after])
        append(path / JOURNAL, commit.line())
    else:
        raise _foreign(path)


def _cut(path: Path, size: int) -> None:
    where = path / JOURNAL
    if where.exists() and where.stat().st_size > size:
        os.truncate(where, size)


def _foreign(path: Path) -> DataError:
    return DataError(f"{path / RESUME}: belongs to another run; restore the right file from a copy")
