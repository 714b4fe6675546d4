"""What process this is, and what memory it holds.

`import interp` loads this module at once, so that a fork is noticed whatever is imported after it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Thread
    from types import FrameType

_STARTED_IN = os.getpid()
_IDLE: list[_Idle] = []


def forked() -> bool:
    """Whether this process was forked off after `interp` was imported: then OpenMP, if its parent has used it, hangs here."""
    return os.getpid() != _STARTED_IN


_JOIN_SECONDS = 1.0


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
def signals_put_off() -> Iterator[None]:
    """A moment in which no handler of Python's runs: what came meanwhile is dealt with at its end. (They run in the main thread
    alone: in another nothing is to be put off.)

    To block signals in the main thread would not do: the system gives them to a library's thread then, and Python's handler runs
    in this one all the same (findings/numpy_threads_take_blocked_signals.sh).
    """
    import signal  # only here: `import interp` is instant
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {
        int(each): handler for each in signal.valid_signals() if callable(handler := signal.getsignal(each))
    }
    is_over = False

    def put_off(number: int, frame: FrameType | None) -> None:
        if is_over:  # while handlers are put back one by one
            handlers[number](number, frame)
        else:
            came.append(number)

    try:
        for each in handlers:
            signal.signal(each, put_off)
        yield
    finally:
        is_over = True
        back = [partial(signal.signal, each, handler) for each, handler in handlers.items()]
        _all_of([*back, *(partial(signal.raise_signal, number) for number in came)])


def _all_of(actions: Sequence[Callable[[], object]]) -> None:
    """Every one of them, though some raise: the last exception is raised, with the others as its context."""
    if actions:
        try:
            actions[0]()
        finally:
            _all_of(actions[1:])


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Processes that are started inside are not sent Ctrl-C until they ask for it: they could not deal with it while they begin.

    Ctrl-C reaches every process of a terminal; this one is to end the others, and deals with it when the block is left.
    """
    import signal  # only here: `import interp` is instant

    with signals_put_off():
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
