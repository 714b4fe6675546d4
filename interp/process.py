"""What process this is, and what memory it holds.

`import interp` loads this module at once, so that a fork is noticed whatever is imported after it.
"""

from __future__ import annotations

import os
from contextlib import suppress

_STARTED_IN = os.getpid()


def forked() -> bool:
    """Whether this process was forked off after `interp` was imported: then OpenMP, if its parent has used it, hangs here."""
    return os.getpid() != _STARTED_IN


def give_back_memory() -> None:
    """Give memory that was freed back to the system, where the C library can: glibc keeps it, and more with every thread."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # another library, which gives it back by itself or cannot
        ctypes.CDLL(None).malloc_trim(0)
