"""What a damaged file still proves: half a hash that fits a file's bytes is right, and so is a bit whose flip makes a hash fit.

A manifest that is damaged in one place still has the hashes of nearly all files, and half of the others: that is evidence enough.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import get_args

from interp.errors import DataError
from interp.reading import parsed_json, read_file
from interp.store.journal import Commit
from interp.store.manifest import (
    CHECKPOINTS,
    HISTORY,
    JOURNAL,
    LOG,
    MANIFEST,
    MOMENTS,
    RECORD,
    RESUME,
    SERIES,
    SPLIT,
    TASK,
    Entry,
    Extension,
    Manifest,
    Reason,
    Status,
    checkpoint_name,
    is_own,
    step_of,
)
from interp.store.packed import unpack_arrays
from interp.store.resume import ResumeState, read_resume
from interp.store.run_log import check_log

_ENTRY = re.compile(rb'"([^"\n]+)":\s*\{\s*"size":\s*(\d+),\s*"sha256":\s*"([0-9a-f]{64})"')
_HALF = 32  # digits of a hash that prove it: 128 bits
_SMALL = 2**14  # bytes; the flip of one bit is looked for by trying them all


def bytes_of(path: Path, name: str) -> bytes | None:
    """The bytes of a run's file, sound or not; None if there is no regular file of its own."""
    with suppress(OSError):
        return read_file(path / name, inside=path)
    return None


def evidence(path: Path, state: ResumeState | None = None) -> bytes:
    """All bytes that say what a run holds: its manifest, the lines beside it, and the line that is in a resume state."""
    parts = [bytes_of(path, name) or b"" for name in (MANIFEST, JOURNAL)]
    line = state.commit.line() if state is not None and isinstance(state.commit, Commit) else b""
    return b"\n".join([*parts, line])


def begun_with(path: Path, found: bytes) -> bytes | None:
    """The manifest of a run at its beginning, which follows from its files, if it is the one that the lines come after."""
    files = {name: Entry.of(data) for name in (RECORD, SPLIT, TASK) if (data := bytes_of(path, name)) is not None}
    begun = Manifest(files=files)
    known = _is_known(Entry(0, begun.hash_of_content(growing=True)), _halves(found))
    return begun.to_json(growing=True) if known else None


def own_state(path: Path) -> ResumeState | None:
    """The resume state, if it is sound and this run's: the history on the disk begins as it says, or a line names its hash."""
    try:
        state = read_resume(path)
    except DataError:
        return None
    commit, known = state.commit, None
    if isinstance(commit, Manifest):
        with suppress(DataError):
            known = Manifest.from_json(bytes_of(path, MANIFEST) or b"", where=MANIFEST)
        return state if known is None or known.files.get(RECORD) == commit.files.get(RECORD) else None
    entry, halves = commit.files.get(HISTORY), _halves(evidence(path))
    if entry is not None and Entry.of((bytes_of(path, HISTORY) or b"")[: entry.size]) == entry:
        return state
    return state if any(_is_known(Entry(0, one), halves) for one in (commit.after, commit.sha256)) else None


def salvaged_manifest(path: Path, damaged: bytes, commit: Commit | None = None) -> Manifest:
    """A run's manifest from its damaged bytes and from the run's files.

    Args:
        path: the run's directory.
        damaged: the bytes of its manifest, and of the lines beside it.
        commit: that of its resume state, to which an unfinished run goes back or on.

    Raises:
        DataError: if not even run.json is proved.
    """
    files = dict(_proved(path, _halves(damaged)))
    if RECORD not in files:
        raise DataError(
            f"{path / MANIFEST}: damaged or lost, and no hash in it fits {RECORD}, without which no run can be opened; restore "
            "one of them from a copy"
        )
    thinned = _thinned(path, damaged, files)
    proved = {half for entry in files.values() for half in (entry.sha256[:_HALF], entry.sha256[_HALF:])}
    set_aside = {
        name: entry
        for name, entry in _listed(damaged)
        if name not in {**files, **thinned} and not {entry.sha256[:_HALF], entry.sha256[_HALF:]} & proved
    }
    if commit is not None:
        return replace(_as_of(commit, files, set_aside), extended=_extension(damaged))
    step = _last_step(path, files)
    status, reason = _ending(path, damaged, step)
    return Manifest(step, status, reason, files, thinned, set_aside, _extension(damaged))


def with_one_bit_mended(data: bytes, entry: Entry) -> bytes | None:
    """The bytes that an entry is of, if a small file differs from them in one bit; None if it does not."""
    if len(data) != entry.size or len(data) > _SMALL:
        return None
    before = hashlib.sha256()
    for at, byte in enumerate(data):
        for bit in range(8):
            found = before.copy()
            found.update(bytes([byte ^ 1 << bit]) + data[at + 1 :])
            if found.hexdigest() == entry.sha256:
                return data[:at] + bytes([byte ^ 1 << bit]) + data[at + 1 :]
        before.update(data[at : at + 1])
    return None


