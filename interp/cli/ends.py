"""How a command is ended from outside: what it holds is released first, and it ends by the signal it was sent."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from interp import early

_FROM_OUTSIDE = (signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.05


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

    def swallowed(found: sys.UnraisableHookArgs) -> None:
        # Compiled libraries (pydantic's, for one) drop an interruption that comes while they call back: it is made once more, by
        # another thread, since it would be dropped here as well.
        if not issubclass(found.exc_type, KeyboardInterrupt):
            before(found)
            return
        again = threading.Timer(_AGAIN_SECONDS, _thread.interrupt_main)
        again.daemon = True
        again.start()

    early.give_way()
    before, sys.unraisablehook = sys.unraisablehook, swallowed
    taken = [number for number in _FROM_OUTSIDE if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        sys.unraisablehook = before
        early.stand()
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def die_by(number: int) -> None:
    """End this process as the signal ends one that does not handle it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
