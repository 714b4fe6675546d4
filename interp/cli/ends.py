"""How a command is ended from outside: what it holds is released first, and it ends by the signal it was sent."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from interp import early

_FROM_OUTSIDE = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_in_order() -> Iterator[list[int]]:
    """Inside the block Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt; yields those of the latter two that came.

    So temporary files are removed, browsers and workers ended. Whoever ignores a signal (`nohup`) goes on to do so. A second
    one ends the process at once.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            die_by(number)
        raise KeyboardInterrupt

    early.give_way()
    taken = [number for number in _FROM_OUTSIDE if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        early.stand()
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def die_by(number: int) -> None:
    """End this process as the signal ends one that does not handle it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
