"""Thinning a run: what was measured becomes part of it, and checkpoints that are not needed any more go.

The manifest keeps the hash of every checkpoint that went, so that it can be said what was measured on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from interp.errors import UsageError
from interp.store.durable import explained, make_directory, write_atomically
from interp.store.locking import LockKind
from interp.store.manifest import MANIFEST, SERIES, Entry, checkpoint_name, series_name
from interp.store.run import Run, open_run
from interp.store.run_log import write_log
from interp.store.temporaries import remove_temporaries
from interp.store.writer import writing


def thin(path: Path, keep: Iterable[int], *, series: Mapping[str, bytes] | None = None, lock: LockKind | None = None) -> Run:
    """Delete a finished run's checkpoints but those of some steps; the first and the last always stay.

    A process that is killed meanwhile leaves checkpoints that the run no longer lists; the same call deletes them.

    Args:
        path: of the run.
        keep: steps whose checkpoints stay.
        series: what was measured, by analysis: files that become part of the run before anything goes.
        lock: how other writers are kept away, see `interp.record`.

    Raises:
        UsageError: if the run is unfinished, or being written.
        DataError: if it cannot be written.
    """
    with writing(path, lock) as allowed:
        run = open_run(path)
        if not run.manifest.final or not run.steps:
            raise UsageError(f"run {path} is unfinished: only a finished run can be thinned")
        stay = {run.steps[0], run.steps[-1], *keep}
        gone = {name: run.manifest.files[name] for step in run.steps if step not in stay and (name := checkpoint_name(step))}
        with explained(path):
            allowed()
            added = {series_name(name): data for name, data in (series or {}).items()}
            if added:
                make_directory(path / SERIES)
                remove_temporaries(path / SERIES)  # of a process that was killed here
            for name, data in added.items():
                write_atomically(path / name, data)
            files = {name: entry for name, entry in run.manifest.files.items() if name not in gone}
            files |= {name: Entry.of(data) for name, data in added.items()}
            if gone or added:
                manifest = replace(run.manifest, files=files, thinned={**run.manifest.thinned, **gone})
                write_atomically(path / MANIFEST, manifest.to_json())
            there = [path / name for name in open_run(path).manifest.thinned if (path / name).exists()]
            for checkpoint in there:
                checkpoint.unlink(missing_ok=True)
        if there:
            write_log(path, "thinned", checkpoints=len(there))
    return open_run(path)
