"""Other versions of the toolkit, and what a process of one of them takes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent


@contextmanager
def checked_out(commit: str | None) -> Iterator[Path | None]:
    """A folder with the sources of a commit of this repository as long as the context lasts; None for None."""
    if commit is None:
        yield None
        return
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkout"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(folder), commit], check=True, cwd=ROOT)
        try:
            yield folder
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(folder)], check=True, cwd=ROOT)


def usage_of(arguments: Sequence[str], *, folder: Path, source: Path = ROOT) -> dict[str, float]:
    """Run one `interp` command to its end: seconds of wall clock and of processor time (with its children), peak memory in MiB.

    Args:
        arguments: what follows ``interp``.
        folder: where it runs.
        source: the version.
    """
    command = [sys.executable, "-m", "interp", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"interp {' '.join(arguments)} failed with status {status}: {said.decode(errors='replace')[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return {
        "seconds": wall,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss * unit / 2**20,
    }
