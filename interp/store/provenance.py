"""What besides config, engine and threads decides the bytes of a run."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path


def provenance() -> dict[str, str]:
    """Versions of the libraries, platform and processor of this process; no times, so that equal runs are equal."""
    libraries = {name: version(name) for name in ("interp", "torch", "numpy", "numba")}
    return {**libraries, "python": platform.python_version(), "platform": platform.platform(), "processor": _processor()}


def _processor() -> str:
    """The processor's model name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