def until(files: Mapping[str, Entry], step: int) -> dict[str, Entry]:
    """The files of which none is of a later step."""
    return {name: one for name, one in files.items() if max(step_of(name) or 0, step_of(name, MOMENTS) or 0) <= step}


def _as_of(commit: Commit, files: Mapping[str, Entry], set_aside: Mapping[str, Entry]) -> Manifest:
    """What a run holds at a commit, whose own files are known from it."""
    held = {**until(files, commit.step), **commit.files}
    gone = {name: entry for name, entry in until(set_aside, commit.step).items() if name not in held}
    return Manifest(commit.step, commit.status, None, held, set_aside=gone)


def _halves(damaged: bytes) -> set[str]:
    """Everything in a manifest's bytes that could be half a hash: what damaged one half of it has spared the other."""
    return {found[1].decode() for found in re.finditer(rb"(?=([0-9a-f]{32}))", damaged)}


def _proved(path: Path, halves: set[str]) -> Iterator[tuple[str, Entry]]:
    """The files of whose hash a half is known; of the history, the longest part of whole lines of which this is true."""
    kept = (file for folder in (CHECKPOINTS, MOMENTS, SERIES) for file in sorted((path / folder).glob("*.safetensors")))
    for name in (RECORD, SPLIT, TASK, *(file.relative_to(path).as_posix() for file in kept)):
        data = bytes_of(path, name)
        if data is not None and _is_known(entry := Entry.of(data), halves):
            yield name, entry
    running, size, longest = hashlib.sha256(), 0, None
    for line in (bytes_of(path, HISTORY) or b"").splitlines(keepends=True):
        running.update(line)
        size += len(line)
        found = Entry(size, running.hexdigest())
        longest = found if _is_known(found, halves) else longest
    if longest is not None:
        yield HISTORY, longest


def _is_known(entry: Entry, halves: set[str]) -> bool:
    return entry.sha256[:_HALF] in halves or entry.sha256[_HALF:] in halves


def _listed(damaged: bytes) -> Iterator[tuple[str, Entry]]:
    """The entries of a manifest that can still be read; whether they are right is another matter."""
    for name, size, found in _ENTRY.findall(damaged):
        told = name.decode(errors="replace")
        if is_own(told) or told == RESUME:  # or the name itself is what is damaged
            yield told, Entry(int(size), found.decode())


def _thinned(path: Path, damaged: bytes, files: Mapping[str, Entry]) -> dict[str, Entry]:
    """The checkpoints that are gone since they were measured: kept series, which are proved, have their steps and hashes."""
    sizes = {name: entry.size for name, entry in _listed(damaged)}
    usual = Counter(size for name, size in sizes.items() if step_of(name) is not None).most_common(1)
    found = {}
    for name in (name for name in files if name.startswith(f"{SERIES}/")):
        with suppress(DataError, KeyError, TypeError, ValueError):
            _, header = unpack_arrays(bytes_of(path, name) or b"", where=name)
            for step, hashed in zip(header["steps"], header["sha256"], strict=True):
                gone = checkpoint_name(int(step))
                if gone not in files and not (path / gone).exists():
                    found[gone] = Entry(sizes.get(gone, usual[0][0] if usual else 0), str(hashed))
    return found


def _extension(damaged: bytes) -> Extension | None:
    """The larger budget of a run that was given more steps, if it can still be read."""
    told = re.search(rb'"extended": (\{[^{}]*\})', damaged)
    with suppress(ValueError, KeyError, TypeError):
        return None if told is None else Extension.of(parsed_json(told[1]))
    return None


def _last_step(path: Path, files: Mapping[str, Entry]) -> int | None:
    steps = [step for name in files if (step := step_of(name)) is not None]
    if HISTORY in files:
        with suppress(ValueError, KeyError, IndexError, TypeError):
            lines = (bytes_of(path, HISTORY) or b"")[: files[HISTORY].size].splitlines()
            steps.append(int(parsed_json(lines[-1])["step"]))
    return max(steps, default=None)


def _ending(path: Path, damaged: bytes, step: int | None) -> tuple[Status, Reason | None]:
    """How the run ended: as its log says, or else as the damaged manifest does, if that makes sense."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        data = bytes_of(path, LOG) or b""
        for line in map(parsed_json, data[: check_log(data).sound].splitlines()):
            if line["event"] == "finished" and line["step"] == step and line["reason"] in get_args(Reason):
                return "finished", line["reason"]
            if line["event"] == "imported" and line["step"] == step:
                return "finished", "imported"
            if line["event"] == "stopped":
                return "stopped", "non-finite"
    told = re.search(rb'"status": "(\w+)",\s*"reason": (?:"([\w-]+)"|null)', damaged)
    if told is not None:
        status, reason = told[1].decode(), told[2].decode() if told[2] else None
        with suppress(DataError):
            found = Manifest.from_dict(
                {"format": 1, "status": status, "reason": reason, "step": step, "files": {}}, where=MANIFEST
            )
            return found.status, found.reason
    return "interrupted", None
