"""Where a command line begins and ends: which commands there are, how they fail, and with which exit code."""

from __future__ import annotations

import gc
import logging
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from types import TracebackType

import tyro

from interp.cli.crossings import chimera, masks, readout, ticket, transplant
from interp.cli.ends import die_by, ended_in_order
from interp.cli.exchange import export, import_
from interp.cli.foresight import doctor, doctor_from, forecast
from interp.cli.forks import fork, fork_from
from interp.cli.keeping import du, rename, rm, thin
from interp.cli.landscape import llc
from interp.cli.listing_names import analyses, recipes
from interp.cli.looking import analyze, anatomy, runs, show, verify
from interp.cli.making import demo, resume, train, train_from
from interp.cli.pages import figure, report, watch
from interp.cli.patches import patch
from interp.cli.plain_types import plain_types
from interp.cli.streams import shown_arguments, take_over
from interp.cli.studies import study, study_from
from interp.early import INTERRUPTED
from interp.errors import DataError, NotFiniteError, TrainingError, UsageError
from interp.interop.known import UnknownFactError
from interp.wording import shown

DESCRIPTION = """Watch a circuit form: train a one-layer transformer on modular arithmetic and look inside every checkpoint.

Begin with `interp demo`. Add --debug to any command for a full traceback; `interp --version` says which version this is."""

# What an error says for those who write Python: an aside in brackets.
_IN_PYTHON = re.compile(r",? \((?:in Python[:,] (?:[^()]|\([^()]*\))*|known\.\w+)\)")
_LONGEST = 2_000  # letters of a line of a message
# In the order in which the help lists them; `import` is a keyword of Python.
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "resume": resume,
    "fork": fork,
    "recipes": recipes,
    "analyses": analyses,
    "runs": runs,
    "show": show,
    "verify": verify,
    "analyze": analyze,
    "forecast": forecast,
    "doctor": doctor,
    "report": report,
    "figure": figure,
    "patch": patch,
    "llc": llc,
    "readout": readout,
    "chimera": chimera,
    "transplant": transplant,
    "ticket": ticket,
    "masks": masks,
    "watch": watch,
    "import": import_,
    "anatomy": anatomy,
    "export": export,
    "du": du,
    "thin": thin,
    "rename": rename,
    "rm": rm,
    "study": study,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with the exit code.

    Args:
        arguments: those of a command that is called from Python, which keeps its signals and streams; by default those of this
            process, which is the command's alone.
    """
    if arguments is not None:
        sys.exit(_run(list(arguments)))
    outlet = take_over()
    received: list[int] = []
    try:
        with ended_in_order() as received:
            code = _run(sys.argv[1:])
    except KeyboardInterrupt:  # one that came while the other was dealt with
        code = INTERRUPTED
    except SystemExit as error:  # of the parser: help, or a usage that it has explained
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception:  # what a compiled library made of the interruption
        if not received:
            raise
        if "--debug" in sys.argv:
            traceback.print_exc()
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.stdout.flush()
    gc.freeze()  # what is left is not searched for circles once more: after torch was loaded that takes .2 s
    if received:
        die_by(received[0])
    if outlet.error is not None:
        print(f"error: standard output cannot be written ({outlet.error.strerror})", file=sys.stderr)
        code = code or 1
    sys.exit(code)


def _run(given: list[str]) -> int:
    """Run a command; its exit code."""
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    _print_safely()
    logging.getLogger("interp").setLevel(logging.INFO)  # what libraries log below a warning does not concern the user
    with plain_types(), shown_arguments(given):
        return _guarded(lambda: _dispatch(given), debug=debug)


def _dispatch(given: list[str]) -> None:
    for word in given[: 2 if given[:1] == ["study"] else 1]:
        if shown(word) != word:  # which the parser would print as it is
            raise UsageError(f"given {word!a}, expected a command; `interp --help` lists them")
    if given[:1] in (["--version"], ["-V"]):
        from interp.version import __version__

        print(f"interp {__version__}")
    elif given[:1] == ["train"] and len(given) > 1 and not given[1].startswith("-"):
        train_from(given[1], given[2:])
    elif given[:1] == ["doctor"] and len(given) > 1 and not given[1].startswith("-"):
        doctor_from(given[1], given[2:])
    elif given[:1] == ["fork"] and len(given) > 1 and not given[1].startswith("-"):
        fork_from(given[1], given[2:])
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
    except (ValueError, DataError, TrainingError, OSError, KeyboardInterrupt) as error:
        if debug or (isinstance(error, ValueError) and not isinstance(error, UsageError)):
            raise
        if isinstance(error, KeyboardInterrupt):
            print(_told(f"interrupted{f': {error}' if str(error) else ''}"), file=sys.stderr)
            return INTERRUPTED
        said = error.on_command_line() if isinstance(error, UnknownFactError) else error
        print(_told(f"error: {_IN_PYTHON.sub('', str(said))}"), file=sys.stderr)
        return 2 if isinstance(error, UsageError) and not isinstance(error, NotFiniteError) else 1
    return 0


class _Safe(logging.Formatter):
    """What is logged, as it can be printed."""

    def format(self, record: logging.LogRecord) -> str:
        return _told(super().format(record))


def _print_safely() -> None:
    """Log to stderr, with escapes for what no terminal should be sent; and for letters that it cannot show."""
    sys.excepthook = _show_traceback
    handler = logging.StreamHandler()
    handler.setFormatter(_Safe("%(message)s"))
    logging.basicConfig(handlers=[handler])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(shown("".join(traceback.format_exception(kind, error, trace)), lines=True), file=sys.stderr, end="")


def _told(text: str) -> str:
    """A message: its first line begins at the margin and no other does, so that a name with a line break begins no message.

    No line is longer than people read: a file may hold a value of a million letters.
    """
    first, *others = map(_shortened, shown(text, lines=True).split("\n"))
    return "\n".join([first, *(line if line.startswith(" ") else f"  {line}" for line in others)])


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST // 2]} ... ({len(line) - _LONGEST:,} letters) ... {line[-_LONGEST // 2 :]}"
