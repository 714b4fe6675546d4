"""How many threads a run may use."""

from __future__ import annotations

import logging

import torch

from interp.config.run_config import RunConfig
from interp.cores import available_threads
from interp.process import forked

log = logging.getLogger("interp")


def threads_for(config: RunConfig) -> int:
    """Number of threads of a run: as configured, otherwise all cores this process may use; 1 in a forked process."""
    wanted = config.threads or available_threads()
    if not forked():
        return wanted
    if config.threads and wanted > 1:
        log.warning("threads: %d requested, but OpenMP cannot be used in a forked process: using 1", wanted)
    torch.set_num_threads(1)  # permanently: with more, torch hangs in this process if the parent has used them
    return 1
