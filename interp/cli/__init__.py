"""The command line: parse, call, print. No logic lives here.

Exit codes: 0 done, 1 failure (damaged data, training that cannot continue, output that cannot be written), 2 usage (a wrong
request), 130 interrupted by Ctrl-C. SIGTERM and SIGHUP save and end a command, which a shell then shows as 143 and 129. See
docs/commands.md.
"""

from interp.cli.entry import main

__all__ = ["main"]
