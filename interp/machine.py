"""What this machine has left: memory that a process may still take, room on a disk; and amounts of both in words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_UNLIMITED = 2**60  # control groups without a limit say a number near 2^63
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
_YEAR = 365.25 * 86400


def available_memory() -> int | None:
    """Bytes that this process may still take: the least of what the system, its control groups and its own limit leave.

    Memory that the system or a control group holds as cache of files counts as free; swap does not, as a training that swaps
    never ends. None where no system tells.
    """
    found = [value for value in (_of_system(), *_of_groups(), _of_process()) if value is not None]
    return max(0, min(found)) if found else None


def free_disk(path: Path) -> int | None:
    """Bytes that may still be written at a path, which need not exist yet; None where no system tells."""
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None


def in_bytes(number: float) -> str:
    """An amount of memory in words.

    >>> in_bytes(512), in_bytes(12.34e9), in_bytes(3e24)
    ('512 bytes', '12 GB', 'more than 1,000 EB')
    """
    if number >= 1e21:
        return "more than 1,000 EB"
    unit = 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:,.1f} {_UNITS[unit]}" if unit and number < 9.95 else f"{number:,.0f} {_UNITS[unit]}"


def in_time(seconds: float) -> str:
    """A time in words.

    >>> in_time(90), in_time(7000), in_time(86400 * 3), in_time(1e12), in_time(1e30)
    ('90 s', '117 minutes', '3 days', '31,688 years', 'more than a million years')
    """
    if seconds >= 1e6 * _YEAR:
        return "more than a million years"
    for unit, length in (("years", _YEAR), ("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _of_system() -> int | None:
    """What the system could give without swapping; where it does not tell that, all that it has."""
    with suppress(OSError, ValueError, KeyError):
        return 1024 * int(_table(_PROC / "meminfo", ":")["MemAvailable"].split()[0])
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_groups() -> Iterator[int]:
    """What each control group around this process leaves, of both versions."""
    with suppress(OSError, ValueError):
        for line in (_PROC / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                yield from _left(_CGROUPS, path, ("memory.max", "memory.current", "inactive_file"))
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                yield from _left(_CGROUPS / "memory", path, names)


def _left(root: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    """What a group and those that hold it leave. In a container the path may be the host's: then the root is the group."""
    limit, usage, cached = names
    place = root / path.lstrip("/")
    for folder in dict.fromkeys([place, *place.parents, root]):
        if folder != root and root not in folder.parents:
            continue
        with suppress(OSError, ValueError):
            most = int((folder / limit).read_text())
            if most < _UNLIMITED:
                cache = 0
                with suppress(OSError, ValueError, KeyError):
                    cache = int(_table(folder / "memory.stat", " ")[cached])
                yield most - int((folder / usage).read_text()) + cache


def _of_process() -> int | None:
    """What the limit on this process' own address space (`ulimit -v`) leaves."""
    with suppress(ImportError, OSError, ValueError, KeyError, AttributeError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            return most - 1024 * int(_table(_PROC / "self" / "status", ":")["VmSize"].split()[0])
    return None


def _table(path: Path, between: str) -> dict[str, str]:
    rows = (line.split(between, 1) for line in path.read_text().splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}
