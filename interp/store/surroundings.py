"""What lies in a run's directory besides the files that its manifest lists: each is checked in its own way, or named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from interp.errors import DataError
from interp.reading import JSON_BYTES, read_file, read_start
from interp.store.findings import Finding
from interp.store.installation import has_key
from interp.store.journal import is_growing
from interp.store.kept import SERIES_SEAL
from interp.store.leases import is_alive, owner_of
from interp.store.locking import LEASE, LOCK
from interp.store.manifest import (
    CHECKPOINTS,
    DAMAGED,
    HISTORY,
    JOURNAL,
    LOG,
    MANIFEST,
    MOMENTS,
    RESULTS,
    RESUME,
    Manifest,
    series_name,
    step_of,
)
from interp.store.run_log import check_log
from interp.store.sealed import Measured, is_of_earlier_version, unpack_fact, unpack_measured
from interp.wording import counted

if TYPE_CHECKING:
    from interp.store.run import Run

_RESULT = re.compile(r"\w+-[0-9a-f]{16}\.(safetensors|json)")
_UNREADABLE = "cannot be read"


def around(run: Run) -> Iterator[Finding]:
    """Everything worth knowing of what the manifest does not list, and of the manifest itself."""
    yield from _check_manifest(run)
    yield from _check_history_end(run)
    yield from _check_log(run)
    yield from _check_results(run)
    yield from _check_rest(run)


def is_pending(run: Run, name: str) -> bool:
    """Whether a file was left by a process that was killed, or is being written: a run that is unfinished has such files."""
    step = step_of(name) if name.startswith(CHECKPOINTS) else step_of(name, MOMENTS)
    committed = -1 if run.manifest.step is None else run.manifest.step
    return not run.manifest.final and (name.endswith(".tmp") or (step is not None and step > committed))


def is_result(name: str) -> bool:
    """Whether a run's file of this name holds what was measured and is cached."""
    return name.startswith(f"{RESULTS}/") and _RESULT.fullmatch(name.removeprefix(f"{RESULTS}/")) is not None


def is_surplus(run: Run, name: str) -> bool:
    """Whether a file that is not the run's lies where its own lie, so that it could be taken for one."""
    among = name.startswith((f"{CHECKPOINTS}/", f"{MOMENTS}/")) or name in (CHECKPOINTS, MOMENTS)  # a link in a folder's place
    return (among or ("/" not in name and name.endswith(".safetensors"))) and name not in run.manifest.thinned


def names_in(run: Run) -> list[str]:
    """Every file in a run's directory, by its path there."""
    return sorted(path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if not path.is_dir() or path.is_symlink())


def _check_manifest(run: Run) -> Iterator[Finding]:
    if not run.manifest.is_covered:
        told = "has no hash of what it says, as earlier versions wrote it: step and reason are checked against the history alone"
        yield Finding(MANIFEST, told, "note")
    try:
        data = read_file(run.path / MANIFEST, at_most=JSON_BYTES, inside=run.path)
        found = Manifest.from_json(data, where=f"{run.path / MANIFEST}")
    except OSError as error:
        yield Finding(MANIFEST, f"{_UNREADABLE} ({error.strerror})")
        return
    except DataError as error:
        yield Finding(MANIFEST, str(error).removeprefix(f"{run.path / MANIFEST}: "))
        return
    if found.is_covered and data != found.to_json(growing=is_growing(data)):
        yield Finding(MANIFEST, "what it says is unharmed, but another program has written its bytes", "note")
    for name in run.manifest.set_aside:
        yield Finding(name, "set aside earlier, as damaged or missing: no longer part of the run", "note")


def _check_history_end(run: Run) -> Iterator[Finding]:
    path, entry = run.path / HISTORY, run.manifest.files.get(HISTORY)
    committed = 0 if entry is None else entry.size
    surplus = path.lstat().st_size - committed if path.is_file() else 0
    if surplus > 0 and run.manifest.final:
        yield Finding(HISTORY, f"{counted(surplus, 'byte')} after its end at {committed}, which are not the run's")
    elif surplus > 0:
        yield Finding(HISTORY, f"{counted(surplus, 'byte')} after the last commit, which resuming writes again", "note")


