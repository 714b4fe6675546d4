"""Every run of a directory in a line, without reading what was read before: lines are kept for as long as files are as they were.

A line of a finished run is kept with what the system says of its manifest.json and run.json: size, inode, and the times of the
last changes of content and of anything. A file that changed at about the time when the lines were kept, by the clock of their own
disk, is read again, since a second change within the clock's step would not show. Unfinished runs are always read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from interp.errors import DataError, UsageError
from interp.reading import JSON_BYTES, opened, parsed_json
from interp.store.durable import sha256, write_atomically
from interp.store.manifest import MANIFEST, RECORD
from interp.store.noted import kept_if_possible
from interp.store.run_facts import bytes_in, elements

LISTING = ".runs.json"
FIELDS = ("name", "recipe", "p", "operation", "seed", "status", "reason", "last_step", "checkpoints", "total_bytes")
Row = dict[str, Any]

_VERSION = 1  # of what a line says
_CLOCK_STEP = 2_000_000_000  # nanoseconds; the coarsest clock of a file system
_KEPT = FIELDS[1:-1]


def list_rows(root: str | Path = "checkpoints") -> tuple[list[Row], dict[str, str]]:
    """A line for each run in a directory, by name: `FIELDS`; and of those that cannot be told, name and reason.

    Raises:
        UsageError: if the directory does not exist.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError(
            f"directory {root} does not exist; `interp demo` and `interp train` make it, or name another with --root"
        )
    kept, until = _recall(root)
    found, unread, rows, is_new = [], {}, {}, False
    for name, state in _runs(root):
        known = kept.get(name)
        if known is None or not state or known[0] != state or max(state[2:4] + state[6:8]) > until:
            try:
                known, is_new = [state, *_read(root / name)], True
            except (DataError, UsageError, OSError) as error:
                unread[name] = str(error)
                continue
        if known[1] is not None:
            rows[name] = known[:2]
        values = known[1] if known[1] is not None else known[2]
        found.append({"name": name, **dict(zip(_KEPT, values, strict=True)), "total_bytes": bytes_in(root / name)})
    if is_new or rows.keys() != kept.keys():
        _keep(root, rows)
    return found, unread


def _runs(root: Path) -> Iterator[tuple[str, list[int]]]:
    """Name of each run, and how its two files are; nothing if that cannot be told."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        try:
            yield name, [*_state(f"{root}/{name}/{MANIFEST}"), *_state(f"{root}/{name}/{RECORD}", may_lack=True)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # a link to itself, a folder that is forbidden: reading says it
            yield name, []


def _state(path: str, *, may_lack: bool = False) -> tuple[int, int, int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if not may_lack:
            raise
        return 0, 0, 0, 0
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> tuple[list[Any] | None, list[Any]]:
    """A run's line as it is kept, None if it may change by itself; and as it is now."""
    from interp.store.run import open_run

    run = open_run(path)
    config, task = (run.config if run.has_config else None), run.task
    row = [
        config.recipe if config else None, elements(task), task.operation, config.seed if config else None,
        run.status, run.reason, run.manifest.step, len(run.steps),
    ]  # fmt: skip
    return (row if run.manifest.final else None), row


def _recall(root: Path) -> tuple[dict[str, list[Any]], int]:
    """The lines that were kept, and up to when a file must have been left alone for them to count."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        with opened(root / LISTING, inside=root) as file:
            written, data = os.fstat(file.fileno()).st_mtime_ns, file.read(JSON_BYTES)
        found = parsed_json(data)
        if found["version"] == _VERSION and found["sha256"] == _hash(found["rows"]):
            rows = {name: [state, row] for name, (state, row) in found["rows"].items() if len(row) == len(_KEPT)}
            return rows, written - _CLOCK_STEP
    return {}, 0


def _keep(root: Path, rows: dict[str, list[Any]]) -> None:
    with kept_if_possible(root):
        data = json.dumps({"version": _VERSION, "sha256": _hash(rows), "rows": rows})
        write_atomically(root / LISTING, data.encode())


def _hash(rows: Any) -> str:
    return sha256(json.dumps(rows).encode())
