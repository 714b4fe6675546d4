"""Many independent runs at once, over the cores: one process and one thread each."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar, overload

import torch

from interp.config.run_config import RunConfig
from interp.errors import TrainingError, UsageError
from interp.training.lockstep import train_stacked
from interp.training.loop import Step, train
from interp.training.stacked.graphs import is_worth_it, refusal
from interp.training.stacked.stacked_runs import stack_key
from interp.training.threads import available_threads

T = TypeVar("T")


def last_step(config: RunConfig) -> Step:
    """Train a run to its end; returns its last step, with weights of its own."""
    for step in train(config):
        if step.last:
            return replace(step, weights=step.weights.clone())
    raise AssertionError("a run always has a last step")


@overload
def train_many(configs: Iterable[RunConfig], *, workers: int | None = None) -> Iterator[tuple[int, Step | Exception]]: ...


@overload
def train_many(
    configs: Iterable[RunConfig], job: Callable[[RunConfig], T], *, workers: int | None = None
) -> Iterator[tuple[int, T | Exception]]: ...


def train_many(
    configs: Iterable[RunConfig], job: Callable[[RunConfig], Any] = last_step, *, workers: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Do a job for every config, several at a time, each with one thread; yields (index, result) in the order they finish.

    Each run equals its single run with ``threads=1`` bit for bit. A run that fails, or whose process dies, gives its exception
    as its result and does not disturb the others. Leaving the iteration early ends those still running.

    Runs on a CUDA device that differ in seeds, initialisation and numbers of the optimizer only are trained as one batch instead
    (if the job is the default one); each then equals its single run to rounding.

    A script that calls this must guard its own work with ``if __name__ == "__main__":``, as all scripts that start processes
    must: each process imports it anew.

    Args:
        configs: the runs; ``threads`` is set to 1.
        job: what to do in a process of its own: a function of one config that can be pickled, that is, one defined at the top
            level of a module, or a `functools.partial` of one. By default a run is trained and its last `Step` returned.
        workers: how many at a time; none means one for every core this process may use.

    Raises:
        UsageError: if a config or the number of workers is not one, before anything is started.

    >>> from interp import recipe
    >>> runs = [replace(recipe("demo"), seed=seed, steps=1) for seed in range(3)]
    >>> sorted((index, step.index) for index, step in train_many(runs, workers=1))
    [(0, 1), (1, 1), (2, 1)]
    """
    runs = list(configs)
    for index, config in enumerate(runs):
        if not isinstance(config, RunConfig):
            raise UsageError(f"train_many: item {index} is {config!r}, expected a RunConfig")
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise UsageError(f"workers: given {workers!r}, expected an integer >= 1")
    return _all_results(dict(enumerate(runs)), job, workers or available_threads())


def _pickled(job: object) -> bytes:
    try:
        return pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(f"train_many: the job cannot be sent to another process ({error}); define it in a module") from error


def _all_results(runs: dict[int, RunConfig], job: Callable[[RunConfig], Any], workers: int) -> Iterator[tuple[int, Any]]:
    job_bytes = _pickled(job)

    def results() -> Iterator[tuple[int, Any]]:
        stacks: dict[RunConfig, dict[int, RunConfig]] = {}
        for index, config in list(runs.items()):
            if job is last_step and _can_be_stacked(config):
                stacks.setdefault(stack_key(config), {})[index] = runs.pop(index)
        for stack in stacks.values():
            yield from _stacked_results(stack)
        yield from _results(runs, job_bytes, workers)

    return results()


def _can_be_stacked(config: RunConfig) -> bool:
    """Whether a run is one for the CUDA engine, and there is a device for it; if not, its own process says what is wrong."""
    if refusal(config) is not None or not torch.cuda.is_available():
        return False
    return config.engine == "cuda" or (config.engine == "auto" and is_worth_it(config))


def _stacked_results(runs: dict[int, RunConfig]) -> Iterator[tuple[int, Any]]:
    left, begun = dict(enumerate(runs)), False
    try:
        for number, step in train_stacked(list(runs.values())):
            begun = True
            if isinstance(step, Exception):
                yield left.pop(number), step
            elif step.last:
                yield left.pop(number), replace(step, weights=step.weights.clone())
        return
    except Exception as error:
        failure = error
    if begun or len(runs) == 1:
        yield from ((index, failure) for index in left.values())
    else:  # one that cannot be begun shall not take the others along
        items = list(runs.items())
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            yield from _stacked_results(dict(half))


def _results(runs: dict[int, RunConfig], job: bytes, workers: int) -> Iterator[tuple[int, Any]]:
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
        self.process: SpawnProcess = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, config: RunConfig, job: bytes) -> None:
        """Begin a run."""
        with suppress(OSError):  # the process has died: `result` will say so
            self.connection.send_bytes(pickle.dumps((job, replace(config, threads=1))))

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
        """Wait for the process to end: it does once it has no work and nobody to give it any."""
        self.connection.close()
        self.process.join()


def _work(connection: Connection) -> None:
    """What a worker process runs: jobs, until the other end of the connection is closed."""
    torch.set_num_threads(1)
    # Ctrl-C reaches every process of a terminal; the calling process ends this one, with SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            job, config = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        connection.send_bytes(_outcome(job, config))


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
