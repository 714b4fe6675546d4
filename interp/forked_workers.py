"""Work shared out to processes that are forked off: each has what this one has, and an interpreter lock of its own.

Threads that call many small operations wait for one lock; processes do not. Forked, they start in milliseconds, with every
library and array that is there already, in memory that they share until one of them writes to it.
"""

from __future__ import annotations

import logging
import multiprocessing
import pickle
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, TypeAlias, TypeVar

from interp.process import forked, is_idle_beside, without_ctrl_c

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger("interp")

# What a worker answers: a result, an exception that the function raised, or that what it has to say cannot be sent.
_FOUND, _RAISED, _UNSENT = range(3)
_Answer: TypeAlias = tuple[int, Any]
_END_SECONDS = 5.0  # that a worker has to end in before it is killed
# Libraries with threads of their own, which warn of a fork or are harmed by one.
_NOT_BESIDE = {"grpc", "jax", "mpi4py", "ray"}


def may_fork() -> bool:
    """Whether this process can be forked without harm.

    Only on Linux, as macOS' own libraries do not survive it; not where other threads of Python are at work, which may hold locks
    that nobody would release in the child; not in a process that was forked itself or is a daemon, which may have no children;
    not after CUDA was used, or beside libraries that warn of it.
    """
    if sys.platform != "linux" or forked() or multiprocessing.current_process().daemon or sys.modules.keys() & _NOT_BESIDE:
        return False
    here = threading.current_thread()
    if here is not threading.main_thread() or any(not is_idle_beside(one) for one in threading.enumerate() if one is not here):
        return False
    torch = sys.modules.get("torch")
    return torch is None or not torch.cuda.is_initialized()


def from_workers(function: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Iterator[Result]:
    """Results of a function for every item, in the items' order, computed by so many forked processes.

    At most two results more than there are workers wait to be taken. The first exception is raised where its result would have
    come. What a worker cannot send back, or was at when it was killed, is computed by this process.

    >>> list(from_workers(lambda n: n * n, range(5), workers=2))
    [0, 1, 4, 9, 16]
    """
    to_do, at, found = deque(range(len(items))), dict[_Worker, int](), dict[int, _Answer]()
    idle: list[_Worker] = []
    try:
        idle += _started(function, items, workers)
        for wanted in range(len(items)):
            while wanted not in found:
                while idle and to_do and to_do[0] <= wanted + workers + 1:
                    worker = idle.pop()
                    at[worker] = to_do.popleft()
                    worker.begin(at[worker])
                if not at:  # every worker is gone
                    found[wanted] = (_UNSENT, None)
                    to_do.remove(wanted)
                    break
                ready = wait([worker.connection for worker in at])
                for worker in [worker for worker in at if worker.connection in ready]:
                    index, answer = at.pop(worker), worker.answer()
                    found[index] = (_UNSENT, None) if answer is None else answer
                    if answer is not None:
                        idle.append(worker)
            kind, value = found.pop(wanted)
            if kind == _RAISED:
                raise value
            yield function(items[wanted]) if kind == _UNSENT else value
    finally:
        for worker in [*idle, *at]:
            worker.end(at_once=worker in at)


def _started(function: Callable[[Item], object], items: Sequence[Item], workers: int) -> list[_Worker]:
    started: list[_Worker] = []
    for _ in range(min(workers, len(items))):
        with suppress(OSError):  # no memory or no numbers left for another process: there are fewer
            started.append(_Worker(function, items, [one.connection for one in started]))
    return started


class _Worker:
    """A forked process that computes one item after another, and ends when this one does.

    Args:
        function: what it computes.
        items: of which items.
        others: this process' connections to other workers, of which the new one gets copies that would outlive it.
    """

    def __init__(self, function: Callable[[Item], object], items: Sequence[Item], others: Sequence[Connection]) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        arguments = (function, items, theirs, [*others, self.connection])
        self._process: ForkProcess = context.Process(target=_work, args=arguments, daemon=True)
        try:
            with without_ctrl_c(), warnings.catch_warnings():
                # Since 3.12 Python warns of threads of any kind. Those left are of linear algebra's libraries, which expect it.
                warnings.filterwarnings("ignore", ".* is multi-threaded", DeprecationWarning)
                self._process.start()
        except OSError:
            self.connection.close()
            raise
        finally:
            theirs.close()

    def begin(self, index: int) -> None:
        """Have an item computed."""
        with suppress(OSError):  # the worker is gone: `answer` will say so
            self.connection.send_bytes(pickle.dumps(index))

    def answer(self) -> _Answer | None:
        """What became of the item; None if the worker is gone, which is then said."""
        try:
            sent = self.connection.recv_bytes()
        except (EOFError, OSError):
            self.end(at_once=False)
            log.warning(
                "a process that helped this one ended early, with exit code %s (-9: it was killed, for want of memory for one); "
                "what it was at is computed again",
                self._process.exitcode,
            )
            return None
        try:
            answer: _Answer = pickle.loads(sent)
        except Exception:  # of some exceptions no copy can be made
            return (_UNSENT, None)
        return answer

    def end(self, *, at_once: bool) -> None:
        """Have the process end: it does once it can get no more work, or in the middle of it."""
        self.connection.close()
        if at_once:
            self._process.terminate()
        self._process.join(_END_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


def _work(function: Callable[[Item], object], items: Sequence[Item], mine: Connection, others: Sequence[Connection]) -> None:
    """What a worker runs: items by number, until the other end of the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the first ends the others
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    for connection in others:
        connection.close()
    with suppress(EOFError, OSError):  # the first process has no more work, or is gone
        while True:
            index = pickle.loads(mine.recv_bytes())
            mine.send_bytes(_outcome(function, items[index]))


def _outcome(function: Callable[[Item], object], item: Item) -> bytes:
    """The answer for an item."""
    try:
        answer = (_FOUND, function(item))
    except Exception as error:  # it is raised in the first process, where its result would have come
        answer = (_RAISED, error)
    try:
        return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        return pickle.dumps((_UNSENT, None))
