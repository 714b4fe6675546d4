"""What process this is, and what memory it holds.

`import interp` loads this module at once, so that a fork is noticed whatever is imported after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from threading import Thread

_STARTED_IN = os.getpid()
_IDLE: WeakSet[Thread] = WeakSet()


def forked() -> bool:
    """Whether this process was forked off after `interp` was imported: then OpenMP, if its parent has used it, hangs here."""
    return os.getpid() != _STARTED_IN


@contextmanager
def idle_threads() -> Iterator[None]:
    """Threads that are started inside, and are still there at its end, only draw: a process that is forked off can do without."""
    import threading  # only here: `import interp` is instant

    before = set(threading.enumerate())
    yield
    _IDLE.update(set(threading.enumerate()) - before)


def is_idle_beside(thread: Thread) -> bool:
    """Whether a thread was started among `idle_threads`."""
    return thread in _IDLE


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Processes that are started inside are not sent Ctrl-C until they ask for it: they could not deal with it while they begin.

    Ctrl-C reaches every process of a terminal; this one is to end the others.
    """
    import signal  # only here: `import interp` is instant

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that are set inside, for this process and those that it starts there.

    >>> with environment({"INTERP_EXAMPLE": "1"}):
    ...     os.environ["INTERP_EXAMPLE"]
    '1'
    >>> "INTERP_EXAMPLE" in os.environ
    False
    """
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def give_back_memory() -> None:
    """Give memory that was freed back to the system, where the C library can: glibc keeps it, and more with every thread."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # another library, which gives it back by itself or cannot
        ctypes.CDLL(None).malloc_trim(0)
