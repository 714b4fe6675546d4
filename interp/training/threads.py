"""How many threads a run may use, and keeping it to that without changing anything for the rest of the process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from interp.config import RunConfig

log = logging.getLogger("interp")
_STARTED_IN = os.getpid()


def available_threads() -> int:
    """Number of cores this process may use (its CPU affinity where the system tells, otherwise all of them)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def forked() -> bool:
    """Whether this process was forked off after this module was imported: then OpenMP must not be used in it."""
    return os.getpid() != _STARTED_IN


def threads_for(config: RunConfig) -> int:
    """Threads of a run: those asked for, otherwise all cores this process may use; 1 in a forked process."""
    wanted = config.threads or available_threads()
    if forked() and wanted > 1:
        if config.threads:
            log.warning("threads: %d asked for, but this is a forked process, where OpenMP cannot be used: 1 is used", wanted)
        return 1
    return wanted


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside the block."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if before != threads:
            torch.set_num_threads(before)
