"""Train and save: the one place where training meets the store."""

from __future__ import annotations

import logging
import shlex
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, cast

from interp.config.differences import differences
from interp.config.run_config import EngineName, RunConfig
from interp.errors import DataError, TrainingError, UsageError
from interp.recording.interruption import HeldSignals
from interp.recording.naming import run_name
from interp.store import history
from interp.store.manifest import MANIFEST, RESUME, Reason
from interp.store.provenance import provenance
from interp.store.run import Run, open_run
from interp.store.writer import RunWriter, begin, run_path, write_log, writing

if TYPE_CHECKING:
    from interp.training.loop import Step, Training

log = logging.getLogger("interp")

COMMIT_SECONDS = 2.0  # how much work a killed process may lose
COMMIT_SHARE = 0.02  # how much of the time commits may take, where disks are slow


def record(config: RunConfig, root: str | Path = "checkpoints", name: str | None = None, *, progress: bool = True) -> Run:
    """Train a run and save its checkpoints, history and split under ``root/name``; returns it when it is finished.

    An unfinished run of the same config is gone on with, from exactly where it was: the bytes are those of a run that was never
    interrupted, even if it was killed. A finished one is returned at once. Ctrl-C, SIGTERM and SIGHUP save before they end it.

    Args:
        config: what to train.
        root: directory of runs; made if it is not there.
        name: name of the run; by default the recipe and what differs from it, such as ``nanda-seed1``.
        progress: show a progress bar, if stderr is a terminal.

    Raises:
        UsageError: if the name is taken by a run of another config (its differing fields are named), or by another process.
        DataError: if the run cannot be written, or going on here would not give the same bytes.
        TrainingError: when the training loss is not finite; what was saved stays.
    """
    path = run_path(root, run_name(config) if name is None else name)
    if (path / MANIFEST).is_file():
        run = _same(path, config)
        if run.manifest.final and not (path / RESUME).exists():  # else it was killed before it could tidy up
            return _finished(run)
    with writing(path):
        training = None if (path / MANIFEST).is_file() else _begin(path, config)
        received = _go_on(_same(path, config), training, progress=progress)
    if received is not None:
        _deliver(received, path)
    return _finished(open_run(path))


def resume(path: str | Path, *, progress: bool = True) -> Run:
    """Go on with an interrupted run, as `record` does; a finished one is returned at once.

    Raises:
        UsageError: if there is no run at this path.
    """
    run = open_run(path)
    whole = run.path.resolve()
    return record(run.config, whole.parent, whole.name, progress=progress)


def _same(path: Path, config: RunConfig) -> Run:
    """The run at a path, if it is of this config; `auto` and `none` agree with whatever they became there."""
    run = open_run(path)
    agree = {"engine": ("auto", run.engine), "threads": (None, run.threads)}
    differing = {
        path: values
        for path, values in differences(config, run.config).items()
        if not (path in agree and values[0] in agree[path])
    }
    if differing:
        listed = "; ".join(f"{path}: given {mine!r}, recorded {theirs!r}" for path, (mine, theirs) in differing.items())
        raise UsageError(f"run {run.path} was recorded with another config ({listed}); choose another name with --name")
    return run


def _finished(run: Run) -> Run:
    """A run that is at its end, unless that end was a loss that is not finite."""
    if run.manifest.status == "stopped":
        since = 0 if run.manifest.step is None else run.manifest.step + 1
        raise TrainingError(
            f"run {run.path} stopped: its training loss is not finite since step {since}. What was saved before stays; "
            "try a smaller --optimizer.lr, or --dtype float64, under another name"
        )
    return run


def _begin(path: Path, config: RunConfig) -> Training:
    """Make the run, once it is certain that it can be trained."""
    from interp.training.loop import Training
    from interp.training.threads import threads_for

    threads = threads_for(config)
    training = Training(replace(config, threads=threads))
    facts = {
        "engine": training.engine.name,
        "threads": threads,
        "n_parameters": training.engine.parameters.weights.n_parameters,
        "provenance": provenance(config.device),
    }
    begin(path, config, split=config.split.draw(config.task), facts=facts)
    return training


def _go_on(run: Run, training: Training | None, *, progress: bool) -> int | None:
    """Train from the last commit to the end; returns the signal that ended it before, if one did.

    Args:
        run: held by `writing`.
        training: at the beginning of a new run, None for one that was begun before.
        progress: show a progress bar.
    """
    from interp.training.threads import torch_threads

    writer = RunWriter(run.path)
    if writer.manifest.final:
        return None
    if training is None:
        training = _continued(run, writer)
    done = writer.manifest.step or 0
    assert run.threads is not None  # only imported runs have none, and they are final
    with torch_threads(run.threads), _shown(run, done, progress=progress) as show, HeldSignals() as signals:
        return _Session(writer, training).go(show, signals)


