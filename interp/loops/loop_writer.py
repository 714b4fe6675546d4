"""Writing a recorded loop's run so that a disk that refuses is not the loop's concern."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interp.errors import DataError
from interp.keeping.pushed import Pushed, Values
from interp.keeping.session import COMMIT_SECONDS, COMMIT_SHARE
from interp.loops.mishaps import Mishaps
from interp.networks.network import Network
from interp.store.manifest import Reason

RETRY_SECONDS = 10.0  # after which writing is tried again where it failed
_WHAT = "it could not be written"


@dataclass
class LoopWriter:
    """Adds the steps of one run. What fails is told once; then it is tried again every few seconds, from the last commit on.

    The line of a step whose model is not saved is held back until the next one: if it turns out to be the last, its model is
    saved after all.

    Args:
        path: the run's directory, which this process holds.
        allowed: raises if it may no longer write there.
        mishaps: where it is told what went wrong.
    """

    path: Path
    allowed: Callable[[], None]
    mishaps: Mishaps

    def __post_init__(self) -> None:
        self._pushed: Pushed | None = Pushed(self.path, self.allowed)
        self.last = self._pushed.last
        self._line: tuple[int, Values] | None = None
        self._again = 0.0
        self._due = time.monotonic() + COMMIT_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether it is time for a commit."""
        return time.monotonic() >= self._due

    def hold(self, step: int, values: Values) -> None:
        """Add a step whose model is not saved."""
        self._add_line()
        self._line, self.last = (step, values), step

    def save(self, step: int, values: Values, network: Network) -> str | None:
        """Add a step and its model; returns the hash of that, None if it could not be written.

        A model that cannot be stored, or has other tensors than those before, is refused alone: its step has a line all the same.
        """
        if self._line is not None and self._line[0] == step:
            values, self._line = {**self._line[1], **values}, None
        if self._pushed is not None and not self._is_storable(step, network):
            self.hold(step, values)
            return None
        self._add_line()
        with self._writing(step) as pushed:
            if pushed is not None:
                hashed = pushed.add(step, values, network)
                self.last = step
                return hashed
        return None

    def commit(self, step: int | None, also: Callable[[], None]) -> None:
        """Make everything permanent that was added, but a line that is held back, and whatever else is to be kept."""
        begun = time.monotonic()
        with self._writing(step) as pushed:
            if pushed is not None:
                pushed.commit()
                also()
        now = time.monotonic()
        self._due = now + max(COMMIT_SECONDS, (now - begun) / COMMIT_SHARE)

    def interrupt(self, why: str) -> None:
        """Commit everything and leave the run to be continued."""
        self._again = 0.0
        self._add_line()
        with self._writing(self.last) as pushed:
            if pushed is not None:
                pushed.interrupt(why)

    def finish(self, reason: Reason, series: Callable[[], Mapping[str, bytes]]) -> None:
        """Commit everything, then what was measured, then for good."""
        self._again = 0.0
        self._add_line()
        with self._writing(self.last) as pushed:
            if pushed is None:
                return
            pushed.commit()
            found: Mapping[str, bytes] = {}
            with self.mishaps.kept_from_the_loop("what was measured was not kept", self.last):
                found = series()
            for name, data in found.items():
                pushed.writer.add_series(name, data)
            pushed.finish(reason)

    def _is_storable(self, step: int, network: Network) -> bool:
        pushed = self._pushed
        with self.mishaps.kept_from_the_loop("the model was not saved", step):
            if pushed is not None:
                pushed.check(network, where="the checkpoint is left out")
            return True
        return False

    def _add_line(self) -> None:
        if self._line is None:
            return
        (step, values), self._line = self._line, None
        with self._writing(step) as pushed:
            if pushed is not None:
                pushed.add(step, values)
                self.last = step

    @contextmanager
    def _writing(self, step: int | None) -> Iterator[Pushed | None]:
        """What writes, if it can; what fails in the block ends its use: what it had not committed is gone."""
        with self.mishaps.kept_from_the_loop(_WHAT, step), _said_of_a_loop():
            if self._pushed is None and time.monotonic() >= self._again:
                self._again = time.monotonic() + RETRY_SECONDS
                self._pushed = Pushed(self.path, self.allowed)
                self.last = self._pushed.last
        pushed = self._pushed
        with self.mishaps.kept_from_the_loop(_WHAT, step), _said_of_a_loop():
            self._pushed = None  # until the block has gone well
            yield pushed
            self._pushed = pushed
        if pushed is not None and self._pushed is None:
            self._again = time.monotonic() + RETRY_SECONDS


@contextmanager
def _said_of_a_loop() -> Iterator[None]:
    """An error of the system as it is: what a training of this toolkit's would do next is not what a loop does."""
    try:
        yield
    except DataError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError):
            raise
        raise DataError(
            f"{cause.filename or 'the run'}: cannot be written ({cause.strerror}). What was committed before is unharmed; make "
            f"room or allow writing: a later step tries again by itself, {RETRY_SECONDS:g} s after this one at the earliest"
        ) from cause
