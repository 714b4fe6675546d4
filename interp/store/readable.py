"""Whether what readers ask of a run can be read, and fits together: hashes that agree prove nothing about content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from interp.errors import DataError, UsageError
from interp.reading import JSON_BYTES, read_file
from interp.store.findings import Finding
from interp.store.journal import read_manifest
from interp.store.manifest import (
    HISTORY,
    JOURNAL,
    MANIFEST,
    RECORD,
    RESUME,
    SERIES,
    SPLIT,
    TASK,
    Entry,
    Manifest,
    checkpoint_name,
    read_listed,
    series_name,
    step_of,
)
from interp.store.packed import unpack_arrays
from interp.store.sealed import check_header

if TYPE_CHECKING:
    from interp.store.run import Run


def readable(run: Run) -> Iterator[Finding]:
    """What is wrong with what readers ask of the record, task, split, history, kept series and resume state."""
    for name, read in _READERS.items():
        where = RECORD if name == TASK and TASK not in run.manifest.files else name
        try:
            yield from read(run)
        except DataError as error:
            yield from _unless_named(run, where, error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield from _unless_named(run, where, DataError(f"not what a run has there ({type(error).__name__}: {error})"))


def lineage_notes(run: Run) -> Iterator[Finding]:
    """Of a fork beside which its parent lies: whether that is still the run that it was made from."""
    start = run.record.get("start", {})
    beside = run.path.resolve().parent / str(start.get("parent", ""))
    if start.get("from") != "run" or not start.get("parent") or not (beside / MANIFEST).is_file():
        return
    try:
        parent = read_manifest(beside)
    except (DataError, UsageError):
        yield Finding(RECORD, f"its parent, {beside}, cannot be read now", "note")
        return
    known = {**parent.files, **parent.thinned}.get(checkpoint_name(int(start["step"])))
    if parent.files[RECORD].sha256 != start["run"] or (known is not None and known.sha256 != start["checkpoint"]):
        yield Finding(RECORD, f"its parent was another run than the one that now lies at {beside}", "note")


def _check_lineage(run: Run) -> Iterator[Finding]:
    """A fork's first checkpoint is its parent's, by the hash that its lineage has."""
    start = run.record.get("start", {})
    listed = {**run.manifest.files, **run.manifest.thinned}
    first = listed.get(checkpoint_name(int(start["step"]))) if start.get("from") == "run" else None
    if first is not None and first.sha256 != start["checkpoint"]:
        told = f"it says that it began with weights of sha256 {str(start['checkpoint'])[:12]}..., but its first checkpoint"
        yield Finding(RECORD, f"{told} has {first.sha256[:12]}...")


def _check_record(run: Run) -> Iterator[Finding]:
    yield from _check_lineage(run)
    said = run.settings, run.engine, run.n_parameters, dict(run.provenance), run.kind
    if not isinstance(run.threads, int | None):
        yield Finding(RECORD, f"its threads are {run.threads!r}, expected a number, beside {said[1:3]}")


def _check_task(run: Run) -> Iterator[Finding]:
    rows = len(run.task.labels)
    try:
        if run.budget < 0 or run.may_end_early not in (True, False):
            yield Finding(RECORD, f"its budget is {run.budget} steps")
    except DataError as error:
        yield from _unless_named(run, RECORD, error)
    with suppress(DataError):  # of the split, which is named there
        parts = [len(part) for part in (run.split.train, run.split.test, run.split.left_out) if part is not None]
        if sum(parts) != rows:
            yield Finding(SPLIT, f"{' + '.join(map(str, parts))} pairs, expected {rows}")
    try:
        run.check_table()
    except DataError as error:
        yield from _unless_named(run, RECORD if str(error).startswith(f"{run.path / RECORD}: ") else TASK, error)


def _check_split(run: Run) -> Iterator[Finding]:
    run.split  # noqa: B018 - the error, if it cannot be read
    yield from ()


def _check_history(run: Run) -> Iterator[Finding]:
    """The history's lines, and that the run is where history and checkpoints end, and ended as its budget says."""
    steps, step = run.columns["step"], run.manifest.step
    last = max([-1 if not len(steps) else int(steps[-1]), *run.steps[-1:]])
    if step is not None and (last > step or (last < step and not run.manifest.set_aside)):
        yield Finding(MANIFEST, f"its step is {step}, but history and checkpoints end at {last}")
    if step is None and last >= 0:
        yield Finding(MANIFEST, f"it says that nothing is committed, but history and checkpoints end at {last}")
    with suppress(DataError, KeyError, TypeError, ValueError):  # of the record, which is named there
        yield from _check_reason(run)


