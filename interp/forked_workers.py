"""Work shared out to processes that are forked off: each has what this one has, and an interpreter lock of its own.

Threads that call many small operations wait for one lock; processes do not. Forked, they start in milliseconds, with every
library and array that is there already, in memory that they share until one of them writes to it.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from interp.process import forked, is_idle_beside, keep_memory, without_idle_threads
from interp.signals import signals_put_off

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger("interp")

# What a worker answers: a result, an exception that the function raised, or that what it has to say cannot be sent.
_FOUND, _RAISED, _UNSENT = range(3)
_Answer: TypeAlias = tuple[int, Any]
_END_SECONDS = 5.0  # that a worker has to end in before it is killed
# Libraries with threads of their own, which warn of a fork or are harmed by one.
_NOT_BESIDE = {"grpc", "jax", "mpi4py", "ray"}
# What the system does at a signal is done in a worker too, where the first process had something of its own to do.
_TO_THE_SYSTEM = {signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCHLD}


def may_fork() -> bool:
    """Whether this process can be forked without harm.

    Only on Linux, as macOS' own libraries do not survive it; not where other threads of Python are at work, which may hold locks
    that nobody would release in the child; not in a process that was forked itself or is a daemon, which may have no children;
    not after CUDA was used, or autograd beside a GPU, or beside libraries that warn of it; not where ends of processes, or of
    pipes, are somebody else's to deal with.
    """
    if sys.platform != "linux" or forked() or multiprocessing.current_process().daemon or sys.modules.keys() & _NOT_BESIDE:
        return False
    here = threading.current_thread()
    if here is not threading.main_thread() or any(not is_idle_beside(one) for one in threading.enumerate() if one is not here):
        return False
    if signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL or signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL:
        return False
    torch = sys.modules.get("torch")
    return torch is None or not (torch.cuda.is_initialized() or _has_autograd_threads())


def _has_autograd_threads() -> bool:
    """Whether autograd has threads for devices, without which it works no more in a child."""
    try:
        return any(task.read_text().startswith("pt_autograd") for task in Path("/proc/self/task").glob("*/comm"))
    except OSError:  # a thread has ended meanwhile, or nothing is known
        return True


def from_workers(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int, in_order: bool = True
) -> Iterator[Result]:
    """Results of a function for every item, computed by so many forked processes.

    The first exception is raised where its result would have come. What a worker cannot send back, or was at when it was killed,
    is computed by this process.

    Args:
        function: what is computed.
        items: of which items; they are begun in this order.
        workers: how many processes.
        in_order: results in the items' order, of which at most two more than there are workers wait to be taken; or as they come.

    >>> list(from_workers(lambda n: n * n, range(5), workers=2))
    [0, 1, 4, 9, 16]
    """
    return results_of(started(function, items, workers=workers), function, items, in_order=in_order)


def results_of(
    workers: list[Worker], function: Callable[[Item], Result], items: Sequence[Item], *, in_order: bool = True
) -> Iterator[Result]:
    """The same by workers that were `started` for it, which are ended."""
    to_do, at, found = deque(range(len(items))), dict[Worker, int](), dict[int, _Answer]()
    idle, ahead, taken = list(workers), len(workers) + 1, 0
    try:
        while taken < len(items):
            while idle and to_do and (not in_order or to_do[0] <= taken + ahead):
                worker = idle.pop()
                at[worker] = to_do.popleft()
                worker.begin(at[worker])
            if not (taken in found if in_order else found):
                if not at:  # every worker is gone
                    found[to_do.popleft()] = (_UNSENT, None)
                    continue
                ready = wait([worker.connection for worker in at])
                for worker in [worker for worker in at if worker.connection in ready]:
                    index, answer = at.pop(worker), worker.answer()
                    found[index] = (_UNSENT, None) if answer is None else answer
                    if answer is not None:
                        idle.append(worker)
                continue
            index = taken if in_order else next(iter(found))
            kind, value = found.pop(index)
            if kind == _RAISED:
                raise value
            yield function(items[index]) if kind == _UNSENT else value
            taken += 1
    finally:
        for worker in workers:
            worker.end(at_once=worker in at)


def started(function: Callable[[Item], object], items: Sequence[Item], *, workers: int) -> list[Worker]:
    """So many workers, or fewer where no more processes can be had; none, and that is said, where there can be none."""
    found: list[Worker] = []
    try:
        with without_idle_threads(), signals_put_off():  # no signal comes between a process and its place in the list
            is_frozen = gc.get_freeze_count() > 0  # by the program itself, which must not be undone
            gc.freeze()  # what is garbage here is not finalized there, a second time
            try:
                for _ in range(min(workers, len(items))):
                    found.append(Worker(function, items, [one.connection for one in found]))
            except OSError as error:  # no memory, or no number, for another; or what was printed cannot be written before
                if not found:
                    log.info("no process can be forked (%s); threads do the work", error)
            finally:
                if not is_frozen:
                    gc.unfreeze()
    except BaseException:
        for worker in found:
            worker.end(at_once=True)
        raise
    return found


class Worker:
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
            with warnings.catch_warnings():
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
        self._send(index)

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
        """Have the process end: it does when it is told that there is no more work, or in the middle of it."""
        if self.connection.closed:
            return
        if at_once:
            self._process.terminate()
        else:
            self._send(None)
        self.connection.close()
        if not wait([self._process.sentinel], _END_SECONDS):
            self._process.kill()
        self._process.join()

    def _send(self, index: int | None) -> None:
        with suppress(OSError):  # the worker is gone: `answer` says so
            self.connection.send_bytes(pickle.dumps(index))


def _work(function: Callable[[Item], object], items: Sequence[Item], mine: Connection, others: Sequence[Connection]) -> None:
    """What a worker runs: items by number, until it is told that there are no more or the first process is gone."""
    _leave_signals_alone()
    keep_memory()
    for connection in others:
        connection.close()
    with suppress(EOFError, OSError):  # the first process is gone
        while (index := pickle.loads(mine.recv_bytes())) is not None:
            mine.send_bytes(_outcome(function, items[index]))


def _leave_signals_alone() -> None:
    """What the first process does at a signal is done there alone. (Ctrl-C, and others, reach all processes of a terminal.)"""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL if number in _TO_THE_SYSTEM else signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome(function: Callable[[Item], object], item: Item) -> bytes:
    """The answer for an item."""
    try:
        answer = (_FOUND, function(item))
    except Exception as error:  # it is raised in the first process, where its result would have come
        error.add_note("in a forked process:\n" + traceback.format_exc())
        answer = (_RAISED, error)
    try:
        return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        return pickle.dumps((_UNSENT, None))
