"""Mending a damaged run: what is damaged is set aside, never deleted, and the rest is a run that opens again."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from interp.cores import check_threads
from interp.errors import DataError
from interp.reading import parsed_json, read_file
from interp.store.checking import examine
from interp.store.consequences import Changes, explain
from interp.store.durable import explained, make_directory, sha256, write_atomically
from interp.store.findings import Finding
from interp.store.journal import read_manifest
from interp.store.locking import locked
from interp.store.manifest import (
    DAMAGED,
    HISTORY,
    JOURNAL,
    LOG,
    MANIFEST,
    RECORD,
    RESUME,
    SPLIT,
    TASK,
    Entry,
    Manifest,
    moments_name,
)
from interp.store.missing import no_run
from interp.store.remaking import mend_manifest, publish_salvaged
from interp.store.replacing import replace_manifest
from interp.store.resume import read_resume
from interp.store.run import Run, open_run
from interp.store.run_log import check_log, write_log
from interp.store.salvage import bytes_of, own_state, until, with_one_bit_mended
from interp.store.setting_aside import Aside
from interp.store.task_file import pack_split
from interp.store.tensors import unpack
from interp.store.writer import check_folders

# Without these nothing of a run makes sense: they are mended or restored, and never set aside.
_NEEDED = (RECORD, TASK, SPLIT)


@dataclass(frozen=True)
class Repaired:
    """What was done to a run.

    Args:
        done: each file that was set aside or mended, and what that means for the run.
        left: what is still wrong: a file without which the run makes no sense, to be restored from a copy.
        run: as it is now.
    """

    done: tuple[Finding, ...]
    left: tuple[Finding, ...]
    run: Run


def repair(path: Path, *, threads: int | None = None) -> Repaired:
    """Set a run's damaged files aside, in its folder ``damaged/``, and make a run of the rest.

    Files that are sound but under another's name are put back; a file that was restored from a copy is taken again. A run of
    which nothing is wrong is left as it is.

    Args:
        path: the run's directory.
        threads: files that are read at once.

    Raises:
        UsageError: if there is no run at this path, or another process is writing it.
        DataError: if it cannot be written, or its run.json is lost.
    """
    if not (path / MANIFEST).is_file() and not (path / RECORD).is_file():
        raise no_run(path)
    check_folders(path)
    with locked(path), explained(path):
        work = _Mending(path, check_threads(threads))
        work.mend()
        run = open_run(path)
        left = examine(run, threads=work.threads).problems
        if work.aside.done:
            write_log(path, "repaired", files=sorted(finding.file for finding in work.aside.done))
    return Repaired(tuple(work.aside.done), left, run)


class _Mending:
    """A run that is being mended; this process holds it."""

    def __init__(self, path: Path, threads: int) -> None:
        self.path, self.threads, self.aside = path, threads, Aside(path)

    def mend(self) -> None:
        mend_manifest(self.aside)
        self._mend_needed()
        wrong = self._wrong()
        if wrong & {MANIFEST, JOURNAL}:  # it fits its own hash, if it has one, but not the rest
            publish_salvaged(self.aside, own_state(self.path))
            wrong = self._wrong()
        manifest = read_manifest(self.path)
        there = {name for name in wrong if (self.path / name).is_file()}
        for name in sorted(wrong):
            self._mend_file(name, manifest)
        mended = self._fitting(manifest)
        if RESUME in wrong:
            mended = self._without_state(mended)
        if mended != manifest:
            self._publish(mended)
        found = Changes(manifest, mended, wrong=frozenset(wrong - {MANIFEST, JOURNAL, *_NEEDED}), there=frozenset(there))
        self.aside.done += explain(found)

    def _wrong(self) -> set[str]:
        """The files of which something is wrong."""
        return {finding.file for finding in examine(open_run(self.path), threads=self.threads).problems}

    def _mend_needed(self) -> None:
        """The files without which the run makes no sense: one wrong bit is found by trying, and a split can be drawn again."""
        manifest = read_manifest(self.path)
        for name in _NEEDED:
            entry, path = manifest.files.get(name), self.path / name
            data = bytes_of(self.path, name) or b""
            if entry is None or Entry.of(data) == entry:
                continue
            mended = with_one_bit_mended(data, entry)
            if mended is None and name == SPLIT:
                mended = self._drawn_again(entry)
            if mended is not None:
                self.aside.keep_copy(name)
                write_atomically(path, mended)
                self.aside.say(name, "mended: it has the bytes that were saved")

    def _drawn_again(self, entry: Entry) -> bytes | None:
        """The split that the config's seed gives, if it is the one that was saved."""
        with suppress(DataError):
            config = open_run(self.path).config
            split = config.split.draw(config.task)
            data = pack_split(split)
            return data if Entry.of(data) == entry else None
        return None

    def _mend_file(self, name: str, manifest: Manifest) -> None:
        """Set a file aside; of one that only has too much at its end, that; of the log, what follows the damage."""
        path = self.path / name
        if name in (*_NEEDED, MANIFEST, JOURNAL) or not os.path.lexists(path):
            return
        entry = manifest.files.get(HISTORY)
        if name == LOG:
            self.aside.keep_copy(LOG)
            data = bytes_of(self.path, LOG) or b""
            write_atomically(path, data[: check_log(data).sound])
        elif name == HISTORY and entry is not None and Entry.of((bytes_of(self.path, name) or b"")[: entry.size]) == entry:
            self.aside.cut_history(entry.size)
        else:
            self.aside.move(name)

    def _fitting(self, manifest: Manifest) -> Manifest:
        """The manifest of what is there: what lies elsewhere in the run is put back, and what is gone is no longer listed."""
        files, set_aside = dict(manifest.files), dict(manifest.set_aside)
        damaged = (path.relative_to(self.path).as_posix() for path in (self.path / DAMAGED).rglob("*"))
        pool = {sha256(data): self.path / name for name in damaged if (data := bytes_of(self.path, name)) is not None}
        for name, entry in {**set_aside, **files}.items():
            path, found = self.path / name, pool.get(entry.sha256)
            if name in _NEEDED or name == RESUME:
                continue
            if not path.exists() and found is not None and found.exists():
                make_directory(path.parent)
                os.rename(found, path)
            data = bytes_of(self.path, name)
            if data is not None and Entry.of(data[: entry.size if name == HISTORY else None]) == entry:
                files[name] = entry
                set_aside.pop(name, None)
            else:
                files.pop(name, None)
                set_aside[name] = entry
        return replace(manifest, files=files, set_aside=set_aside)

    def _publish(self, manifest: Manifest) -> None:
        is_growing = not manifest.final and (self.path / RESUME).is_file()
        replace_manifest(self.path, manifest, read_resume(self.path).tensors if is_growing else None)

    def _without_state(self, manifest: Manifest) -> Manifest:
        """A run whose resume state is lost goes back to the last state that was kept; it stays where it is if there is none."""
        step = max(manifest.moments, default=None)
        entry = manifest.files.get(HISTORY)
        lines = bytes_of(self.path, HISTORY) or b""
        size = None if step is None or entry is None else _size_until(lines[: entry.size], step)
        if step is None or size is None:
            return replace(manifest, set_aside={**manifest.set_aside, RESUME: Entry.of(b"")})
        tensors, _ = unpack(read_file(self.path / moments_name(step), inside=self.path), where=moments_name(step))
        history = Entry.of(lines[:size])
        files = {**until(manifest.files, step), HISTORY: history}
        back = replace(manifest, step=step, status="interrupted", files=files, set_aside=until(manifest.set_aside, step))
        replace_manifest(self.path, back, tensors)
        self.aside.cut_history(size)
        return back


def _size_until(history: bytes, step: int) -> int | None:
    """Length of the history up to the line of a step; None if it has no such line."""
    size = 0
    for line in history.splitlines(keepends=True):
        size += len(line)
        with suppress(ValueError, KeyError, TypeError):
            if parsed_json(line)["step"] == step:
                return size
    return None
