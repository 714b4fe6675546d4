"""The manifest of a run that grows: ``manifest.json`` as of its beginning, and ``manifest.jsonl`` with a line for each commit.

A commit adds one line, whatever the run holds already. Each line has the hash of what precedes it (for the first, that of what
manifest.json says) and its own, so that no line can be changed, moved or taken out unnoticed. A last line that is not whole is
what a crash left, and does not count. At the end of a run manifest.json is written whole, and the lines go.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from interp.errors import DataError
from interp.reading import JSON_BYTES, read_file
from interp.store.durable import sha256
from interp.store.manifest import (
    GROWING,
    JOURNAL,
    MANIFEST,
    MOST_STEPS,
    Entry,
    Manifest,
    Status,
    check_names,
    entries,
    is_count,
    is_hash,
    parse_json,
)
from interp.store.missing import no_run

_HASH = b', "sha256": "'
_LINES_BYTES = 2**30  # some two million lines: one every two seconds for six weeks
_READS = 100  # attempts to read both files while a writer replaces them


@dataclass(frozen=True)
class Commit:
    """One line.

    Attributes:
        after: hash of what precedes it.
        step: the last step that is committed.
        status: `running` or `interrupted`.
        files: entries that are new or have changed.
    """

    after: str
    step: int
    status: Status
    files: Mapping[str, Entry]

    def values(self) -> dict[str, Any]:
        """As it is written, but for its own hash."""
        files = {name: {"size": entry.size, "sha256": entry.sha256} for name, entry in self.files.items()}
        return {"after": self.after, "step": self.step, "status": self.status, "files": files}

    @property
    def sha256(self) -> str:
        """Its hash, which covers all lines before it."""
        return sha256(json.dumps(self.values())[:-1].encode())

    def line(self) -> bytes:
        """Its line: the hash is that of everything before ``, "sha256"``."""
        body = json.dumps(self.values())[:-1].encode()
        return body + _HASH + sha256(body).encode() + b'"}\n'

    @classmethod
    def of(cls, values: Any, *, where: str) -> Commit:
        """Read what `values` returned."""
        try:
            commit = cls(values["after"], values["step"], values["status"], entries(values["files"], where=where))
            check_names(commit.files, where=where)
            is_known = is_hash(commit.after) and commit.status in ("running", "interrupted")
            if not is_known or not is_count(commit.step, MOST_STEPS):
                raise ValueError(f"status {commit.status!r} and step {commit.step!r} after {commit.after!r} make no sense")
            return commit
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{where}: damaged, not a commit ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class Journal:
    """A manifest and the commits after it, as they are on the disk.

    Attributes:
        base: the manifest without them.
        grows: whether it is the manifest of a run that grows.
        commits: each with where its line ends; all of them sound.
        tail: bytes after them: a line that is not whole.
    """

    base: Manifest
    grows: bool
    commits: Sequence[tuple[Commit, int]] = ()
    tail: bytes = b""

    @cached_property
    def start(self) -> str:
        """Hash of what the manifest says without commits."""
        return self.base.hash_of_content(growing=self.grows)

    @property
    def heads(self) -> dict[str, int]:
        """Where the lines end after which a hash is that of everything before."""
        return {self.start: 0, **{commit.sha256: end for commit, end in self.commits}}

    def manifest(self) -> Manifest:
        """What the run holds."""
        if not self.commits:
            return self.base
        files = dict(self.base.files)
        for commit, _ in self.commits:
            files.update(commit.files)
        last = self.commits[-1][0]
        set_aside = {name: entry for name, entry in self.base.set_aside.items() if name not in files}
        return replace(self.base, step=last.step, status=last.status, files=files, set_aside=set_aside)


def read_journal(path: Path) -> Journal:
    """What a run's manifest says, in both of its parts.

    Raises:
        UsageError: if there is no run at this path, with the nearest name that is one.
        DataError: if it is damaged.
    """
    where = path / MANIFEST
    for _ in range(_READS):
        if not os.path.isfile(where):
            raise no_run(path)
        data = _read(where)
        values = parse_json(data, where=str(where))
        base = Manifest.from_values(values, where=str(where))
        if values["format"] != GROWING:
            return Journal(base, grows=False)
        lines = _read(path / JOURNAL) if (path / JOURNAL).exists() else b""
        if _read(where) == data:  # not replaced in the meantime
            begun = Journal(base, grows=True)
            commits = tuple(_commits(lines, begun.start, where=f"{path / JOURNAL}"))
            return replace(begun, commits=commits, tail=lines[commits[-1][1] if commits else 0 :])
    raise DataError(f"{where}: changes faster than it can be read")


def read_manifest(path: Path) -> Manifest:
    """What a run holds, without its config.

    Raises:
        UsageError, DataError: as `read_journal`.
    """
    return read_journal(path).manifest()


def is_growing(data: bytes) -> bool:
    """Whether these bytes of a manifest.json are of a run that grows, so that there may be lines beside it."""
    return bool(parse_json(data, where=MANIFEST)["format"] == GROWING)


def manifest_digest(path: Path) -> str:
    """Hash of the bytes that say what a run holds."""
    return sha256(_read(path / MANIFEST) + _read(path / JOURNAL))


def _read(path: Path) -> bytes:
    try:
        return read_file(path, at_most=_LINES_BYTES if path.name == JOURNAL else JSON_BYTES, inside=path.parent)
    except FileNotFoundError:  # just gone: the run has ended, or was deleted
        return b""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _commits(data: bytes, start: str, *, where: str) -> Iterator[tuple[Commit, int]]:
    """The sound lines and where each ends; the last may be what a crash left, any other must be sound."""
    after, end = start, 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        commit = _commit(line, after, where=f"{where}: line {number}")
        if commit is None:
            if end + len(line) < len(data):
                raise DataError(
                    f"{where}: line {number} is damaged, missing or in the wrong place: it does not fit its hash and that of the "
                    f"lines before it; `interp verify --repair {shlex.quote(str(Path(where).parent))}` makes the run of what its "
                    "files prove, or restore it from a copy"
                )
            return
        after, end = _hash_of(line), end + len(line)
        yield commit, end


def _commit(line: bytes, after: str, *, where: str) -> Commit | None:
    """A line, if it is whole and fits what precedes it."""
    body, mark, _ = line.rpartition(_HASH)
    if not mark or line != body + _HASH + sha256(body).encode() + b'"}\n':
        return None
    commit = Commit.of(parse_json(body + b"}", where=where), where=where)
    return commit if commit.after == after else None


def _hash_of(line: bytes) -> str:
    return line.rpartition(_HASH)[2][:64].decode()
