"""Record many runs of one shape that are trained as one batch: each as a run of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from interp.bars import training_progress
from interp.config.run_config import RunConfig
from interp.errors import TrainingError, UsageError
from interp.keeping.interruption import HeldSignals
from interp.keeping.naming import run_name
from interp.keeping.recorder import deliver, is_done
from interp.keeping.session import AnyStep, Pace, Session
from interp.keeping.sources import Configured, checked, note_resumed
from interp.store.beginning import begin
from interp.store.locking import LockKind
from interp.store.manifest import MANIFEST
from interp.store.provenance import provenance
from interp.store.run import Run, open_run
from interp.store.run_paths import run_path
from interp.store.writer import RunWriter, writing
from interp.training.choice import check_device
from interp.training.fitting import check_runs
from interp.training.lockstep import Advance, rounds
from interp.training.loop import Training
from interp.training.stacked.stacked_runs import stack_key

log = logging.getLogger("interp")

_ENGINE = "cuda"  # what computes a batch; on the CPU the same without graphs


def record_batch(
    configs: Sequence[RunConfig],
    root: str | Path = "checkpoints",
    names: Sequence[str] | None = None,
    *,
    progress: bool = True,
    force: bool = False,
    lock: LockKind | None = None,
) -> list[Run]:
    """Train runs of one shape as one batch and save each as a run of its own; returns them in the order of the configs.

    It is meant for a GPU, where a batch costs little more than one run. (On the CPU it computes the same, more slowly than
    `train_many`.) Each run equals its single run to rounding, not bit for bit. Ctrl-C, SIGTERM and SIGHUP save all of them.
    Called again, it resumes: finished runs are returned, unfinished ones that are at the same step go on as one batch. A run
    whose loss is not finite is stopped (see its `status`), and the others go on.

    Args:
        configs: runs that differ in seeds, initialisation and numbers of the optimizer only.
        root: directory of runs.
        names: a name for each; by default as `record` names them.
        progress: show a progress bar, if stderr is a terminal or this is a notebook.
        force: train even if a run takes more memory or disk than there is, or more time than 30 days, by estimate.
        lock: as for `record`.

    Raises:
        UsageError: if the configs differ in more, their device is not here, a run takes more than there is, the names are not one
            for each, or a name is taken by a run of another config, by one that was not begun in a batch, or by another process.
        DataError: if a run cannot be written.
        TrainingError: if the device's memory cannot hold a single run.
    """
    paths = _paths(configs, root, names)
    if missing := [config for config, path in zip(configs, paths, strict=True) if not (path / MANIFEST).is_file()]:
        check_runs(missing, root=Path(root), at_once=len(missing) if configs[0].device == "cpu" else 1, force=force)
    with ExitStack() as held:
        members = []
        for config, path in zip(configs, paths, strict=True):
            source = Configured(config)
            if (path / MANIFEST).is_file() and is_done(checked(path, source)):
                continue
            allowed = held.enter_context(writing(path, lock))
            members.append(_member(source, path, allowed, size=len(configs)))
        unfinished = [member for member in members if not member.writer.manifest.final]
        received, failure = _train_all(unfinished, progress=progress)
    if received is not None:
        deliver(received, f"{len(unfinished)} runs in {root} are saved; call record_batch again to continue them")
    if failure is not None:
        raise failure
    runs = [open_run(path) for path in paths]
    for run in runs:
        if run.status == "stopped":
            log.warning("run %s stopped after step %s: its training loss is not finite", run.path, run.manifest.step)
    return runs


@dataclass(frozen=True, eq=False)
class _Member:
    config: RunConfig
    writer: RunWriter
    size: int  # of the batch in which it was begun


def _paths(configs: Sequence[RunConfig], root: str | Path, names: Sequence[str] | None) -> list[Path]:
    """Where the runs are, once it is certain that they are a batch."""
    if not configs:
        raise UsageError("record_batch: given no configs, expected at least one")
    if any(stack_key(config) != stack_key(configs[0]) for config in configs):
        raise UsageError("record_batch: the configs may differ in seeds, initialisation and numbers of the optimizer only")
    if configs[0].engine not in ("auto", _ENGINE):
        raise UsageError(f"engine: given {configs[0].engine!r}, expected auto or {_ENGINE}: that is what computes a batch")
    if changed := next((config for config in configs if config.changes), None):
        raise UsageError(f"record_batch: given the change {changed.changes[0]!r}: record runs that change while they train alone")
    check_device(configs[0])
    called = [run_name(config) for config in configs] if names is None else list(names)
    if len(called) != len(configs) or len(set(called)) != len(called):
        raise UsageError(f"names: given {called}, expected {len(configs)} different ones")
    return [run_path(root, name) for name in called]


def _member(source: Configured, path: Path, allowed: Callable[[], None], *, size: int) -> _Member:
    """A run of the batch, made if it is missing; this process holds it."""
    config = source.config
    if not (path / MANIFEST).is_file():
        # The plan of its training, whose engine would be another one: nothing is computed with this.
        plan = Training(replace(config, engine="reference", device="cpu"), force=True).plan
        plan = replace(plan, settings=config, engine=_ENGINE, threads=1, device=config.device, batch=max(size, 2))
        begin(path, plan, provenance=provenance(config.device))
        return _Member(config, RunWriter(path, allowed), plan.batch)
    run = checked(path, source)
    if "batch" not in run.record:
        raise UsageError(f"run {path} was not begun in a batch; resume it by itself: {source.advice(path)}")
    writer = RunWriter(path, allowed)
    if not writer.manifest.final:
        note_resumed(run, writer.manifest.step, device=config.device)
    return _Member(config, writer, int(run.record["batch"]))


def _train_all(members: Sequence[_Member], *, progress: bool) -> tuple[int | None, Exception | None]:
    """Train all runs to their end, those at one step as one batch; returns a signal that ended it, and the first failure."""
    together: dict[int | None, list[_Member]] = {}
    for member in members:
        together.setdefault(member.writer.manifest.step, []).append(member)
    failure: Exception | None = None
    with HeldSignals() as signals:
        for group in together.values():
            with _shown(group, progress=progress) as show:
                failure = failure or _Batch(group).go(show, signals)
            if signals.received is not None:
                break
    return signals.received, failure


def _shown(group: Sequence[_Member], *, progress: bool) -> AbstractContextManager[Callable[[AnyStep], None]]:
    if not progress:
        return nullcontext(lambda _: None)
    config, done = group[0].config, group[0].writer.manifest.step or 0
    return training_progress(f"{len(group)} runs", total=config.steps, done=done, until_settled=config.until_settled)


class _Batch:
    """Runs that are at the same step, trained in lockstep."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = members
        self._sessions: dict[int, Session] = {}  # of the runs that have begun here and not ended

    def go(self, show: Callable[[AnyStep], None], signals: HeldSignals) -> Exception | None:
        """Train them to their end, or until a signal; returns the first failure other than its loss."""
        pace, failure = Pace(), None
        states = [member.writer.state for member in self._members]
        for advances in rounds([member.config for member in self._members], states):
            for advance in advances:
                failure = self._take(advance) or failure
            for step in [each.result for each in advances if not isinstance(each.result, Exception)][:1]:
                show(step)
            if signals.received is not None:
                for session in self._sessions.values():
                    session.interrupt(signals.received)
                break
            if pace.is_due:
                pace.commit(*self._sessions.values())
        return failure

    def _take(self, advance: Advance) -> Exception | None:
        """Add a run's part in a round to it; returns what is wrong, unless it is the loss."""
        number, result, training = advance.number, advance.result, advance.training
        if training is None:
            assert isinstance(result, Exception)
            return result
        if number not in self._sessions:
            member = self._members[number]
            plan = replace(training.plan, settings=member.config, batch=member.size)
            self._sessions[number] = Session(member.writer, plan, training.state)
        session = self._sessions[number]
        if isinstance(result, TrainingError):
            self._sessions.pop(number).stop(result)
        elif isinstance(result, Exception):
            raise result
        elif session.take(result):
            self._sessions.pop(number).finish()
        return None