def _check_reason(run: Run) -> Iterator[Finding]:
    step = run.manifest.step
    last = -1 if step is None else step
    is_early, is_at_budget = last < run.budget, last == run.budget
    # A loop that is recorded may go on after the last step that it was to have.
    if (
        (run.reason == "budget" and is_early)
        or (run.reason == "settled" and not is_early)
        or (run.reason == "ended" and is_at_budget)
    ):
        yield Finding(MANIFEST, f"its reason is {run.reason} at step {step} of {run.budget}")


def _check_series(run: Run) -> Iterator[Finding]:
    """Kept series: measured at every checkpoint that was thinned out, and at none that the run did not have."""
    listed = {**run.manifest.files, **run.manifest.thinned, **run.manifest.set_aside}
    known = {(step, entry.sha256) for name, entry in listed.items() if (step := step_of(name)) is not None}
    thinned = {(step, run.sha256(step)) for step in run.manifest.thinned_steps}
    for name in map(series_name, run.manifest.series):
        try:
            arrays, header = unpack_arrays(run.read(name), where=f"{run.path / name}")
            check_header(arrays, header, where=f"{run.path / name}")
        except DataError as error:
            yield from _unless_named(run, name, error)
            continue
        measured = set(zip(header["steps"], header["sha256"], strict=True))
        if wrong := sorted(step for step, _ in (thinned - measured) | (measured - known)):
            yield Finding(name, f"it and {MANIFEST} do not agree on the checkpoint of step {wrong[0]}")
        if not isinstance(header.get("keys"), list):
            yield Finding(name, "does not say with which key frequencies it was measured")


def _check_resume(run: Run) -> Iterator[Finding]:
    """The resume state, which carries its own hash, and the lines of the manifest, which go on to it."""
    if run.manifest.final:
        return
    if run.manifest.step is None and not any((run.path / name).exists() for name in (RESUME, JOURNAL)):
        return
    from interp.store.standing import standing  # only here: a finished run has no resume state, and is checked without torch

    found = list(standing(run.path))
    if not _is_final_by_now(run):
        yield from found


_READERS: Mapping[str, Callable[[Run], Iterator[Finding]]] = {
    RECORD: _check_record,
    TASK: _check_task,
    SPLIT: _check_split,
    HISTORY: _check_history,
    SERIES: _check_series,
    RESUME: _check_resume,
}


def _is_final_by_now(run: Run) -> bool:
    """Whether a run that was unfinished when it was opened has been finished since."""
    with suppress(OSError, DataError):
        data = read_file(run.path / MANIFEST, at_most=JSON_BYTES, inside=run.path)
        return Manifest.from_json(data, where=MANIFEST).final
    return False


def _unless_named(run: Run, name: str, error: DataError) -> Iterator[Finding]:
    """A problem of content, unless the bytes themselves are wrong, which `_read` says."""
    entry, path = run.manifest.files.get(name), run.path / name
    try:
        is_named = entry is not None and Entry.of(read_listed(run.path, name, run.manifest)) != entry
    except OSError:
        is_named = True
    if not is_named:
        yield Finding(name, str(error).removeprefix(f"{path}: "))
