"""Where a command line begins and ends: which commands there are, how they fail, and with which exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

import tyro

from interp.cli.exchange import export, import_
from interp.cli.foresight import forecast
from interp.cli.looking import analyze, anatomy, runs, show, verify
from interp.cli.making import demo, resume, train, train_from
from interp.cli.pages import figure, report, watch
from interp.cli.studies import study, study_from
from interp.errors import DataError, TrainingError, UsageError
from interp.interop.known import UnknownFactError

DESCRIPTION = """Watch a circuit form: train a one-layer transformer on modular arithmetic and look inside every checkpoint.

Begin with `interp demo`. Add --debug to any command for a full traceback."""

# In the order in which the help lists them; `import` is a keyword of Python.
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "resume": resume,
    "runs": runs,
    "show": show,
    "verify": verify,
    "analyze": analyze,
    "forecast": forecast,
    "report": report,
    "figure": figure,
    "watch": watch,
    "import": import_,
    "anatomy": anatomy,
    "export": export,
    "study": study,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    logging.basicConfig(format="%(message)s")
    logging.getLogger("interp").setLevel(logging.INFO)  # what libraries log below a warning does not concern the user
    sys.exit(_guarded(lambda: _dispatch(given), debug=debug))


def _dispatch(given: list[str]) -> None:
    if given[:1] == ["train"] and len(given) > 1 and not given[1].startswith("-"):
        train_from(given[1], given[2:])
    elif given[:1] == ["study"]:
        study_from(given[1:] or ["--help"])
    else:
        app = tyro.extras.SubcommandApp()
        for name, command in COMMANDS.items():
            app.command(name=name)(command)
        app.cli(prog="interp", description=DESCRIPTION, args=given)


def _guarded(command: Callable[[], None], *, debug: bool) -> int:
    """Run a command; print what went wrong, if anything, and return the exit code."""
    try:
        command()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, DataError, TrainingError, OSError, KeyboardInterrupt) as error:
        if debug or (isinstance(error, ValueError) and not isinstance(error, UsageError)):
            raise
        if isinstance(error, KeyboardInterrupt):
            print(f"interrupted{f': {error}' if str(error) else ''}", file=sys.stderr)
            return 130
        said = error.on_command_line() if isinstance(error, UnknownFactError) else error
        print(f"error: {said}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0
