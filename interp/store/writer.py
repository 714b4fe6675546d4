"""Writing a run: add checkpoints and history, commit; or resume an interrupted one.

Order is what makes it safe. Checkpoints are flushed before they get their names. A commit appends the history, then replaces the
resume state, which holds its line of the manifest, then appends that line, from which readers read. Whatever was written after
the last commit is written again, byte for byte, on resuming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from interp.errors import DataError, UsageError
from interp.networks.network import Network
from interp.process import still_here
from interp.reading import check_file, read_start
from interp.store import history
from interp.store.durable import append, explained, make_directory, sync_directory, write_atomically, write_new
from interp.store.journal import Commit
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
    Entry,
    Manifest,
    Reason,
    Status,
    checkpoint_name,
    moments_name,
    series_name,
)
from interp.store.recovering import recover, recover_history
from interp.store.resume import ResumeState, write_resume
from interp.store.run import open_run
from interp.store.temporaries import remove_temporaries
from interp.store.tensors import pack, pack_network

_NOT_YET_A_RUN = {LOCK, CHECKPOINTS, MOMENTS, RECORD, SPLIT, TASK, LOG}


@contextmanager
def writing(path: Path, lock: LockKind | None = None) -> Iterator[Callable[[], None]]:
    """Be the only writer of a run's directory, which is made if it is not there.

    Args:
        path: the run's directory.
        lock: how other writers are kept away, see `locked`.

    Yields:
        What a `RunWriter` calls before it writes: it raises if that is no longer allowed.

    Raises:
        UsageError: if another process writes the run, or the directory holds something else.
        DataError: if the directory cannot be made or written to, or its file system refuses locks.
    """
    is_new, is_here = not path.exists(), still_here()
    try:
        make_directory(path)
        strangers = [p.name for p in path.iterdir() if not _may_precede(p.name)]
    except OSError as error:
        raise DataError(f"{path}: cannot be made or read ({error.strerror}); choose another place with --root") from error
    if strangers and not (path / MANIFEST).is_file():
        raise UsageError(f"{path} holds {sorted(strangers)[0]!r} and is not a run; choose another name with --name")
    check_own(path)
    with locked(path, lock) as allowed:
        try:
            yield allowed
        except BaseException:
            if is_new and is_here():
                _take_back(path)
            raise


def _take_back(path: Path) -> None:
    """Remove the directory of a run that was refused before anything was written; it has nothing but the lock."""
    with suppress(OSError):
        if [each.name for each in path.iterdir()] == [LOCK]:
            (path / LOCK).unlink()
            path.rmdir()


def check_own(path: Path) -> None:
    """Refuse to write to a run, or to delete from it, where a link leads out of it or something lies in a file's place.

    Raises:
        DataError: naming it.
    """
    check_folders(path)
    for name in (LOCK, RECORD, SPLIT, TASK, LOG, HISTORY, MANIFEST, JOURNAL, RESUME):
        try:
            check_file(path / name, inside=path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"{path / name}: {error.strerror}: nothing is written there") from error


def check_folders(path: Path) -> None:
    """Refuse to write to a run's folders through a link, which leads out of it.

    Raises:
        DataError: naming it.
    """
    for name in (CHECKPOINTS, MOMENTS, SERIES, RESULTS, DAMAGED):
        if (path / name).is_symlink():
            raise DataError(f"{path / name} is a link, expected a folder of the run's own: nothing is written through it")


def _may_precede(name: str) -> bool:
    """Whether a file may be in a run's directory before that is a run."""
    return name in _NOT_YET_A_RUN or name.startswith(f"{LEASE}.") or name.endswith(".tmp")


