"""An executor from outside: threads of this process, one job each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from interp import RunConfig


def in_threads(runs: Mapping[int, RunConfig], job: Callable[[RunConfig], Any]) -> Iterator[tuple[int, Any]]:
    """Every job in a thread of a pool of two."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        numbers = {pool.submit(job, config): number for number, config in runs.items()}
        for done in as_completed(numbers):
            error = done.exception()
            yield numbers[done], done.result() if error is None else error
