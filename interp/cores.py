"""The cores of this machine: how many may be used, and how work is shared out between them so that none waits for another.

torch shares single operations out: hundreds of small ones, at each of which every thread waits for the slowest. As soon as
another program keeps one of the cores busy, the others spin for whole time slices of the system. Here each thread does a whole
piece of the work by itself, with operations that are not shared out: none waits for another before the end, and the numbers do
not depend on how many threads there were.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from interp.errors import UsageError
from interp.forked_workers import may_fork, results_of, started

Item = TypeVar("Item")
Result = TypeVar("Result")

# By default no more pieces of work are done at once: each needs memory of its own.
MOST = 8


def available_threads() -> int:
    """Number of cores this process may use: its CPU affinity where the system reports one, otherwise all cores."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> int:
    """A number of threads as given, or as many as there are cores that this process may use, up to `MOST`.

    Raises:
        UsageError: if it is less than 1.
    """
    if threads is None:
        return min(available_threads(), MOST)
    if threads < 1:
        raise UsageError(f"threads: given {threads}, expected at least 1 (leave it out for all cores this process may use)")
    return threads


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside the block; the former number is restored afterwards."""
    import torch  # only here: whoever asks for the number of cores need not wait for it

    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if before != threads:
            torch.set_num_threads(before)


def shared_out(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, in_order: bool = True
) -> Iterator[Result]:
    """Results of a function for every item, computed by so many threads.

    At most two results more than there are threads wait to be taken, so that memory does not grow with the number of items. The
    first exception is raised where its result would have come; what had not begun is then left undone.

    Args:
        function: what is computed.
        items: of which items; they are begun in this order.
        threads: how many are worked at at once.
        in_order: results in the items' order, or as they come.

    >>> list(shared_out(lambda n: n * n, range(5), threads=2))
    [0, 1, 4, 9, 16]
    """
    if threads == 1:
        yield from map(function, items)
        return
    waiting: list[Future[Result]] = []
    left = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="interp") as pool:
        try:
            waiting.extend(pool.submit(function, item) for item in islice(left, threads + 1))
            while waiting:
                done = waiting[:1] if in_order else list(wait(waiting, return_when=FIRST_COMPLETED).done)
                for future in done:
                    waiting.remove(future)
                    yield future.result()
                    waiting.extend(pool.submit(function, item) for item in islice(left, 1))
        finally:
            for future in waiting:
                future.cancel()


def side_by_side(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, forks: bool = False, in_order: bool = True
) -> Iterator[Result]:
    """The same for work that uses torch, which has one thread in each of them, and so in the calling one meanwhile.

    Args:
        function: what is done with an item.
        items: all of them.
        threads: how many are worked at at once.
        forks: whether results can be sent from one process to another, and the function changes nothing that is looked at later:
            then forked processes do it, where this one may be forked. They do not wait for each other's interpreter locks.
        in_order: see `shared_out`.

    >>> import torch
    >>> list(side_by_side(lambda n: (n, torch.get_num_threads()), range(3), threads=2))
    [(0, 1), (1, 1), (2, 1)]
    """

    def alone(item: Item) -> Result:
        with torch_threads(1):  # a thread's number of torch threads is its own
            return function(item)

    with torch_threads(1):
        if threads > 1 and forks and may_fork():
            items = list(items)
            if workers := started(function, items, workers=threads):
                yield from results_of(workers, function, items, in_order=in_order)
                return
        yield from shared_out(alone, items, threads=threads, in_order=in_order)
