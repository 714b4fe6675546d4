"""Time that a process worked: while it is stopped by Ctrl-Z, none passes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SHOW_CURSOR, _HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


@contextmanager
def working_clock(*, cursor: bool = False) -> Iterator[Callable[[], float]]:
    """A clock as a context: what it yields gives seconds, of which none pass between Ctrl-Z and `fg`.

    Only in the main thread, and where nobody else handles Ctrl-Z; elsewhere it is `time.monotonic`.

    Args:
        cursor: a bar has hidden the terminal's cursor: while the process is stopped, the shell needs it.
    """
    stopped = 0.0

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        begun = time.monotonic()
        if cursor:
            _say(_SHOW_CURSOR)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # here it stands still
        signal.signal(number, stop)
        stopped += time.monotonic() - begun
        if cursor:
            _say(_HIDE_CURSOR)

    is_ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTSTP, stop)
    try:
        yield lambda: time.monotonic() - stopped
    finally:
        if is_ours:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)


def _say(sequence: str) -> None:
    """Tell the terminal itself: a bar stands between it and `sys.stderr`."""
    with suppress(OSError):  # a terminal that is gone needs no cursor
        if os.isatty(2):
            os.write(2, sequence.encode())
