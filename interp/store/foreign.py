"""Someone else's checkpoints as an ordinary run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from interp.config.run_config import RunConfig
from interp.errors import DataError, UsageError
from interp.networks.one_layer import Weights
from interp.networks.two_embeddings import TwoEmbeddings
from interp.process import still_here
from interp.store.beginning import begin
from interp.store.durable import explained
from interp.store.locking import LockKind
from interp.store.manifest import CHECKPOINTS, HISTORY, IMPORTED, JOURNAL, MANIFEST, MOMENTS, RESULTS, RESUME, TASK
from interp.store.run import Run, open_run
from interp.store.run_log import write_log
from interp.store.run_paths import run_path
from interp.store.writer import RunWriter, writing
from interp.tasks.splits import Split
from interp.training.stream import Plan


def create_run(
    root: str | Path,
    name: str,
    config: RunConfig,
    *,
    split: Split,
    checkpoints: Iterable[tuple[int, Weights | TwoEmbeddings]],
    history_rows: Iterable[Mapping[str, Any]] = (),
    provenance: Mapping[str, Any],
    lock: LockKind | None = None,
) -> Run:
    """Make an ordinary, finished run from someone else's checkpoints.

    If it fails, what it wrote is removed, so that its name is free. If it was killed, the next import of that name, of the same
    file or of another, begins anew.

    Args:
        root: directory of runs.
        name: name of the new run.
        config: what is known of how they were made; its recipe may be any name, such as ``imported``.
        split: train and test pairs.
        checkpoints: (step, weights), steps ascending.
        history_rows: mappings with ``step`` and any of the history's columns, steps ascending.
        provenance: their origin, as JSON values.
        lock: how other writers are kept away, see `interp.record`.

    Raises:
        UsageError: if the name is taken, or steps do not ascend.
    """
    path = run_path(root, name)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    with writing(path, lock) as allowed:
        _make_free(path)
        with _removed_on_failure(path, made):
            series = iter(checkpoints)
            first = next(series, None)
            if first is None:
                raise UsageError(f"{path}: given no checkpoints, expected at least one")
            plan = Plan(
                settings=config, task=config.task, split=split, steps=config.steps, saved=(), kind=first[1].kind,
                n_parameters=first[1].n_parameters, engine=IMPORTED,
            )  # fmt: skip
            begin(path, plan, provenance=provenance)
            last = _write_all(RunWriter(path, allowed), chain([first], series), history_rows)
            write_log(path, "imported", step=last)
    return open_run(path)


@contextmanager
def _removed_on_failure(path: Path, made: Sequence[Path]) -> Iterator[None]:
    """Remove a run that could not be completed, and the folders above it that were made for it, before its lock is let go.

    A run that a kill or Ctrl-C interrupted stays, and is replaced by the next import of its name.
    """
    is_here = still_here()
    try:
        yield
    except Exception as error:
        if not is_here():
            raise
        shutil.rmtree(path, ignore_errors=True)
        for folder in made[1:]:
            with suppress(OSError):  # something else is in it by now
                folder.rmdir()
        if isinstance(error.__cause__, OSError):
            left = "what is left of it is replaced" if path.exists() else "nothing of this import was kept"
            raise DataError(
                f"{error.__cause__.filename or path}: cannot be written ({error.__cause__.strerror}); {left}: make room or allow "
                "writing, then import it again"
            ) from error
        raise


def _make_free(path: Path) -> None:
    """Error if there is a run already; an import that was not finished, which nobody can go on with, is cleared away."""
    if not (path / MANIFEST).is_file():
        return
    run = open_run(path)
    if run.manifest.final or not run.is_imported:
        raise UsageError(f"run {path} exists already; choose another name with --name, or delete it")
    with explained(path):
        (path / MANIFEST).unlink()  # first: without it there is no run
        for folder in (CHECKPOINTS, MOMENTS, RESULTS):
            shutil.rmtree(path / folder, ignore_errors=True)
        for name in (JOURNAL, HISTORY, RESUME, TASK):
            (path / name).unlink(missing_ok=True)


def _write_all(
    writer: RunWriter, checkpoints: Iterable[tuple[int, Weights | TwoEmbeddings]], rows: Iterable[Mapping[str, Any]]
) -> int:
    """Write checkpoints and history and finish the run; returns its last step."""
    last_row = last = -1
    for row in rows:
        last_row = _ascending(int(row["step"]), last_row, what="history")
        writer.add_history(last_row, row)
    for step, weights in checkpoints:
        last = _ascending(step, last, what="checkpoints")
        writer.save(step, weights)
    writer.finish(max(last, last_row), status="finished", reason="imported")
    return max(last, last_row)


def _ascending(step: int, last: int, *, what: str) -> int:
    if step <= last:
        raise UsageError(f"{what}: given step {step} after step {last}, expected ascending steps >= 0")
    return step