def _check_log(run: Run) -> Iterator[Finding]:
    try:
        found = check_log(read_file(run.path / LOG, inside=run.path))
    except FileNotFoundError:
        yield Finding(LOG, "missing: when the run was begun is not known", "note")
        return
    except OSError as error:
        yield Finding(LOG, f"{_UNREADABLE} ({error.strerror})")
        return
    if found.problem is not None:
        yield Finding(LOG, found.problem)
    elif found.note is not None:
        yield Finding(LOG, found.note, "note")
    ends = {"finished", "stopped", "imported"}
    if found.problem is None and run.manifest.final and not ends & set(found.events):
        told = "does not say how the run ended: the process was killed just then, or lines are missing"
        yield Finding(LOG, told, "note")
    elif not found.events and found.problem is None:
        yield Finding(LOG, "empty: when the run was begun is not known", "note")


def _check_results(run: Run) -> Iterator[Finding]:
    """Every cached result against its own hash, and who measured it."""
    elsewhere, sealed = [], set()
    for path in sorted((run.path / RESULTS).glob("*")):
        name = f"{RESULTS}/{path.name}"
        if not _RESULT.fullmatch(path.name):
            continue
        try:
            found = _measured(run.path, name)
        except DataError as error:
            yield Finding(name, str(error).removeprefix(f"{name}: "))
            continue
        if found is None:
            told = "of an earlier version, and has no hash that covers it: this version does not read it"
            yield Finding(name, told, "note")
        elif found.origin != "here":
            elsewhere.append(name)
        elif path.name.startswith(f"{SERIES_SEAL}-"):
            sealed |= set(found.header["value"].items())  # of a recorded loop, and of what was measured before it was thinned
    whose = "not measured by this installation" if has_key() else "where it was measured is not known: no key is kept here"
    for name in elsewhere:
        yield Finding(name, f"{whose}; delete it to measure it here", "note")
    for analysis in run.manifest.series:
        name = series_name(analysis)
        if (name, run.manifest.files[name].sha256) not in sealed:
            yield Finding(name, f"{whose}; its checkpoints are gone, so that it cannot be measured again", "note")


def _measured(run: Path, name: str) -> Measured | None:
    """What a result's file holds; None if an earlier version wrote it, without a hash of all of it.

    Raises:
        DataError: if it is damaged.
    """
    try:
        data = read_file(run / name, inside=run)
    except OSError as error:
        raise DataError(f"{name}: {_UNREADABLE} ({error.strerror})") from error
    if is_of_earlier_version(data):
        return None
    found = unpack_fact(data, where=name) if name.endswith(".json") else unpack_measured(data, where=name)
    if not Path(name).stem.endswith(f"-{found.header['key'][:16]}"):
        raise DataError(f"{name}: holds what belongs under another name, {found.header['key'][:16]}")
    return found


def _check_rest(run: Run) -> Iterator[Finding]:
    """What is left: files that are not the run's."""
    own = {*run.manifest.files, MANIFEST, LOG, HISTORY, LOCK, RESUME, JOURNAL}
    pending = 0
    for name in names_in(run):
        if name in own or name.startswith(f"{LEASE}.") or (name.startswith(f"{RESULTS}/") and _RESULT.fullmatch(Path(name).name)):
            continue
        if is_pending(run, name):
            pending += 1
        elif is_surplus(run, name):
            yield Finding(name, "surplus: not a file of this run")
        else:
            yield Finding(name, _harmless(run, name), "note")
    if pending:
        told = f"{counted(pending, 'file')} after the last commit, or temporary: resuming compares or removes them"
        yield Finding(CHECKPOINTS, told, "note")
    for name in (RESUME, JOURNAL) if run.manifest.final else ():
        if (run.path / name).is_file():
            yield Finding(name, "left by a process that was killed at its end; resuming the run removes it", "note")
    yield from _check_lock(run)


def _check_lock(run: Run) -> Iterator[Finding]:
    try:
        content = read_start(run.path / LOCK, 1000, inside=run.path)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Finding(LOCK, f"{_UNREADABLE} ({error.strerror})")
        return
    if content and is_alive(content) is not True:
        told = f"left by {owner_of(content)}, which does not write the run any more or is not of this machine"
        yield Finding(LOCK, told, "note")


def _harmless(run: Run, name: str) -> str:
    if name in run.manifest.thinned:
        return "thinned out: no longer of the run; thinning it again deletes it"
    if name.startswith(f"{DAMAGED}/"):
        return "set aside by `interp verify --repair`"
    if name.endswith(".tmp"):
        return "left by a process that was killed; it may be deleted"
    return "not a file of this run; nobody reads it"
