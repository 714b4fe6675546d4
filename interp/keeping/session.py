"""What one process adds to a run: steps go to the writer, with a commit every few seconds."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from math import isclose, isfinite
from typing import Any, Literal

from torch import Tensor

from interp.config.run_config import RunConfig
from interp.config.saved_steps import SavedSteps
from interp.errors import DataError, TrainingError, UsageError
from interp.keeping.interruption import HeldSignals
from interp.keeping.watching import Watch
from interp.networks.network import Network
from interp.store import history
from interp.store.manifest import Reason
from interp.store.run import open_run
from interp.store.run_log import write_log
from interp.store.writer import RunWriter
from interp.training.stream import Plan, Step, Stream

COMMIT_SECONDS = 2.0  # how much work a killed process may lose
COMMIT_SHARE = 0.02  # how much of the time commits may take, where disks are slow
_ROUNDING = 1e-2  # by what share a run's loss may differ in another batch (where it is steep, rounding is amplified)

AnyStep = Step[Any]


class Pace:
    """When the next commit is due."""

    def __init__(self) -> None:
        self._next = time.monotonic() + COMMIT_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether it is time for a commit."""
        return time.monotonic() >= self._next

    def commit(self, *sessions: Session) -> None:
        """Commit runs in progress."""
        begun = time.monotonic()
        for session in sessions:
            session.commit(status="running")
        now = time.monotonic()
        self._next = now + max(COMMIT_SECONDS, (now - begun) / COMMIT_SHARE)


class Session:
    """Takes the steps of one run.

    Args:
        writer: of the run, which this process holds.
        plan: what the run was begun with.
        state: returns what the training needs to continue from the last step taken.
    """

    def __init__(self, writer: RunWriter, plan: Plan, state: Callable[[], Mapping[str, Tensor]]) -> None:
        self._writer, self._plan, self._state = writer, plan, state
        self._saved = plan.saved if isinstance(plan.saved, SavedSteps) else frozenset(plan.saved)
        self._kept = frozenset(plan.moments)
        self._start = self.step = writer.manifest.step
        self._is_resumed = self._start is not None
        steps = writer.manifest.steps
        self._layout = _layout(open_run(writer.path)[steps[0]].network) if steps else None

    def take(self, step: AnyStep) -> bool:
        """Add a step to the run; True if it is the last.

        Raises:
            TrainingError: if its loss is not finite.
            UsageError: if it does not follow the step before, or its network is not of the run's kind.
            DataError: if a resumed training does not begin with what was recorded.
        """
        if not isfinite(step.train_loss):
            raise TrainingError(f"training loss is {step.train_loss} at step {step.index}: stopped. Steps before it are unharmed")
        values = {name: getattr(step, name) for name in history.COLUMNS}
        is_last = step.last or step.index >= self._plan.steps
        if self._is_resumed:
            self._is_resumed = False
            self._compare(step.index, history.encode(step.index, values))
        else:
            self._add(step, values, is_last=is_last)
        return is_last

    def commit(self, *, status: Literal["running", "interrupted"]) -> None:
        """Make everything up to the last step permanent."""
        assert self.step is not None  # at least one step was taken
        self._writer.commit(self.step, _checked(self._state()), status=status)

    def interrupt(self, received: int) -> None:
        """Commit everything, because of a signal."""
        self.commit(status="interrupted")
        write_log(self._writer.path, "interrupted", step=self.step, signal=signal.Signals(received).name)

    def is_saved(self, step: int) -> bool:
        """Whether a step is one of the run's checkpoints."""
        return step in self._saved

    def pause(self, why: str) -> None:
        """Commit everything and leave it there, unfinished: it can be resumed."""
        self.commit(status="interrupted")
        write_log(self._writer.path, "stopped early", step=self.step, reason=why)

    def finish(self) -> None:
        """The last step was taken."""
        is_early = self.step is not None and self.step < self._plan.steps
        self._keep_last_state()
        reason: Reason = "budget" if not is_early else "settled" if isinstance(self._plan.settings, RunConfig) else "ended"
        self._writer.finish(self.step, status="finished", reason=reason)
        write_log(self._writer.path, "finished", step=self.step, reason=reason)

    def _keep_last_state(self) -> None:
        """Keep what more steps would need, `interp.resume(run, steps=...)`: three times what a checkpoint takes."""
        is_own = self._plan.keeps_last and isinstance(self._plan.settings, RunConfig) and self._plan.batch == 1
        if is_own and self.step is not None and self.step not in self._kept:
            self._writer.save_moments(self.step, _checked(self._state()))

    def stop(self, error: TrainingError) -> None:
        """The training cannot continue."""
        self._writer.finish(self.step, status="stopped", reason="non-finite")
        write_log(self._writer.path, "stopped", step=self.step, error=str(error))

    def _add(self, step: AnyStep, values: Mapping[str, float | None], *, is_last: bool) -> None:
        least = 0 if self.step is None else self.step + 1
        if step.index < least:
            raise UsageError(f"run {self._writer.path}: given step {step.index}, expected one >= {least}: steps must ascend")
        self._writer.add_history(step.index, values)
        if step.index in self._saved or is_last:
            self._check(step)
            self._writer.save(step.index, step.weights)
        if step.index in self._kept:
            self._writer.save_moments(step.index, _checked(self._state()))
        self.step = step.index

    def _check(self, step: AnyStep) -> None:
        """Error unless the network is what the plan says, with the same tensors as the others."""
        network, plan = step.weights, self._plan
        layout = _layout(network)
        given = network.kind, sum(tensor.numel() for tensor in network.tensors().values())
        where = f"run {self._writer.path}, step {step.index}"
        if given != (plan.kind, plan.n_parameters):
            raise UsageError(
                f"{where}: given a network of kind {given[0]!r} with {given[1]} parameters, expected kind {plan.kind!r} with "
                f"{plan.n_parameters}, as the plan says"
            )
        self._layout = self._layout or layout
        if layout != self._layout:
            named = next(name for name in {**layout, **self._layout} if layout.get(name) != self._layout.get(name))
            raise UsageError(
                f"{where}: tensor {named!r}: given {layout.get(named, 'none')}, expected {self._layout.get(named, 'none')}, "
                "as at the run's first checkpoint; a run's networks have the same tensors"
            )

    def _compare(self, step: int, line: bytes) -> None:
        """A resumed session's first step was recorded before: the same line shows that this machine gives the same bytes."""
        recorded = self._writer.last_line()
        if step != self._start:
            raise UsageError(
                f"run {self._writer.path}: the training continued at step {step}, expected {self._start}: after load(state) the "
                "first step yielded is the one that the state was taken at"
            )
        if line != recorded and not (self._plan.batch > 1 and _is_close(line, recorded)):
            raise DataError(
                f"run {self._writer.path} cannot go on here: its bytes would not be those of an uninterrupted run. "
                f"Given {line.decode().strip()}, recorded {recorded.decode().strip()}. "
                "Resume it where it was begun (see its run.json), or record it again under another name"
            )


