"""Taking runs away, and giving them other names. Only a run's own files are touched, by the one process that may write there.

Nothing is followed: a run that is a link is refused, and so is one with a link in the place of a folder or a file of its own. A
file that is not the run's stays where it is, and its folder with it. The manifest goes last: a process that is killed meanwhile
leaves a run that is still one, and that the same call takes away.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from interp.errors import DataError, UsageError
from interp.store.durable import explained, sync_directory
from interp.store.locking import LEASE, LOCK, LockKind, locked
from interp.store.manifest import (
    CHECKPOINTS,
    DAMAGED,
    HISTORY,
    JOURNAL,
    LOG,
    MANIFEST,
    MOMENTS,
    RECORD,
    RESULTS,
    RESUME,
    SERIES,
    SPLIT,
    TASK,
    is_own,
)
from interp.store.missing import no_run
from interp.store.run import open_run
from interp.store.run_paths import run_path
from interp.store.surroundings import is_pending, is_result
from interp.store.temporaries import is_temporary

_FOLDERS = (CHECKPOINTS, MOMENTS, SERIES, RESULTS, DAMAGED)
_ALWAYS = {LOCK, MANIFEST, JOURNAL, LOG, RESUME, RECORD, SPLIT, TASK, HISTORY}
_NUMBER = re.compile(r"\.[0-9]+$")  # of a second file of a name that was set aside


@dataclass(frozen=True)
class Parts:
    """What a run's directory holds, in bytes.

    Args:
        checkpoints: of its checkpoints.
        results: what was measured: cached results and series.
        states: whole states of the training that were kept.
        rest: all other files of its own.
        foreign: files that are not the run's.
        own: its own files, by their paths in it.
        others: those that are not.
    """

    checkpoints: int
    results: int
    states: int
    rest: int
    foreign: int
    own: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def total(self) -> int:
        """Bytes of the run's own files."""
        return self.checkpoints + self.results + self.states + self.rest


def parts_of(path: Path) -> Parts:
    """What lies in a run's directory. Links are files that are not the run's, and are not followed."""
    sizes: dict[str, int] = {}
    own, others, foreign = [], [], 0
    is_of_run = _names_of(path)
    for name, size, is_plain in _files(path):
        if is_plain and is_of_run(name):
            own.append(name)
            kind = name.split("/")[0] if "/" in name else ""
            sizes[kind] = sizes.get(kind, 0) + size
        else:
            others.append(name)
            foreign += size
    measured = sizes.pop(RESULTS, 0) + sizes.pop(SERIES, 0)
    weights, states = sizes.pop(CHECKPOINTS, 0), sizes.pop(MOMENTS, 0)
    return Parts(weights, measured, states, sum(sizes.values()), foreign, tuple(sorted(own)), tuple(sorted(others)))


def check_removable(path: Path) -> None:
    """Refuse what is no run, or a link to one.

    Raises:
        UsageError: naming it.
    """
    if path.is_symlink():
        raise UsageError(f"{path} is a link, and what it leads to is left alone; name the run itself, or delete the link")
    if not (path / MANIFEST).is_file():
        raise no_run(path)


def remove(path: Path, *, lock: LockKind | None = None) -> Parts:
    """Delete a run: its own files, and its directory where nothing else lies in it. Returns what was there.

    Raises:
        UsageError: if there is no run, it is a link, or another process writes it.
        DataError: if a link lies in a file's place, or something cannot be deleted; the run is then still one.
    """
    check_removable(path)
    from interp.store.writer import check_own  # only here: it needs torch, and sizes do not

    check_own(path)
    with explained(path), locked(path, lock) as allowed:
        allowed()
        found = parts_of(path)
        last = (MANIFEST, LOCK)
        for name in (*(name for name in found.own if name not in last), MANIFEST):
            with suppress(FileNotFoundError):
                os.unlink(path / name)
        for folder in sorted({str(Path(name).parent) for name in found.own if "/" in name}, key=len, reverse=True):
            _remove_if_empty(path / folder)
        for folder in _FOLDERS:
            _remove_if_empty(path / folder)
        with suppress(FileNotFoundError):
            os.unlink(path / LOCK)
    for lease in path.glob(f"{LEASE}.*"):  # this process' own, given back just now
        lease.unlink(missing_ok=True)
    _remove_if_empty(path)
    sync_directory(path.parent)
    return found


def rename(path: Path, name: str, *, lock: LockKind | None = None) -> Path:
    """Give a run another name, in the same root. Returns where it is.

    Raises:
        UsageError: if there is no run, it is a link, another process writes it, the name is taken or cannot be one, or the run is
            part of a study, which finds its runs by their names.
        DataError: if it cannot be renamed.
    """
    check_removable(path)
    there = run_path(path.parent, name)
    study = path.absolute().parents[1]  # whose runs lie in a folder of its own
    if (study / "study.json").is_file():
        raise UsageError(f"{path} is part of the study {study.name}, which finds its runs by their names")
    if os.path.lexists(there):
        raise UsageError(f"name: given {name!r}, but {there} is there already; choose another")
    from interp.store.writer import check_own  # only here: it needs torch, and sizes do not

    check_own(path)
    with explained(path), locked(path, lock) as allowed:
        allowed()
        os.rename(path, there)
        for lease in there.glob(f"{LEASE}.*"):  # this process' own, which it cannot give back under the old name
            lease.unlink(missing_ok=True)
    sync_directory(path.parent)
    return there


def _names_of(path: Path) -> Callable[[str], bool]:
    """Whether a file is of the run, by its name: of a run that cannot be opened, by what a run's files are called."""
    try:
        run = open_run(path)
    except (DataError, UsageError):
        listed: set[str] | None = None
    else:
        listed = {*run.manifest.files, *run.manifest.thinned, *run.manifest.set_aside}

    def is_of_run(name: str) -> bool:
        plain = name.rpartition("/")[2]
        if name in _ALWAYS or name.startswith(f"{LEASE}.") or is_temporary(plain) or is_result(name):
            return True
        if name.startswith(f"{DAMAGED}/"):
            first = name.removeprefix(f"{DAMAGED}/")
            return any(one in _ALWAYS or is_own(one) or is_result(one) for one in (first, _NUMBER.sub("", first)))
        return is_own(name) if listed is None else name in listed or is_pending(run, name)

    return is_of_run


def _files(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Every entry that is no folder, by its path in a directory, with its size, and whether it is a regular file."""
    folders = [""]
    while folders:
        inside = folders.pop()
        with suppress(FileNotFoundError), os.scandir(path / inside) as entries:
            for entry in entries:
                name = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    yield name, entry.stat(follow_symlinks=False).st_size, entry.is_file(follow_symlinks=False)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not there, or holds what is not the run's
        os.rmdir(folder)
