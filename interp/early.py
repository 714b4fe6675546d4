"""Ctrl-C while the command is still being imported: it ends with the line and the exit code of an interrupted command.

The first thing that `import interp` loads, and it loads nothing itself. What comes before is Python's own start, some hundredths
of a second, in which Ctrl-C ends Python as Python does it.
"""

import _signal  # type: ignore[import-not-found]  # not `signal`, whose import takes longer than all else until the handler stands
import os
import sys

INTERRUPTED = 130


def stand() -> None:
    """From here on Ctrl-C ends this process at once, unless it is ignored or handled in another way."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _end)


def give_way() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt, if it would have ended this process at once."""
    if _signal.getsignal(_signal.SIGINT) is _end:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def is_command() -> bool:
    """Whether this process is ``python -m interp`` or the installed `interp`: neither a script of others nor a worker process."""
    given = sys.orig_argv
    if sys.argv[:1] == ["-m"]:  # as it is while Python looks for the module that it is to run
        return ("-m", "interp") in zip(given, given[1:], strict=False)  # noqa: RUF007  nothing is imported here
    installed = os.path.join(os.path.dirname(sys.executable), "interp")
    return sys.argv[:1] == [installed] and installed in given


def _end(_number: int, _frame: object) -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(INTERRUPTED)


if is_command():
    stand()
