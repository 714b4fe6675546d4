"""What code of a user's raised, and in which of its lines: our own lines do not help to mend it."""

from __future__ import annotations

import sysconfig
import traceback
from functools import cache
from pathlib import Path

# What a user's code may raise: also what would end the process.
RAISED = (Exception, SystemExit)


def raised(error: BaseException) -> str:
    """An exception in words, with file and line of the last call in a user's code, if it came through one.

    >>> raised(ValueError("no"))
    'ValueError: no'
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_elsewhere())]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


@cache
def _elsewhere() -> tuple[str, ...]:
    """Where code lies that is no user's: this toolkit's, Python's, libraries'; and what has no file."""
    package = Path(__file__).resolve().parents[1]
    libraries = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return (str(package), str(package.parent / "analyses"), "<", *libraries)
