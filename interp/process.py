"""What process this is. `import interp` loads this module at once, so that a fork is noticed whatever is imported after it."""

from __future__ import annotations

import os

_STARTED_IN = os.getpid()


def forked() -> bool:
    """Whether this process was forked off after `interp` was imported: then OpenMP, if its parent has used it, hangs here."""
    return os.getpid() != _STARTED_IN
