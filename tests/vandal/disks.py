"""Small disks in memory, mounted for a round; where that is not allowed, there is none, and the round says so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def mounted(path: Path, size: int) -> Iterator[Path | None]:
    """A disk of a size in bytes at a path, or None where none can be mounted."""
    path.mkdir(parents=True, exist_ok=True)
    done = _system("mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", path)
    if not done:
        yield None
        return
    try:
        yield path
    finally:
        _system("umount", path) or _system("umount", "--lazy", path)


def resize(disk: Path, size: int) -> None:
    """Give a disk another size."""
    assert _system("mount", "-o", f"remount,size={size}", disk)


def protect(disk: Path) -> None:
    """Have a disk accept no more changes."""
    assert _system("mount", "-o", "remount,ro", disk)


def _system(*command: object) -> bool:
    try:
        return subprocess.run([*map(str, command)], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
