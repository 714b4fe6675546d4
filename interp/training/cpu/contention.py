"""Noticing that another program uses the cores a run's threads were meant for."""

from __future__ import annotations

import logging

log = logging.getLogger("interp")

_TRIAL = 8  # parallel calls before each decision
_REST = 200  # calls in one thread before several are tried again


class Contention:
    """Decides for each call, by how long earlier calls took, whether to use several threads or one.

    Threads that share the work of a call wait for the slowest of them. If another program keeps one of the cores busy, they wait
    for whole time slices of the system, and a single thread is several times faster.
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
        """Report how long that call took."""
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
                    "threads: one is faster at present (another program may be keeping a core busy); using one for a while, "
                    "with the same results"
                )
            self._said = True
        self._calls = self._slow = 0
