"""Train and save: the one place where training meets the store."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from interp.bars import training_progress
from interp.config.run_config import RunConfig
from interp.cores import torch_threads
from interp.errors import TrainingError, UsageError
from interp.keeping.interruption import HeldSignals
from interp.keeping.naming import run_name
from interp.keeping.session import AnyStep, Session, go
from interp.keeping.sources import Configured, Given, Source, checked, note_resumed
from interp.keeping.watching import Watch
from interp.store.beginning import begin
from interp.store.extending import extend
from interp.store.locking import LockKind
from interp.store.manifest import MANIFEST, RESUME
from interp.store.provenance import provenance
from interp.store.run import Run, RunLike, open_run
from interp.store.run_paths import run_path
from interp.store.writer import RunWriter, writing
from interp.training.stream import Plan, Stream

log = logging.getLogger("interp")


def record(
    source: RunConfig | Stream,
    root: str | Path = "checkpoints",
    name: str | None = None,
    *,
    progress: bool = True,
    force: bool = False,
    lock: LockKind | None = None,
    watch: Watch | None = None,
    keep_last: bool = True,
) -> Run:
    """Train a run and save its checkpoints, history and split under ``root/name``; returns it when it is finished.

    An unfinished run of the same config, or of a stream with an equal plan, is resumed from exactly where it was: the bytes are
    those of a run that was never interrupted, even if it was killed. A finished one is returned at once. Ctrl-C, SIGTERM and
    SIGHUP save before they end it.

    Args:
        source: what to train: a config, or any `Stream` of steps, such as a `Training` or a loop of your own.
        root: directory of runs; made if it is not there.
        name: name of the run; by default, for a config, the recipe and what differs from it, such as ``nanda-s1``.
        progress: show a progress bar, if stderr is a terminal or this is a notebook.
        force: train a config even if the run takes more memory or disk than this machine has, or more time than 30 days, by an
            estimate from the config alone (docs/limits.md).
        lock: how other processes are kept from writing the same run: ``system``, by a lock of the file system; or ``lease``, by a
            file that this process renews, for network mounts that refuse locks. By default what the environment variable
            INTERP_LOCK says, or else ``system``.
        watch: sees every step, and may stop the run, which is then returned unfinished, with the reason in its log, and can be
            resumed; see `interp.keeping.watching.Watch`.
        keep_last: keep the whole state at the last step of a config's run, three times a checkpoint, so that it can be given more
            steps (see `resume`).

    Raises:
        UsageError: if it takes more, before anything is allocated: with the number that is too large, and the largest that fits;
            if the name is taken by a run of another config or plan (the fields that differ are named), or by another
            process; if a stream is not one: it has no steps, steps that do not ascend, tensors that change shape, or
            a state that is not tensors.
        DataError: if the run cannot be written, or continuing here would not give the same bytes.
        TrainingError: when the training loss is not finite; what was saved stays.
    """
    if isinstance(source, RunConfig):
        path = run_path(root, run_name(source) if name is None else name)
        configured = Configured(source, keeps_last=keep_last)
        return record_source(configured, path, progress=progress, force=force, lock=lock, watch=watch)
    if not hasattr(source, "plan"):
        raise UsageError(
            f"source: given {source!r:.60}, expected a RunConfig, such as interp.recipe('demo'), or a Stream: a loop of your own"
        )
    if name is None:
        raise UsageError("name: given none, expected the name of the run: a stream has no recipe to be named after")
    return record_source(Given(source), run_path(root, name), progress=progress, force=force, lock=lock, watch=watch)


def resume(
    run: RunLike,
    *,
    steps: int | None = None,
    progress: bool = True,
    force: bool = False,
    lock: LockKind | None = None,
    watch: Watch | None = None,
) -> Run:
    """Continue an interrupted run, as `record` does; a finished one is returned at once, unless it is given more steps.

    A finished run that is given more goes on from the state at its last step, which every run keeps, up to the new budget,
    settled or not. Its bytes are then those of a run that was begun with the configuration that it has now (a run shorter than
    ten times ``checkpoints.every`` has kept other logarithmic steps: then they are the same at every step that both have).

    Args:
        run: its directory, or its name, or the run.
        steps: a larger budget for a finished run.
        progress: show a progress bar, if stderr is a terminal or this is a notebook.
        force: go on even if the run takes more memory than this machine has, by estimate.
        lock: as for `record`.
        watch: as in `record`.

    Raises:
        UsageError: if there is no such run, this toolkit cannot train it, or it takes more memory than there is; if more
            steps are given to a run that is unfinished, stopped, has them already, or did not keep its last state.
    """
    run = open_run(run)
    run.check_table()
    if steps is not None:
        extend(run.path, steps, lock=lock)
        run = open_run(run.path)
    if run.is_imported and not run.manifest.final:
        raise UsageError(f"run {run.path} is an import that was not finished: {run.how_to_continue}")
    if not run.has_config:
        if run.manifest.final:
            return finished(run)
        raise UsageError(
            f"run {run.path} was recorded from a training of kind {run.kind!r}, which this toolkit cannot make; "
            + (run.how_to_continue if run.is_loop else "call interp.record(stream, root, name) again with its stream")
        )
    whole = run.path.resolve()
    source = Configured(run.config, run.record.get("start", {}))
    return record_source(source, run_path(whole.parent, whole.name), progress=progress, force=force, lock=lock, watch=watch)


def finished(run: Run) -> Run:
    """A run at its end, unless it ended because its loss was not finite."""
    if run.manifest.status == "stopped":
        since = 0 if run.manifest.step is None else run.manifest.step + 1
        instead = "--optimizer.lr, or --dtype float64," if run.has_config else "learning rate"
        raise TrainingError(
            f"run {run.path} stopped: its training loss is not finite since step {since}. What was saved before stays; "
            f"try a smaller {instead} under another name"
        )
    return run


def is_done(run: Run) -> bool:
    """Whether a run is at its end and tidied up; one that was killed at the very last moment is not."""
    return run.manifest.final and not (run.path / RESUME).exists()


def deliver(received: int, message: str) -> NoReturn:
    """Obey a signal that was held back while what was computed was saved."""
    if received != signal.SIGINT:
        log.warning("%s", message)
        signal.raise_signal(received)
    raise KeyboardInterrupt(message)


def record_source(
    source: Source, path: Path, *, progress: bool, force: bool, lock: LockKind | None, watch: Watch | None = None
) -> Run:
    """Record what is described by a source at a path, as `record` does."""
    if (path / MANIFEST).is_file():
        run = checked(path, source)
        if is_done(run):
            return finished(run)
    source.check_room(path, is_begun=(path / MANIFEST).is_file(), force=force)
    with writing(path, lock) as allowed:
        received = _train(source, path, allowed, progress=progress, watch=watch)
    if received is not None:
        deliver(received, f"run {path} is saved at step {open_run(path).manifest.step}; {source.advice(path)}")
    return finished(open_run(path))


def _train(source: Source, path: Path, allowed: Callable[[], None], *, progress: bool, watch: Watch | None = None) -> int | None:
    """Train a run, which this process holds, to its end; returns the signal that ended it early, if one did."""
    begun: tuple[Stream, Plan] | None = None
    if not (path / MANIFEST).is_file():
        begun = source.begun()  # before anything is written: it may be refused
        begin(path, begun[1], provenance=provenance(begun[1].device))
    run = checked(path, source)
    writer = RunWriter(path, allowed)
    if writer.manifest.final:
        return None
    if begun is None:
        stream = source.continued(run, writer.state)
        plan = replace(stream.plan, batch=run.record.get("batch", 1))
        note_resumed(run, writer.manifest.step, device=plan.device)
    else:
        stream, plan = begun
    plan = replace(plan, keeps_last=source.keeps_last)
    if watch is not None:
        watch.begin(run)
    threads = nullcontext() if run.threads is None else torch_threads(run.threads)
    with threads, _shown(run, writer.manifest.step or 0, progress=progress, watch=watch) as show, HeldSignals() as signals:
        return go(Session(writer, plan, stream.state), stream, show, signals=signals, watch=watch)


def _shown(run: Run, done: int, *, progress: bool, watch: Watch | None) -> AbstractContextManager[Callable[[AnyStep], None]]:
    if not progress:
        return nullcontext(lambda _: None)
    ahead = None if watch is None else watch.ahead
    return training_progress(run.name, total=run.budget, done=done, until_settled=run.may_end_early, ahead=ahead)
