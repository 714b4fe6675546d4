"""What is said once in a process, however often it happens: what a disk refuses while a run is only looked at."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("interp")

_said: set[str] = set()


def note_once(kind: str, text: str) -> None:
    """Log a text as a warning, unless one of the same kind was logged before by this process."""
    if kind not in _said:
        _said.add(kind)
        log.warning("note: %s", text)


@contextmanager
def kept_if_possible(directory: Path) -> Iterator[None]:
    """Keep in the block what only saves time. Where the disk refuses (it is full, read-only, ...), that is said once."""
    try:
        yield
    except OSError as error:
        note_once(
            "kept",
            f"what is worked out cannot be kept in {directory} ({error.strerror or error}): nothing of it is missing here, "
            "but it will be worked out again",
        )