def _continued(run: Run, writer: RunWriter) -> Training:
    """The training of a run as it was at its last commit, with the engine and threads it was begun with.

    Raises:
        UsageError: if they cannot be had here.
    """
    from interp.training.loop import Training
    from interp.training.threads import threads_for

    config = replace(run.config, engine=cast(EngineName, run.engine), threads=run.threads)
    if threads_for(config) != run.threads:
        raise UsageError(
            f"run {run.path} was begun with {run.threads} threads, which this process cannot use; resume it in another"
        )
    _warn_if_elsewhere(run)
    write_log(run.path, "resumed", step=writer.manifest.step, **provenance(run.config.device))
    return Training(config, writer.state)


class _Session:
    """One process' share of a run: steps go to the writer, with a commit every few seconds."""

    def __init__(self, writer: RunWriter, training: Training) -> None:
        self._writer = writer
        self._training = training
        self._saved = set(training.config.checkpoints.steps(training.config.steps))
        self._start = writer.manifest.step
        self._step = writer.manifest.step
        self._next_commit = time.monotonic() + COMMIT_SECONDS

    def go(self, show: Callable[[Step], None], signals: HeldSignals) -> int | None:
        """Train to the end, or until a signal, which is returned once everything is saved."""
        try:
            for step in self._training:
                self._take(step)
                show(step)
                if step.last:
                    self._finish(step)
                elif signals.received is not None:
                    self._commit(status="interrupted")
                    write_log(self._writer.path, "interrupted", step=step.index, signal=signal.Signals(signals.received).name)
                    break
                elif time.monotonic() >= self._next_commit:
                    self._commit(status="running")
        except TrainingError as error:
            self._writer.finish(self._step, status="stopped", reason="non-finite")
            write_log(self._writer.path, "stopped", step=self._step, error=str(error))
        return signals.received

    def _take(self, step: Step) -> None:
        values = {name: getattr(step, name) for name in history.COLUMNS}
        if step.index == self._start:
            self._compare(history.encode(step.index, values))
            return
        self._writer.add_history(step.index, values)
        if step.index in self._saved or step.last:
            self._writer.save(step.index, step.weights)
        self._step = step.index

    def _compare(self, line: bytes) -> None:
        """A resumed session's first step was recorded before: the same line shows that this machine gives the same bytes."""
        recorded = self._writer.last_line()
        if line != recorded:
            raise DataError(
                f"run {self._writer.path} cannot go on here: its bytes would not be those of an uninterrupted run. "
                f"Given {line.decode().strip()}, recorded {recorded.decode().strip()}. "
                "Go on where it was begun (its run.json says with what), or record it again under another name"
            )

    def _commit(self, *, status: Literal["running", "interrupted"]) -> None:
        begun = time.monotonic()
        assert self._step is not None  # at least one step was taken
        self._writer.commit(self._step, self._training.state(), status=status)
        now = time.monotonic()
        self._next_commit = now + max(COMMIT_SECONDS, (now - begun) / COMMIT_SHARE)

    def _finish(self, step: Step) -> None:
        reason: Reason = "budget" if step.index >= self._training.config.steps else "settled"
        self._writer.finish(step.index, status="finished", reason=reason)
        write_log(self._writer.path, "finished", step=step.index, reason=reason)


def _deliver(received: int, path: Path) -> NoReturn:
    """Obey a signal that was held back while the run was saved."""
    message = f"run {path} is saved at step {open_run(path).manifest.step}; go on with: interp resume {shlex.quote(str(path))}"
    if received != signal.SIGINT:
        log.warning("%s", message)
        signal.raise_signal(received)
    raise KeyboardInterrupt(message)


def _shown(run: Run, done: int, *, progress: bool) -> AbstractContextManager[Callable[[Step], None]]:
    if not progress:
        return nullcontext(lambda _: None)
    from interp.recording.bar import training_progress

    return training_progress(run.name, total=run.config.steps, done=done, until_settled=run.config.until_settled)


def _warn_if_elsewhere(run: Run) -> None:
    here = provenance(run.config.device)
    changed = [
        f"{name} {run.provenance.get(name)} -> {value}" for name, value in here.items() if run.provenance.get(name) != value
    ]
    if changed:
        log.warning(
            "run %s was begun elsewhere (%s); its bytes may differ from an uninterrupted run's", run.path, ", ".join(changed)
        )
