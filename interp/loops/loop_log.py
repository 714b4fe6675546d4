"""The run that a loop of somebody else's is recorded as: it is told the steps, does what is due, and gives nothing back."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from math import isfinite
from types import TracebackType

from torch import Tensor, nn

from interp.errors import UsageError
from interp.keeping.interruption import HeldSignals
from interp.live.attendant import attended
from interp.live.showing import is_looking, shown
from interp.loops.loop_writer import LoopWriter
from interp.loops.measured_moments import MeasuredMoments
from interp.loops.mishaps import Mishaps
from interp.loops.moment import Moment
from interp.loops.told_numbers import loss_number, step_number
from interp.loops.unchanged import Kept
from interp.loops.wanted import Wanted
from interp.networks.module_network import copied, module_maker
from interp.networks.undisturbed import same_random_streams, same_settings
from interp.store.manifest import Reason
from interp.store.run import Run, open_run
from interp.store.writer import writing

log = logging.getLogger("interp")


class Recording:
    """A training loop as a run: what `interp.recording` returns, to be used in a ``with`` block.

    Attributes:
        path: the run's directory.
        address: of its live page, inside the block; None without one.
    """

    address: str | None

    def __init__(self, wanted: Wanted) -> None:
        self._wanted, self.path = wanted, wanted.begun.path
        self.address = None
        self._dues = wanted.dues
        self._mishaps = Mishaps(self.path)
        self._state = "not opened"
        self._process = os.getpid()
        self._held, self._page = ExitStack(), ExitStack()
        self._told: int | None = None  # the last step that was told here
        self._kept = Kept()  # the model then, where it was not saved

    def __repr__(self) -> str:
        return f"Recording({str(self.path)!r}: {self._state}, last step {self.last})"

    @property
    def last(self) -> int | None:
        """The last step that the run has; None before any. Of a run that is continued: the next that can be told comes after it.

        Where an exception left the block before, that is the last step that was told; where the process was killed, the last that
        was committed of those that were saved, evaluated or told with their loss.
        """
        return self._writer.last if self._state != "not opened" else None

    @property
    def is_closed(self) -> bool:
        """Whether its block was left."""
        return self._state == "closed"

    @property
    def run(self) -> Run:
        """The run as of now. Its networks can be asked: copies of the model take the weights of its checkpoints."""
        return open_run(self.path, network=module_maker(self._copied, inputs=self._wanted.watched.network.inputs))

    def _copied(self) -> nn.Module:
        watched = self._wanted.watched
        return copied(watched.network, watched.task.inputs[:2])

    def _run_in_turn(self) -> Run:
        """The same, of which one network can be asked at a time: one copy takes the weights of each checkpoint in turn."""
        once: list[nn.Module] = []

        def copy() -> nn.Module:
            if not once:
                once.append(self._copied())
            return once[0]

        return open_run(self.path, network=module_maker(copy, inputs=self._wanted.watched.network.inputs))

    def __enter__(self) -> Recording:
        if self._state != "not opened":
            raise UsageError(f"recording {self.path.name!r}: it was opened before; call interp.recording(...) again")
        self._process = os.getpid()
        wanted = self._wanted
        with same_random_streams(), same_settings(), ExitStack() as page, ExitStack() as held:
            allowed = held.enter_context(writing(self.path, wanted.lock))
            run = wanted.begun.opened()
            can_wait = self._can_be_copied()
            self._dues = wanted.dues if can_wait else replace(wanted.dues, put_off=())
            self._budget = run.budget  # of the run as it was begun, which may have been with another one
            self._writer = LoopWriter(self.path, allowed, self._mishaps)
            self._measured = MeasuredMoments(wanted.watched, run, wanted.live, wanted.late, wanted.keys, self._mishaps, can_wait)
            if wanted.shows:
                self.address = page.enter_context(attended(self.path))
                log.warning("the live page of %s: %s", self.path, self.address)
                if is_looking():
                    page.enter_context(shown(self.address))
            self._held, self._page = held.pop_all(), page.pop_all()
        self._state = "open"
        return self

    def step(self, step: int, train_loss: float | Tensor | None = None) -> None:
        """Tell that the model, as it is now, has made so many updates. Nothing is done unless something is due.

        Args:
            step: number of the step; they ascend. In this toolkit step 0 is the initial model, step n the one after n updates.
            train_loss: your own loss of this step, for the run's history (at evaluated steps the loss over all training rows
                stands there in its place). One that is not finite stops the run; the loop goes on.

        Raises:
            UsageError: outside the block, for a step that is none or does not ascend, and for a loss that is no number.
        """
        if self._process != os.getpid():
            return  # a child that was forked off: the run is its parent's
        if self._state != "open":
            self._refuse(step)
            return
        step, least = step_number(step), self._least()
        loss = None if train_loss is None else loss_number(train_loss)
        if step < least:
            raise UsageError(
                f"recording {self.path.name!r}: given step {step}, expected one of at least {least}: steps ascend. A run that is "
                "continued goes on after log.last, with the model in the state that it had there; from an earlier state train on "
                "and tell only what comes after log.last"
            )
        self._told, is_saved = step, step in self._dues.saved
        if not is_saved:
            with self._mishaps.kept_from_the_loop("it was not looked at whether the model changes", step):
                self._kept.keep(self._wanted.watched.network.module)
        is_evaluated = self._dues.is_evaluated(step, saved=is_saved)
        if is_saved or is_evaluated or self._writer.is_due or not (loss is None or isfinite(loss)):
            with HeldSignals() as signals, same_random_streams(), same_settings():
                self._act(step, loss, is_evaluated=is_evaluated, is_saved=is_saved)
            _obey(signals)
        elif loss is not None:
            self._writer.hold(step, {"train_loss": loss})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._process != os.getpid():
            return
        try:
            with HeldSignals() as signals, same_random_streams(), same_settings():
                try:
                    if self._state == "open":
                        self._end(kind)
                    self._mishaps.tell_the_rest()
                finally:
                    self._state = "closed"
                    self._held.close()
            _obey(signals)
        finally:
            self._page.close()  # after the run was let go: nobody writes what its last page shows. Ctrl-C need not wait for it

    def _least(self) -> int:
        before = self._writer.last if self._told is None else self._told
        return 0 if before is None else before + 1

    def _refuse(self, step: object) -> None:
        """Error outside the block; of a run that was stopped nothing more is taken, and the loop goes on."""
        name = self.path.name
        if self._state == "closed":
            raise UsageError(
                f"recording {name!r}: given step {step!r} after the run was closed at step {self.last}; steps are told inside "
                "the with block"
            )
        if self._state == "not opened":
            raise UsageError(
                f"recording {name!r}: given step {step!r} before it was opened; write: with interp.recording(...) as log"
            )

    def _act(self, step: int, loss: float | None, *, is_evaluated: bool, is_saved: bool) -> None:
        """Do what is due at a step."""
        if self._stops(step, loss):
            return
        is_evaluated = is_evaluated or (is_saved and not self._is_finite(step))
        values: dict[str, float | None] = {} if loss is None else {"train_loss": loss}
        moment = self._evaluated(step, values) if is_evaluated else None
        if self._stops(step, values.get("train_loss")):
            return
        if is_saved:
            self._save(step, values, moment)
        elif values:
            self._writer.hold(step, values)
        if self._writer.is_due:
            self._writer.commit(step, self._measured.save)

    def _evaluated(self, step: int, values: dict[str, float | None]) -> Moment | None:
        """The model at this moment, once its curves are among the values; None if it cannot be evaluated."""
        with self._mishaps.kept_from_the_loop("the model was not evaluated", step):
            moment = self._wanted.watched.now()
            values |= self._wanted.watched.curves(moment)
            return moment
        return None

    def _save(self, step: int, values: Mapping[str, float | None], moment: Moment | None) -> None:
        """Save the model, also one that could not be evaluated, and measure it."""
        hashed = self._writer.save(step, values, self._wanted.watched.network)
        if hashed is not None and moment is not None:
            self._measured.look(step, hashed, moment, values)

    def _stops(self, step: int, loss: float | None) -> bool:
        """Whether a loss is not finite, which stops the run before this step."""
        if loss is None or isfinite(loss):
            return False
        log.warning("run %s: the training loss is %s at step %s: stopped. The loop goes on, unrecorded", self.path, loss, step)
        self._state = "stopped"
        self._finish("non-finite")
        return True

    def _end(self, kind: type[BaseException] | None) -> None:
        """The block is left: normally, which ends the run, or not, which leaves it to be continued."""
        told, last = self._told, self._writer.last
        if kind is not None:
            if told is not None and (last is None or told > last):
                self._writer.hold(told, {})  # the number: a model that may be half updated is not saved
            self._writer.interrupt(kind.__name__)
            self._measured.save()
            return
        if told is None and last is None:
            log.warning("run %s: no step was told: nothing is recorded, and the name can be recorded again", self.path)
            return
        if told is not None and told not in self._dues.saved:
            if self._is_as_told(told):
                self._act(told, None, is_evaluated=True, is_saved=True)
            else:
                log.warning(
                    "run %s: the model was updated after step %s, the last that was told, and is not saved; tell the step after "
                    "the last update too", self.path, told,
                )  # fmt: skip
        if self._state == "open":
            last = self._writer.last
            self._finish("budget" if last == self._budget else "ended")

    def _finish(self, reason: Reason) -> None:
        self._writer.finish(reason, lambda: self._measured.at_the_end(self._run_in_turn()))

    def _can_be_copied(self) -> bool:
        """Whether a copy of the model can be asked at the end; if not, nothing is put off."""
        try:
            self._copied()
        except UsageError:
            return False
        return True

    def _is_finite(self, step: int) -> bool:
        with self._mishaps.kept_from_the_loop("it was not looked at whether the model is finite", step):
            return self._wanted.watched.is_finite()
        return True

    def _is_as_told(self, step: int) -> bool:
        """Whether the model is what it was when a step was told that was not saved."""
        with self._mishaps.kept_from_the_loop("it was not looked at whether the model changed", step):
            return self._kept.is_still(self._wanted.watched.network.module)
        return False


def _obey(signals: HeldSignals) -> None:
    """Let a signal that was held back act now."""
    if signals.received is not None:
        signal.raise_signal(signals.received)
