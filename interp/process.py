"""What process this is, whether it can be forked off, and what memory it holds.

`import interp` loads this module at once, so that a fork is noticed whatever is imported after it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Thread

_STARTED_IN = os.getpid()
_JOIN_SECONDS = 1.0  # that a thread that only draws has to end in
_IDLE: list[_Idle] = []
# Of glibc's malloc.h: from how much on freed memory at the end of the heap is given back, and how many pieces may lie outside of
# it, each of which is given back by itself.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def forked() -> bool:
    """Whether this process was forked off after `interp` was imported: then OpenMP, if its parent has used it, hangs here."""
    return os.getpid() != _STARTED_IN


def still_here() -> Callable[[], bool]:
    """What says, whenever it is asked, whether this is still the process that called it, and not one forked off from it later.

    A child leaves the contexts of its parent too, by whatever ends it or because they become garbage there. What the parent holds
    in them (locks, files, other processes) is not the child's to give back.
    """
    process, now = os.getpid(), os.getpid  # at the end of an interpreter this module's names may be gone
    return lambda: now() == process


class _Idle:
    """Threads that only draw: how they are started and stopped, and which they are."""

    def __init__(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        self._start, self._stop = start, stop
        self.threads: set[Thread] = set()

    def start(self) -> None:
        import threading  # only here: `import interp` is instant

        before = set(threading.enumerate())
        self._start()
        self.threads = set(threading.enumerate()) - before

    def stop(self) -> None:
        self._stop()
        for thread in self.threads:
            thread.join(_JOIN_SECONDS)


@contextmanager
def idle_thread(*, start: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """A thread that runs inside, and only draws: it can be stopped for a moment, in which a process is forked off.

    Args:
        start: starts it.
        stop: ends it.
    """
    idle = _Idle(start, stop)
    idle.start()
    _IDLE.append(idle)
    try:
        yield
    finally:
        _IDLE.remove(idle)
        idle.stop()


def is_idle_beside(thread: Thread) -> bool:
    """Whether a thread is one that can be stopped for a moment."""
    return any(thread in idle.threads for idle in _IDLE)


@contextmanager
def without_idle_threads() -> Iterator[None]:
    """A moment without them: locks that they would hold in a process that is forked off would be held there for ever."""
    stopped = list(_IDLE)
    for idle in stopped:
        idle.stop()
    try:
        yield
    finally:
        for idle in stopped:
            idle.start()


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


def keep_memory() -> None:
    """Keep memory that is freed for what comes next, where the C library can be told so: for a process that soon ends.

    Arrays of many megabytes are otherwise given back to the system when they are freed, and got anew, page by page, each of which
    it fills with zeros: a tenth of the time in which a checkpoint is measured.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # another library, which does as it does
        set_option = ctypes.CDLL(None).mallopt
        set_option(_TRIM_THRESHOLD, 2**30)
        set_option(_MMAP_MAX, 0)
