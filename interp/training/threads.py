"""How many threads a run may use, and how torch is held to that number without changing it for the rest of the process."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from interp.config.run_config import RunConfig
from interp.process import forked

log = logging.getLogger("interp")


def available_threads() -> int:
    """Number of cores this process may use: its CPU affinity where the system reports one, otherwise all cores."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(config: RunConfig) -> int:
    """Number of threads of a run: as configured, otherwise all cores this process may use; 1 in a forked process."""
    wanted = config.threads or available_threads()
    if not forked():
        return wanted
    if config.threads and wanted > 1:
        log.warning("threads: %d requested, but OpenMP cannot be used in a forked process: using 1", wanted)
    torch.set_num_threads(1)  # permanently: with more, torch hangs in this process if the parent has used them
    return 1


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside the block; the former number is restored afterwards."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if before != threads:
            torch.set_num_threads(before)
