"""Signals at moments in which nothing may be interrupted: while a process is started, until somebody knows of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType


@contextmanager
def signals_put_off() -> Iterator[None]:
    """A moment in which no handler of Python's runs: what came meanwhile is dealt with at its end. (They run in the main thread
    alone: in another nothing is to be put off.)

    To block signals in the main thread would not do: the system gives them to a library's thread then, and Python's handler runs
    in this one all the same (findings/numpy_threads_take_blocked_signals.sh).
    """
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
    with signals_put_off():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