class RunWriter:
    """Adds to a run that this process holds with `writing`; first completes or undoes what a killed process left half done.

    Args:
        path: the run's directory.
        allowed: raises if this process may no longer write there; what `writing` gives.

    Attributes:
        path: the run's directory.
        state: the state to resume from; None for a run at its beginning, or a final one.
    """

    path: Path
    state: Mapping[str, Tensor] | None

    def __init__(self, path: Path, allowed: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._allowed = allowed
        run = open_run(path)
        self._status = run.manifest
        self.state = None
        with explained(path):
            for directory in (path, path / CHECKPOINTS, path / MOMENTS):
                remove_temporaries(directory)
            if run.manifest.final:
                self._tidy()
            else:
                self._status, self._head, self.state = recover(path)
                self._hash = recover_history(path, self._status)
                if run.record.get("batch", 1) > 1 or run.is_loop:
                    self._drop_uncommitted()
        self._files = dict(self._status.files)
        self._new: dict[str, Entry] = {}  # since the last commit
        self._lines: list[bytes] = []

    @property
    def manifest(self) -> Manifest:
        """What is committed."""
        return replace(self._status, files={name: entry for name, entry in self._files.items() if name not in self._new})

    def save(self, step: int, network: Network) -> str:
        """Write a checkpoint; returns its hash. It counts from the next commit on.

        Raises:
            DataError: if this step exists with other bytes.
        """
        return self._add(checkpoint_name(step), pack_network(step, network))

    def add_series(self, analysis: str, data: bytes) -> None:
        """Make what an analysis measured part of the run, in place of what it may have measured before: before `finish` only."""
        self._allowed()
        with explained(self.path):
            make_directory(self.path / SERIES)
            write_atomically(self.path / series_name(analysis), data)
        self._note(series_name(analysis), Entry.of(data))

    def save_moments(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Write the whole state of a training at a step. It counts from the next commit on.

        Raises:
            DataError: if this step's exists with other bytes.
        """
        make_directory(self.path / MOMENTS)
        self._add(moments_name(step), pack(state, {"step": step}))

    def add_history(self, step: int, values: Mapping[str, float | None]) -> None:
        """Add a step's line to the history. It counts from the next commit on."""
        self._lines.append(history.encode(step, values))

    def commit(self, step: int, state: Mapping[str, Tensor], *, status: Status = "running") -> None:
        """Commit everything up to a step; the run can resume from it. It takes as long however much there is already.

        Args:
            step: the last step added.
            state: what training needs to resume there.
            status: `running`, or `interrupted` at the end of a session.
        """
        with explained(self.path):
            self._flush()
            commit = Commit(self._head, step, status, dict(self._new))
            write_resume(self.path, ResumeState(state, commit))
            append(self.path / JOURNAL, commit.line())
        self._head = commit.sha256
        self._committed(replace(self._status, step=step, status=status, reason=None))

    def finish(self, step: int | None, *, status: Status, reason: Reason) -> None:
        """Commit everything, for good: the run is `finished` or `stopped` and its resume state is dropped."""
        with explained(self.path):
            self._flush()
            given = replace(self._status, step=step, status=status, reason=reason)
            manifest = replace(given, files=self._files, set_aside=self._still_aside())
            write_atomically(self.path / MANIFEST, manifest.to_json())
            self._tidy()
        self._committed(manifest)

    def last_line(self) -> bytes:
        """The last committed line of the history."""
        if HISTORY not in self._files:
            raise DataError(f"{self.path / HISTORY}: was set aside: the run can be read, but must be recorded under another name")
        committed = read_start(self.path / HISTORY, self._files[HISTORY].size, inside=self.path)
        return committed.splitlines(keepends=True)[-1]

    def _add(self, name: str, data: bytes) -> str:
        self._allowed()
        with explained(self.path):
            write_new(self.path / name, data)
        self._note(name, Entry.of(data))
        return self._files[name].sha256

    def _note(self, name: str, entry: Entry) -> None:
        self._new[name] = self._files[name] = entry

    def _flush(self) -> None:
        """Write pending lines and names to the disk."""
        self._allowed()
        if self._lines:
            data = b"".join(self._lines)
            append(self.path / HISTORY, data)
            self._hash.update(data)
            length = self._files[HISTORY].size if HISTORY in self._files else 0
            self._note(HISTORY, Entry(length + len(data), self._hash.hexdigest()))
            self._lines = []
        sync_directory(self.path / CHECKPOINTS)
        if (self.path / MOMENTS).is_dir():
            sync_directory(self.path / MOMENTS)

    def _committed(self, status: Manifest) -> None:
        self._status, self._new = replace(status, files={}), {}

    def _still_aside(self) -> dict[str, Entry]:
        """What was set aside when the run was repaired, and has not come again since."""
        return {name: entry for name, entry in self._status.set_aside.items() if name not in self._files and name != RESUME}

    def _tidy(self) -> None:
        """Remove what a run at its end does not need; the resume state last, since it says that there is something left to do."""
        for name in (JOURNAL, RESUME):
            (self.path / name).unlink(missing_ok=True)
        sync_directory(self.path)

    def _drop_uncommitted(self) -> None:
        """Remove what was saved after the last commit: in another batch, or somebody else's loop, it may not come again equal."""
        for folder in (CHECKPOINTS, MOMENTS):
            for path in (self.path / folder).glob("step_*.safetensors"):
                if f"{folder}/{path.name}" not in self._status.files:
                    path.unlink()
