"""Many independent runs at once, one thread each, by any executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, overload

import torch

from interp.config.run_config import RunConfig
from interp.cores import available_threads
from interp.errors import TrainingError, UsageError
from interp.training.executor import Executor
from interp.training.fitting import check_runs
from interp.training.lockstep import train_stacked
from interp.training.loop import train
from interp.training.processes import Processes
from interp.training.stacked.graphs import is_asked, refusal
from interp.training.stacked.stacked_runs import stack_key
from interp.training.stream import Step

T = TypeVar("T")


def last_step(config: RunConfig, *, force: bool = False) -> Step[Any]:
    """Train a run to its end; returns its last step, with weights of its own."""
    for step in train(config, force=force):
        if step.last:
            return replace(step, weights=step.weights.clone())
    raise AssertionError("a run always has a last step")


@overload
def train_many(
    configs: Iterable[RunConfig], *, workers: int | None = None, executor: Executor | None = None, force: bool = False
) -> Iterator[tuple[int, Step[Any] | Exception]]: ...


@overload
def train_many(
    configs: Iterable[RunConfig],
    job: Callable[[RunConfig], T],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    force: bool = False,
) -> Iterator[tuple[int, T | Exception]]: ...


def train_many(
    configs: Iterable[RunConfig],
    job: Callable[[RunConfig], Any] = last_step,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    force: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Do a job for every config, several at a time, each with one thread; yields (index, result) in the order they finish.

    Each run equals its single run with ``threads=1`` bit for bit, whatever executes it. A run that fails, or whose process dies,
    gives its exception as its result and does not disturb the others. Leaving the iteration early ends those still running.

    Runs on a CUDA device that differ in seeds, initialisation and numbers of the optimizer only are trained as one batch instead
    (if the job is the default one and no executor is given); each then equals its single run to rounding.

    A script that calls this must guard its own work with ``if __name__ == "__main__":``, as all scripts that start processes
    must: each process imports it anew.

    Args:
        configs: the runs; ``threads`` is set to 1.
        job: what to do in a process of its own: a function of one config that can be pickled, that is, one defined at the top
            level of a module, or a `functools.partial` of one. By default a run is trained and its last `Step` returned.
        workers: how many processes at a time; None means one for every core this process may use.
        executor: what does the jobs, in place of processes of this machine: see `Executor`.
        force: begin even if so many runs at once take more memory than this machine has, or one more time than 30 days, by
            estimate. (A job of your own that trains passes it on to what it calls.)

    Raises:
        UsageError: if a config or the number of workers is invalid, or the runs take more than there is, before anything is
            started.

    >>> from interp import recipe
    >>> runs = [replace(recipe("demo"), seed=seed, steps=1) for seed in range(3)]
    >>> sorted((index, step.index) for index, step in train_many(runs, workers=1))
    [(0, 1), (1, 1), (2, 1)]
    """
    runs = list(configs)
    for index, config in enumerate(runs):
        if not isinstance(config, RunConfig):
            raise UsageError(f"train_many: item {index} is {config!r}, expected a RunConfig")
    if executor is not None and workers is not None:
        raise UsageError(f"train_many: given workers {workers!r} and an executor, expected one of them: the executor has its own")
    numbered = {index: replace(config, threads=1) for index, config in enumerate(runs)}
    pool = Processes(workers)
    if executor is None and not force:
        check_runs(list(numbered.values()), root=None, at_once=workers or available_threads())
    stacks = _taken_out(numbered) if executor is None and job is last_step else []
    doing = partial(last_step, force=True) if force and job is last_step else job
    return _all_results(numbered, stacks, (executor or pool)(numbered, doing))


def _all_results(
    runs: dict[int, RunConfig], stacks: Iterable[dict[int, RunConfig]], done: Iterator[tuple[int, Any]]
) -> Iterator[tuple[int, Any]]:
    """Those of the stacks, then those of the executor; a run without a result has failed."""
    for stack in stacks:
        yield from _stacked_results(stack)
    missing = set(runs)
    for number, result in done:
        if number not in missing:
            raise UsageError(f"executor: given a result of run {number!r}, expected one of each of {sorted(missing)}")
        missing.remove(number)
        yield number, result
    yield from ((number, TrainingError("the executor ended without a result of this run")) for number in sorted(missing))


def _taken_out(runs: dict[int, RunConfig]) -> list[dict[int, RunConfig]]:
    """Stacks of the runs that can be stacked, which are taken out of `runs`."""
    stacks: dict[RunConfig, dict[int, RunConfig]] = {}
    for number, config in list(runs.items()):
        if _can_be_stacked(config):
            stacks.setdefault(stack_key(config), {})[number] = runs.pop(number)
    return list(stacks.values())


def _can_be_stacked(config: RunConfig) -> bool:
    """Whether a run is one for the CUDA engine, and there is a device for it; if not, its own process says what is wrong."""
    return refusal(config) is None and torch.cuda.is_available() and is_asked(config)


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
    else:  # one that cannot begin must not stop the others
        items = list(runs.items())
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            yield from _stacked_results(dict(half))
