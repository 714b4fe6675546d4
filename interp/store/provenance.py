"""What besides config, engine and threads fixes the bytes of a run."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

INSTRUCTIONS = "instructions"  # runs begun before this was noted lack it


def provenance(device: str = "cpu") -> dict[str, str]:
    """Versions of the libraries, platform, processor and GPU, if one is used; no times, so that equal runs are equal.

    A processor's name may not tell how it rounds: servers of one name have vectors of different widths. `INSTRUCTIONS` are those
    that torch takes here, which the environment may narrow.
    """
    libraries = {name: version(name) for name in ("interp", "torch", "numpy", "numba")}
    here = {"python": platform.python_version(), "platform": platform.platform(), "processor": _processor()}
    here |= {INSTRUCTIONS: _instructions()}
    return {**libraries, **here, **({"gpu": _gpu(device)} if device.startswith("cuda") else {})}


def _gpu(device: str) -> str:
    """The GPU's name."""
    import torch

    return torch.cuda.get_device_name(device)


def _instructions() -> str:
    """The widest vectors that torch uses on this processor, such as AVX2 or AVX512."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def _processor() -> str:
    """The processor's model name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
