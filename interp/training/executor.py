"""Executor: what does a job for each of many runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from interp.config.run_config import RunConfig


class Executor(Protocol):
    """Does one job for each of many numbered runs, wherever it likes: in this process, in others, on other machines.

    The job is a function of one config that can be pickled. The config determines the result, so that every executor
    gives the same bytes on one kind of machine with one set of libraries.

    A whole executor, which does one run after the other in this process:

    >>> def in_turn(runs, job):
    ...     for number, config in runs.items():
    ...         try:
    ...             yield number, job(config)
    ...         except Exception as error:
    ...             yield number, error
    >>> from dataclasses import replace
    >>> from interp import recipe, train_many
    >>> runs = [replace(recipe("demo"), steps=1, engine="reference")]
    >>> [(number, step.index) for number, step in train_many(runs, executor=in_turn)]
    [(0, 1)]
    """

    def __call__(self, runs: Mapping[int, RunConfig], job: Callable[[RunConfig], Any]) -> Iterator[tuple[int, Any]]:
        """Yield (number, what the job returned or the exception it raised) once for every run, as they finish.

        Closing the iterator early ends what is still running.
        """
        ...
