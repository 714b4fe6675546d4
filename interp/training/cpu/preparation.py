"""The machine code of a run: from numba's cache or, the first time, compiled by several processes at once.

Each process compiles some of the units (kernels/units.py) into the cache, from which this one loads them. What they could not do,
for want of a cache or of another process, is left to be compiled where it is called.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from threading import Thread

from numba.core import config

from interp.bars import counted_progress, on_terminal
from interp.signals import without_ctrl_c
from interp.training.cpu.kernels import Layout, compile_alone, units_for

log = logging.getLogger("interp")

_WAIT_SECONDS = 0.1
# A process takes a second to start, and some 150 MiB: it should have some units to compile.
_UNITS_EACH = 4
_MOST_PROCESSES = 8

# A process that compiles: it has the modules that this one has, wherever they are, and nothing else of it.
_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from interp.training.cpu.preparation import compile_as_told
compile_as_told(json.loads(sys.argv[2]))
"""


def prepare(layout: Layout, *, processes: int) -> None:
    """See to it that all units of a run are at hand; if any has to be compiled, it is said, or a bar shown on a terminal."""
    units = units_for(layout)
    if all(unit.is_stored for unit in units):
        return
    if not on_terminal():
        _say_so()
    folder = units[0].folder
    with (
        counted_progress("compiling the fast CPU engine (once per installation)") as show,
        nullcontext() if folder is None else _one_at_a_time(folder),
    ):
        show(sum(unit.is_stored for unit in units), len(units))
        missing = [i for i, unit in enumerate(units) if not unit.is_stored]
        helpers = min(processes, len(missing) // _UNITS_EACH, _MOST_PROCESSES)
        if folder is not None and helpers > 1:
            there = len(units) - len(missing)
            _compile_in_processes(layout, missing, processes=helpers, report=lambda done: show(there + done, len(units)))
        for done, unit in enumerate(units):
            if not unit.is_stored:
                show(done, len(units))
            unit.address  # noqa: B018  compiled now, unless it was before
        show(len(units), len(units))


@cache
def _say_so() -> None:
    """Once in a process, though units of a second kind of run may be missing too."""
    log.info("compiling the fast CPU engine: once per installation, for some 10 to 30 seconds")


def compile_as_told(layout: dict[str, bool | int | str]) -> None:
    """What a process does: compile the unit whose number it reads, say so, and so on until there is nobody to tell it more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the calling process ends this one
    units = units_for(Layout(**layout))  # type: ignore[arg-type]  # as `asdict` wrote it
    for line in sys.stdin:
        compile_alone(units[int(line)], units)
        sys.stdout.write("done\n")
        sys.stdout.flush()


def _compile_in_processes(layout: Layout, missing: Sequence[int], *, processes: int, report: Callable[[int], object]) -> None:
    """Have units compiled by processes that end with this one; by fewer, or none, where the system allows no more."""
    waiting, done = deque(missing), deque[int]()
    cache = {"NUMBA_CACHE_DIR": config.CACHE_DIR} if config.CACHE_DIR else {}
    command = [sys.executable, "-c", _CHILD, json.dumps([str(path) for path in sys.path]), json.dumps(asdict(layout))]
    children: list[subprocess.Popen[str]] = []
    threads: list[Thread] = []
    try:
        with suppress(OSError), without_ctrl_c():
            for _ in range(processes):
                children.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,
                        text=True,
                        env={**os.environ, **cache},
                    )
                )
                threads.append(Thread(target=_tell, args=(children[-1], waiting, done), daemon=True))
                threads[-1].start()
        while any(thread.is_alive() for thread in threads):
            report(min(len(done), len(missing) - 1))
            time.sleep(_WAIT_SECONDS)
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _tell(child: subprocess.Popen[str], waiting: deque[int], done: deque[int]) -> None:
    """Give a process one unit after another, until none waits or it has ended."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(IndexError, OSError, ValueError):
        while True:
            number = waiting.popleft()
            child.stdin.write(f"{number}\n")
            child.stdin.flush()
            if not child.stdout.readline():
                return
            done.append(number)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process compiles into a folder: what it has compiled need not be compiled again.

    Where files cannot be locked nobody waits: two processes that write the same unit do each other no harm.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with ExitStack() as stack:
        with suppress(OSError):  # no locks here, or the file is another user's
            file = stack.enter_context((folder / "interp.lock").open("a"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
