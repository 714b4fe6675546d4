"""The command line: parse, call, print. No logic lives here.

Exit codes: 0 done, 1 failure (damaged data, training that cannot continue), 2 usage (a wrong request), 130 interrupted.
"""

from interp.cli.entry import main

__all__ = ["main"]
