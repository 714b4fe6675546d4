"""The log of a run, for people: when a process began, resumed or ended it. Each line has the hash of all before it and itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from interp.reading import parsed_json, read_file, read_start
from interp.store.durable import append
from interp.store.manifest import LOG

_HASH = "sha256"
_LINE = 2**16  # bytes
_BEGINNING = b'{"time": "'  # of every line
MISHAP = "not recorded"  # what a recorded loop was spared, see `interp.recording`


@dataclass(frozen=True)
class LogChecked:
    """What a log's hashes say of it.

    Args:
        problem: what is damaged; None if nothing is.
        note: what no hash covers; None if every byte is covered.
        sound: bytes from its beginning in which nothing is damaged.
        events: what happened, line by line, in the sound part.
    """

    problem: str | None
    note: str | None
    sound: int
    events: tuple[str, ...]


def write_log(path: Path, event: str, **facts: object) -> None:
    """Add a line for people to a run's log: the time and what happened."""
    log = path / LOG
    with suppress(OSError):  # never a reason to fail
        before = read_file(log, inside=path) if log.exists() else b""
        cut = b"\n" if before and not before.endswith(b"\n") else b""  # a line that a killed process did not complete
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **facts}
        append(log, cut + _line(line, hashlib.sha256(before + cut)))


def created(path: Path) -> str | None:
    """When a run was begun, from the first line of its log; None if that is gone, damaged or none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        first = read_start(path / LOG, _LINE, inside=path).splitlines(keepends=True)[:1]
        line = parsed_json(first[0]) if first else {}
        if _HASH not in line or _fits(line, first[0], hashlib.sha256()):
            return datetime.fromisoformat(line["time"]).isoformat()
    return None


def noted(path: Path, event: str) -> list[Mapping[str, Any]]:
    """The lines of a run's log about one kind of event, as far as they can be read."""
    with suppress(OSError):
        lines = map(_parsed, read_file(path / LOG, inside=path).splitlines())
        return [line for line in lines if line.get("event") == event]
    return []


def check_log(data: bytes) -> LogChecked:
    """Check a log's bytes against the hashes in its lines."""
    before, read, sound = hashlib.sha256(), 0, 0
    events: list[str] = []
    uncovered: list[str] = []  # why, of the lines since the last that has a hash
    for number, raw in enumerate(data.splitlines(keepends=True), start=1):
        line = _parsed(raw)
        if _HASH in line and not _fits(line, raw + b"\n", before):  # which fits where only the line break is missing
            if not _fits(line, raw, before):
                return LogChecked(f"damaged: line {number} does not fit its hash", None, sound, tuple(events))
            uncovered = []
        elif _HASH in line or (not line and _is_cut_off(raw)):
            uncovered.append(f"its last line, {number}, was cut off, as when a process is killed")
        elif "time" in line and "event" in line:
            uncovered.append(f"line {number} has no hash: an earlier version, or another program, wrote it")
        else:
            uncovered.append(f"damaged: line {number} is none of a log")
        before.update(raw)
        read += len(raw)
        if line:
            sound = read
            events.append(str(line.get("event")))
    damaged = next((why for why in uncovered if why.startswith("damaged")), None)
    return LogChecked(damaged, uncovered[0] if uncovered and not damaged else None, sound, tuple(events))


def _is_cut_off(raw: bytes) -> bool:
    """Whether these bytes are a line's beginning, as it is left by a process that is killed while it writes the line."""
    return raw[: len(_BEGINNING)] == _BEGINNING[: len(raw)] and raw.isascii() and raw.decode("ascii").isprintable()


def _parsed(raw: bytes) -> Mapping[str, Any]:
    """A line as a mapping; an empty one if it is none."""
    with suppress(ValueError, RecursionError):
        line = parsed_json(raw)
        return line if isinstance(line, dict) else {}
    return {}


def _line(line: Mapping[str, object], before: Any) -> bytes:
    """The bytes of a line; `before` is the hash, as an object, of all bytes before it."""
    found = before.copy()
    found.update(json.dumps(line).encode())
    return (json.dumps({**line, _HASH: found.hexdigest()}) + "\n").encode()


def _fits(line: Mapping[str, Any], raw: bytes, before: Any) -> bool:
    return raw == _line({name: value for name, value in line.items() if name != _HASH}, before)
