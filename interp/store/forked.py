"""The forks of a run: the runs beside it that were begun from one of its steps."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interp.errors import DataError
from interp.reading import JSON_BYTES, parsed_json, read_file
from interp.store.manifest import MANIFEST, RECORD
from interp.store.run import Run, RunLike, as_run, open_run

log = logging.getLogger("interp")


def forks_of(run: RunLike) -> list[Run]:
    """The runs in a run's directory that were forked from it, in the order of the steps they begin at and of their names.

    A fork is known by the hash of its parent's run.json, so a run that merely has the parent's name has none. What cannot be read
    is left out, with a warning if it is a fork of this run.

    Args:
        run: the parent, its directory, or its name.

    >>> from dataclasses import replace
    >>> import tempfile, interp
    >>> config = replace(interp.recipe("demo"), steps=20, until_settled=False, engine="reference")
    >>> parent = interp.record(config, tempfile.mkdtemp(), "parent", progress=False)
    >>> child = interp.fork(parent, 10, moments="fresh", progress=False, **{"optimizer.lr": 0.002})
    >>> [one.name for one in interp.forks_of(parent)]
    ['parent-from10-fresh-lr0.002']
    """
    parent = as_run(run)
    whose, here = parent.manifest.files[RECORD].sha256, parent.path.resolve()
    found = []
    for path in _begun_elsewhere(here.parent, whose):
        try:
            fork = open_run(path)
            _ = fork.columns  # its history, which is read when it is first asked for
            found.append(fork)
        except DataError as error:
            log.warning("%s, a fork of %s, is left out: %s", path, parent.name, error)
    return sorted(found, key=lambda one: (int(one.record["start"].get("step", 0)), one.name))


def _begun_elsewhere(folder: Path, whose: str) -> Iterator[Path]:
    """The runs in a folder that say that they were begun from the run of this hash."""
    for entry in sorted(folder.iterdir()):
        if not (entry / MANIFEST).is_file():
            continue
        try:
            record: Any = parsed_json(read_file(entry / RECORD, at_most=JSON_BYTES))
        except (ValueError, OSError):
            continue
        start = record.get("start") if isinstance(record, Mapping) else None
        if isinstance(start, Mapping) and start.get("from") == "run" and start.get("run") == whose:
            yield entry
