"""Noticing that another program uses the cores a run's threads were meant for."""

from __future__ import annotations

import logging

log = logging.getLogger("interp")

_TRIAL = 8  # parallel calls after which is decided
_REST = 200  # calls in one thread before several are tried again


class Contention:
    """Decides, call by call, whether to use several threads or one, by how long calls took.

    Threads that share a call's work wait for the slowest of them. Where another program keeps one of the cores busy, that waiting
    is counted in the system's time slices, and one thread alone is several times faster.
    """

    def __init__(self) -> None:
        self._alone = 0.0
        self._serial_left = 2  # the second call shows what one thread takes: the first may have to compile
        self._calls = self._slow = 0
        self._said = False

    def use_threads(self) -> bool:
        """Whether the next call should use several threads."""
        return self._serial_left == 0

    def note(self, seconds: float) -> None:
        """Tell how long that call took."""
        if self._serial_left:
            self._alone = seconds
            self._serial_left -= 1
            return
        self._calls += 1
        self._slow += seconds > self._alone
        if self._calls < _TRIAL:
            return
        if self._slow > _TRIAL // 2:
            self._serial_left = _REST
            if not self._said:
                log.info(
                    "threads: one is faster at present (another program may keep a core busy): using it for a while, with the "
                    "same results"
                )
            self._said = True
        self._calls = self._slow = 0
