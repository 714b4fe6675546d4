"""OpenMP's threads, which numba has to share with torch."""

from __future__ import annotations

import logging

import numba
import torch
from numba.core import config

from interp.process import forked

log = logging.getLogger("interp")


def can_be_parallel(threads: int) -> bool:
    """Whether passes can be launched in parallel: only where they can share OpenMP's threads with torch."""
    return threads > 1 and not forked() and _shares_openmp(threads)


def _shares_openmp(threads: int) -> bool:
    """Start numba's OpenMP layer; returns whether that worked. Threads of any other layer would fight torch's for the cores."""
    before, torch_before = config.THREADING_LAYER, torch.get_num_threads()
    try:
        config.THREADING_LAYER = "omp"
        numba.set_num_threads(min(threads, config.NUMBA_NUM_THREADS))
        layer = numba.threading_layer()
    except ValueError as error:
        layer = f"none ({error})"
    finally:
        config.THREADING_LAYER = before
        torch.set_num_threads(torch_before)  # where both use one OpenMP library, numba has just set it
    if layer != "omp":
        log.info("loops over pairs run in one thread: numba's threading layer is %s, not omp", layer)
    return layer == "omp"
