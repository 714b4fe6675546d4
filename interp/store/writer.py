"""Writing a run: add checkpoints and history, commit; or resume an interrupted one.

Order is what makes it safe. Checkpoints are flushed before they get their names. A commit appends the history, then replaces the
resume state, which names everything before it, then the manifest, from which readers read. Whatever was written after the last
commit is written again, byte for byte, on resuming.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor

from interp.errors import DataError, UsageError
from interp.networks.network import Network
from interp.reading import check_file, read_file, read_start
from interp.store import history
from interp.store.durable import (
    LOCK,
    append,
    explained,
    locked,
    make_directory,
    remove_temporaries,
    sync_directory,
    write_atomically,
    write_new,
)
from interp.store.manifest import (
    CHECKPOINTS,
    HISTORY,
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
)
from interp.store.resume import ResumeState, read_resume, write_resume
from interp.store.run import open_run
from interp.store.tensors import pack, pack_network

_NOT_YET_A_RUN = {LOCK, CHECKPOINTS, MOMENTS, RECORD, SPLIT, TASK, LOG}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Be the only writer of a run's directory, which is made if it is not there.

    Raises:
        UsageError: if another process writes the run, or the directory holds something else.
        DataError: if the directory cannot be made or written to.
    """
    try:
        make_directory(path)
        strangers = [p.name for p in path.iterdir() if p.name not in _NOT_YET_A_RUN and p.suffix != ".tmp"]
    except OSError as error:
        raise DataError(f"{path}: cannot be made or read ({error.strerror}); choose another place with --root") from error
    if strangers and not (path / MANIFEST).is_file():
        raise UsageError(f"{path} holds {sorted(strangers)[0]!r} and is not a run; choose another name with --name")
    check_own(path)
    with locked(path):
        yield


def check_own(path: Path) -> None:
    """Refuse to write to a run, or to delete from it, where a link leads out of it or something lies in a file's place.

    Raises:
        DataError: naming it.
    """
    for name in (CHECKPOINTS, MOMENTS, SERIES, RESULTS):
        if (path / name).is_symlink():
            raise DataError(f"{path / name} is a link, expected a folder of the run's own: nothing is written through it")
    for name in (LOCK, RECORD, SPLIT, TASK, LOG, HISTORY, MANIFEST, RESUME):
        try:
            check_file(path / name, inside=path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"{path / name}: {error.strerror}: nothing is written there") from error


def write_log(path: Path, event: str, **facts: object) -> None:
    """Add a line for people to a run's log: the time and what happened. No hash covers it."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):  # never a reason to fail
        append(path / LOG, (json.dumps({"time": time, "event": event, **facts}) + "\n").encode())


class RunWriter:
    """Adds to a run that this process holds with `writing`; first completes or undoes what a killed process left half done.

    Attributes:
        path: the run's directory.
        manifest: what is committed.
        state: the state to resume from; None for a run at its beginning, or a final one.
    """

    path: Path
    manifest: Manifest
    state: Mapping[str, Tensor] | None

    def __init__(self, path: Path) -> None:
        self.path = path
        run = open_run(path)
        self.manifest = run.manifest
        self.state = None
        with explained(path):
            for directory in (path, path / CHECKPOINTS, path / MOMENTS):
                remove_temporaries(directory)
            if self.manifest.final:
                (path / RESUME).unlink(missing_ok=True)
            else:
                self._recover()
                if run.record.get("batch", 1) > 1:
                    self._drop_uncommitted()
        self._files = dict(self.manifest.files)
        self._lines: list[bytes] = []

    def save(self, step: int, network: Network) -> None:
        """Write a checkpoint. It counts from the next commit on.

        Raises:
            DataError: if this step exists with other bytes.
        """
        self._add(checkpoint_name(step), pack_network(step, network))

    def save_moments(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Write the whole state of a training at a step. It counts from the next commit on.

        Raises:
            DataError: if this step's exists with other bytes.
        """
        self._add(moments_name(step), pack(state, {"step": step}))

    def add_history(self, step: int, values: Mapping[str, float | None]) -> None:
        """Add a step's line to the history. It counts from the next commit on."""
        self._lines.append(history.encode(step, values))

    def commit(self, step: int, state: Mapping[str, Tensor], *, status: Status = "running") -> None:
        """Commit everything up to a step; the run can resume from it.

        Args:
            step: the last step added.
            state: what training needs to resume there.
            status: `running`, or `interrupted` at the end of a session.
        """
        with explained(self.path):
            manifest = self._flush(Manifest(step=step, status=status))
            write_resume(self.path, ResumeState(state, manifest))
            self._publish(manifest)

    def finish(self, step: int | None, *, status: Status, reason: Reason) -> None:
        """Commit everything, for good: the run is `finished` or `stopped` and its resume state is dropped."""
        with explained(self.path):
            self._publish(self._flush(Manifest(step=step, status=status, reason=reason)))
            (self.path / RESUME).unlink(missing_ok=True)
            sync_directory(self.path)

    def last_line(self) -> bytes:
        """The last committed line of the history."""
        committed = read_start(self.path / HISTORY, self._files[HISTORY].size, inside=self.path)
        return committed.splitlines(keepends=True)[-1]

    def _add(self, name: str, data: bytes) -> None:
        with explained(self.path):
            write_new(self.path / name, data)
        self._files[name] = Entry.of(data)

    def _flush(self, manifest: Manifest) -> Manifest:
        """Write pending lines and names to the disk; returns the manifest with every file so far."""
        if self._lines:
            data = b"".join(self._lines)
            append(self.path / HISTORY, data)
            self._hash.update(data)
            length = self._length() + len(data)
            self._files[HISTORY] = Entry(length, self._hash.hexdigest())
            self._lines = []
        sync_directory(self.path / CHECKPOINTS)
        if (self.path / MOMENTS).is_dir():
            sync_directory(self.path / MOMENTS)
        return replace(manifest, files=dict(self._files))

    def _publish(self, manifest: Manifest) -> None:
        write_atomically(self.path / MANIFEST, manifest.to_json())
        self.manifest = manifest

    def _length(self) -> int:
        return self._files[HISTORY].size if HISTORY in self._files else 0

    def _drop_uncommitted(self) -> None:
        """Remove what was saved after the last commit: recomputed in another batch, it is equal to rounding only."""
        for folder in (CHECKPOINTS, MOMENTS):
            for path in (self.path / folder).glob("step_*.safetensors"):
                if f"{folder}/{path.name}" not in self.manifest.files:
                    path.unlink()

    def _recover(self) -> None:
        """Go back to the last commit: complete it if its manifest is missing, cut off history lines after it."""
        if (self.path / RESUME).exists():
            found = read_resume(self.path)
            if found.manifest.files.get(RECORD) != self.manifest.files.get(RECORD):
                raise DataError(f"{self.path / RESUME}: belongs to another run; restore the right file from a copy")
            self.state = found.tensors
            if found.manifest != self.manifest:
                self._publish(found.manifest)
        elif self.manifest.step is not None:
            read_resume(self.path)  # raises, and says what to do
        entry = self.manifest.files.get(HISTORY, Entry.of(b""))
        path = self.path / HISTORY
        data = read_file(path, inside=self.path) if path.exists() else b""
        self._hash = hashlib.sha256(data[: entry.size])
        if self._hash.hexdigest() != entry.sha256:
            raise DataError(f"{path}: damaged before its committed end at {entry.size} bytes; restore it from a copy")
        if len(data) > entry.size:
            os.truncate(path, entry.size)
