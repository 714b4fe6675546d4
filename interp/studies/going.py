"""Training what a study lacks: its runs are handed to an executor, and what became of each is counted."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from interp.bars import many_runs_progress
from interp.cores import available_threads
from interp.errors import DataError, UsageError
from interp.reading import parsed_json, read_file
from interp.store.durable import make_directory, write_atomically
from interp.store.leases import Leases
from interp.store.locking import is_locked
from interp.store.manifest import MANIFEST
from interp.studies.study_plan import Point
from interp.studies.worker import LEASES, RUNS, State, Work, check_own, settled
from interp.wording import counted

if TYPE_CHECKING:
    from interp.studies.study import Study
    from interp.training.executor import Executor

FAILURES = "failures"
_A_NAME = re.compile(r"[0-9a-f]{16}")  # of a point
_LARGEST = 2**20  # bytes of what is told of a failure
_PATIENCE = 1.0  # seconds between two looks at runs that other workers train


@dataclass(frozen=True)
class Tally:
    """What became of a study's runs, or of one shard's.

    Attributes:
        finished: runs at their end, including those that were before.
        stopped: runs whose loss was not finite.
        failed: name of a run that could not be trained here -> why.
        trained: how many came to their end while this call lasted, here or by other workers.
    """

    finished: int
    stopped: int
    failed: Mapping[str, str] = field(default_factory=dict)
    trained: int = 0


def go(
    study: Study,
    points: Sequence[Point],
    *,
    workers: int | None,
    executor: Executor | None,
    progress: bool,
    force: bool = False,
) -> Tally:
    """Bring these runs of a study to their end; see `Study.run`.

    Raises:
        UsageError: also if runs are there that the plan does not have.
    """
    if executor is not None and workers is not None:
        raise UsageError(f"study: given workers {workers!r} and an executor, expected one of them: the executor has its own")
    if executor is None:
        from interp.studies.study_sizes import check_study
        from interp.training.processes import Processes

        executor = Processes(workers)
        check_study(study, points, at_once=workers or available_threads(), force=force)
    work = Work(study.folder.resolve(), study.plan.keep, study.plan.measures, force=force)
    check_own(study.folder, RUNS, LEASES, FAILURES)
    states: dict[str, State] = {}
    failed: dict[str, str] = {}
    _check_strays(study)
    for point in points:
        with suppress(DataError):  # a damaged run: the job will say so, and take no other along
            if (state := settled(study.path_of(point.name), study.plan.keep)) is not None:
                states[point.name] = state
    before = len(states)
    shown = many_runs_progress(study.name, total=len(points), done=before) if progress else nullcontext(lambda _done, _what: None)
    with ended_by_signals(), shown as show:
        show(before, said(states, failed))
        for name, result in _results(points, states, executor, work):
            if result == "held":
                show(len(states) + len(failed), f"{said(states, failed)}, other workers train")
                continue
            if isinstance(result, Exception):
                failed[name] = f"{type(result).__name__}: {result}"
                _write_failure(study.folder, name, failed[name])
            else:
                states[name] = result
                failed.pop(name, None)
                (study.folder / FAILURES / f"{name}.json").unlink(missing_ok=True)
            show(len(states) + len(failed), said(states, failed))
    kinds = list(states.values())
    return Tally(kinds.count("finished"), kinds.count("stopped"), failed, len(states) - before)


def strays(study: Study) -> list[str]:
    """Names of runs in a study's folder that its plan does not have: since it was changed, or another version named them."""
    known = {point.name for point in study.points}
    there = (path.parent.name for path in (study.folder / RUNS).glob(f"*/{MANIFEST}"))
    return sorted(name for name in there if name not in known and _A_NAME.fullmatch(name))


def _check_strays(study: Study) -> None:
    if found := strays(study):
        raise UsageError(
            f"{study.folder / RUNS} has {counted(len(found), 'run')} that the plan does not have, such as {found[0]}: study.json "
            "was changed, or is another version's. Put it back (values and seeds can be added, none taken away), or move these "
            "folders elsewhere to go on without them"
        )


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP, as batch systems send them, end the work as Ctrl-C does: everything is saved first.

    Afterwards the signal goes to whoever handled it before, by default it ends the process, whatever error a library made of the
    interruption or ran into while it was put down.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
        heard = [n for n in (int(signal.SIGTERM), int(signal.SIGHUP)) if signal.getsignal(n) != signal.SIG_IGN]  # not under nohup
        before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def shard_of(points: tuple[Point, ...], shard: tuple[int, int] | None) -> tuple[Point, ...]:
    """The k-th of n parts of a study's runs: every n-th, so that each part has some of every cell.

    Raises:
        UsageError: for a part that does not exist.
    """
    if shard is None:
        return points
    k, n = shard
    if not 1 <= k <= n:
        raise UsageError(f"shard: given {k}/{n}, expected K/N with K from 1 to N")
    return points[k - 1 :: n]


def failures(folder: Path) -> dict[str, str]:
    """Why runs of a study could not be trained, as of the last attempt, by the run's name."""
    found = {}
    for path in sorted((folder / FAILURES).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found[path.stem] = str(parsed_json(read_file(path, at_most=_LARGEST, inside=folder))["error"])
    return found


def _results(
    points: Sequence[Point], states: Mapping[str, State], executor: Executor, work: Work
) -> Iterator[tuple[str, State | Exception]]:
    """What the executor did. Runs that others train are looked at until they are done, or their lease is over."""
    leases = Leases(work.folder / LEASES, seconds=work.lease_seconds)
    left = [point for point in points if point.name not in states]
    held: dict[str, Point] = {}
    while left:
        numbered = dict(enumerate(left))
        for number, result in executor({number: point.config for number, point in numbered.items()}, work):
            if result == "held":
                held[numbered[number].name] = numbered[number]
            yield numbered[number].name, result
        left = []
        while held and not left:
            time.sleep(_PATIENCE)
            left = [point for point in held.values() if _is_due(point, work, leases)]
        for point in left:  # the others stay: each is looked at until it is done
            del held[point.name]


def _is_due(point: Point, work: Work, leases: Leases) -> bool:
    """Whether a run that somebody else had is done, or can be gone on with."""
    run = work.folder / RUNS / point.name
    try:
        return settled(run, work.keep) is not None or (leases.free(point.name) and not is_locked(run))
    except DataError:
        return True  # damaged: the job will say so


def said(states: Mapping[str, State], failed: Mapping[str, str]) -> str:
    """What the bar says."""
    kinds = list(states.values())
    parts = {"finished": kinds.count("finished"), "broke off": kinds.count("stopped"), "failed": len(failed)}
    return ", ".join(f"{count} {what}" for what, count in parts.items() if count or what == "finished")


def _write_failure(folder: Path, name: str, error: str) -> None:
    with suppress(OSError):  # a full disk may be the reason
        make_directory(folder / FAILURES)
        write_atomically(folder / FAILURES / f"{name}.json", json.dumps({"error": error}).encode())