def go(
    session: Session, stream: Stream, show: Callable[[AnyStep], None], *, signals: HeldSignals, watch: Watch | None = None
) -> int | None:
    """Train to the end, until a signal, which is returned once everything is saved, or until the watch says that it is enough."""
    pace = Pace()
    try:
        for step in _at_least_one(stream):
            is_last = session.take(step)
            if watch is not None:
                watch.see(step, is_saved=session.is_saved(step.index))
            show(step)
            if is_last:
                session.finish()
                break
            if signals.received is not None:
                session.interrupt(signals.received)
                break
            if watch is not None and watch.stop is not None:
                session.pause(watch.stop)
                break
            if pace.is_due:
                pace.commit(session)
        else:
            session.commit(status="interrupted")
            raise UsageError(
                f"the stream ended after step {session.step}, before its budget of {stream.plan.steps} steps, without saying "
                "that this was the last: give that Step last=True. What it yielded is saved"
            )
    except TrainingError as error:
        session.stop(error)
    return signals.received


def _at_least_one(stream: Stream) -> Iterator[AnyStep]:
    steps = iter(stream)
    first = next(steps, None)
    if first is None:
        raise UsageError("the stream yielded no step, expected its present one first, then one after every update")
    return chain([first], steps)


def _layout(network: Network) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.tensors().items()}


def _checked(state: object) -> Mapping[str, Tensor]:
    """A state, if it is one."""
    if not isinstance(state, Mapping):
        raise UsageError(f"state(): given {type(state).__name__}, expected tensors by name")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UsageError(
                f"state(): {name!r} is {type(value).__name__}, expected a tensor under a name; numbers go into torch.tensor(x)"
            )
    return state


def _is_close(line: bytes, recorded: bytes) -> bool:
    """Whether two lines of a history are equal but for rounding."""
    mine, theirs = json.loads(line), json.loads(recorded)
    return isclose(mine["train_loss"], theirs["train_loss"], rel_tol=_ROUNDING)
