"""Processes of this machine as an executor of runs: one run each at a time."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any, NoReturn

import torch

from interp.config.run_config import RunConfig
from interp.cores import available_threads
from interp.errors import TrainingError, UsageError
from interp.signals import without_ctrl_c

_LOOK_SECONDS = 1.0  # between two looks at whether the calling process is still there


@dataclass(frozen=True)
class Processes:
    """An `Executor`: processes of this machine, each of which does one run after another. One that dies is replaced.

    Args:
        workers: how many at a time; None means one for every core this process may use.

    Raises:
        UsageError: for an invalid number of workers.
    """

    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and (not isinstance(self.workers, int) or self.workers < 1):
            raise UsageError(f"workers: given {self.workers!r}, expected an integer >= 1")

    def __call__(self, runs: Mapping[int, RunConfig], job: Callable[[RunConfig], Any]) -> Iterator[tuple[int, Any]]:
        """Do the job for every config; yields (number, result or exception) as they finish.

        Raises:
            UsageError: at once, if the job cannot be sent to another process.
        """
        return _results(runs, _pickled(job), self.workers or available_threads())


def _pickled(job: object) -> bytes:
    try:
        return pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(f"the job cannot be sent to another process ({error}); define it in a module") from error


def _results(runs: Mapping[int, RunConfig], job: bytes, workers: int) -> Iterator[tuple[int, Any]]:
    waiting = list(runs.items())[::-1]
    idle: list[_Worker] = []
    busy: dict[int, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = idle.pop() if idle else _Worker()
                index, config = waiting.pop()
                worker.start(config, job)
                busy[index] = worker
            ready = wait([worker.connection for worker in busy.values()])
            for index in [index for index, worker in busy.items() if worker.connection in ready]:
                worker = busy.pop(index)
                result = worker.result()
                if worker.process.is_alive():
                    idle.append(worker)
                yield index, result
    finally:
        for worker in busy.values():
            worker.process.terminate()
        for worker in [*idle, *busy.values()]:
            worker.end()


class _Worker:
    """A process that does one job after another."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
        resource_tracker.ensure_running()  # where it is started on the way, that lets Ctrl-C through again
        with without_ctrl_c():
            self.process.start()
        theirs.close()

    def start(self, config: RunConfig, job: bytes) -> None:
        """Begin a run."""
        with suppress(OSError):  # the process has died: `result` will say so
            self.connection.send_bytes(pickle.dumps((job, config)))

    def result(self) -> Any:
        """What the job returned or raised."""
        try:
            return pickle.loads(self.connection.recv_bytes())
        except Exception as error:
            if not isinstance(error, (EOFError, OSError)):
                return TrainingError(f"the result of this run could not be read: {type(error).__name__}: {error}")
            self.process.join()
            return TrainingError(
                f"the process of this run ended with exit code {self.process.exitcode} before the run did (if every run ends "
                'like this, guard the script that calls train_many with `if __name__ == "__main__":`)'
            )

    def end(self) -> None:
        """Wait for the process to end: it does once it can get no more work."""
        self.connection.close()
        self.process.join()


def _work(connection: Connection, parent: int) -> None:
    """What a worker process runs: jobs, until the other end of the connection is closed.

    Args:
        connection: to the calling process.
        parent: number of the calling process, which may be gone by now: its jobs are still in the connection.
    """
    torch.set_num_threads(1)
    # Ctrl-C reaches every process of a terminal; the calling process ends this one, with SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGTERM, _end)
    end_with_parent(parent)
    try:
        _do_jobs(connection)
    except SystemExit as ended:  # by SIGTERM: what a job held was released on the way here
        _leave(ended.code if isinstance(ended.code, int) else 1)
    _leave(0)


def _do_jobs(connection: Connection) -> None:
    while True:
        try:
            job, config = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        connection.send_bytes(_outcome(job, config))


def _leave(status: int) -> NoReturn:
    """End this process without taking torch and numba apart object by object.

    That is most of a second of the processor, for which whoever ends the worker waits: many seconds on a machine that is busy.
    """
    atexit._run_exitfuncs()  # those of multiprocessing are among them
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(status)


def _end(number: int, _frame: FrameType | None) -> None:
    """End this process in order, so that what it holds is released."""
    sys.exit(128 + number)


def end_with_parent(parent: int | None = None) -> None:
    """Have this process told to save and end, by SIGTERM, once the one that started it is gone, however that ended.

    Args:
        parent: number of the process that started it; by default that which is its parent now.
    """
    known = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == known:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)  # not raised in this thread: the main one may be waiting in the system

    threading.Thread(target=watch, daemon=True, name="parent").start()


def _outcome(job: bytes, config: RunConfig) -> bytes:
    """The pickled result of a job, or the exception it ended with."""
    try:
        return pickle.dumps(pickle.loads(job)(config))
    except Exception as error:
        error.add_note("in the process of this run:\n" + traceback.format_exc())
        try:
            data = pickle.dumps(error)
            pickle.loads(data)
            return data
        except Exception:  # an exception that cannot be pickled, or not be made again from what was
            return pickle.dumps(TrainingError(f"{type(error).__name__}: {error}"))
