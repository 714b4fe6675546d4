"""The command line in a process of its own, forked off one that has the libraries loaded and has used none of them.

A command so begun is `interp.cli.main` with its own standard streams, working directory, temporary folder and process group, as
if a shell had started it, in a hundredth of the time. What it executes and where it writes is noted by `watching`.
"""

from __future__ import annotations

import io
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vandal import watching
from vandal.outcome import MEMORY_LIMIT

LONGEST = 150.0  # seconds; a command that takes longer hangs, on however busy a machine
_LOOK = 0.005
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Said:
    """A command that has ended.

    Attributes:
        arguments: of `interp`.
        code: exit code; negative if a signal ended it.
        peak: the most memory of the process or of one that it waited for, in bytes.
        hung: whether it had to be killed.
        events: what it executed and where it wrote, as `watching` noted it.
    """

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str
    peak: int
    hung: bool
    events: tuple[watching.Event, ...]

    @property
    def line(self) -> str:
        """The command, and the last of what it said."""
        last = [line for line in (self.err or self.out).splitlines() if line.strip()][-1:]
        return f"`interp {' '.join(self.arguments)}` gave {self.code}: {ascii(last[0][:300]) if last else 'nothing'}"


@dataclass
class Running:
    """A command that may not have ended yet."""

    arguments: tuple[str, ...]
    pid: int
    files: Path
    _said: Said | None = field(default=None)
    _fattest: int = field(default=0)
    _usage: tuple[int, resource.struct_rusage] | None = field(default=None)

    def over(self) -> bool:
        """Whether it has ended; one that takes too much memory is ended."""
        if self._usage is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._usage = (os.waitstatus_to_exitcode(status), usage)
            else:
                self._fattest = max(self._fattest, resident(self.pid))
                if self._fattest > 2 * MEMORY_LIMIT:
                    self.signal(signal.SIGKILL)
        return self._usage is not None

    def signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if self._usage is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def output(self) -> str:
        """What it has written to its standard output so far."""
        return _text(self.files.with_suffix(".out"))

    def wait(self, seconds: float = LONGEST) -> Said:
        """Wait for its end, and kill it if that does not come in time."""
        if self._said is None:
            deadline = time.monotonic() + seconds
            while not self.over() and time.monotonic() < deadline:
                time.sleep(_LOOK)
            hung = not self.over()
            if hung:
                self.signal(signal.SIGKILL)
                while not self.over():
                    time.sleep(_LOOK)
            self._end_group()
            assert self._usage is not None
            code, usage = self._usage
            texts = self.output(), _text(self.files.with_suffix(".err"))
            events = watching.read(self.files.with_suffix(".events"))
            peak = max(self._fattest, usage.ru_maxrss * 1024)
            self._said = Said(self.arguments, code, *texts, peak, hung, events)
        return self._said

    def _end_group(self) -> None:
        """End what the command has left behind, so that no round disturbs another."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def start(arguments: Sequence[object], files: Path, *, room: Path, before: Sequence[Callable[[], None]] = ()) -> Running:
    """Begin a command.

    Args:
        arguments: of `interp`.
        files: what it says and does is written to this path with the suffixes .out, .err and .events.
        room: its working directory, and all it may write into.
        before: what is done in its process first.
    """
    given = tuple(os.fspath(each) if isinstance(each, Path) else str(each) for each in arguments)
    files.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # one that comes while the process is set up waits for the command
    pid = os.fork()
    if pid == 0:
        try:
            _become(files, room)
            code = _call(given, before)
        except BaseException:
            traceback.print_exc()
            code = 1
        with suppress(Exception):
            sys.stdout.flush()
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code & 0xFF)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    return Running(given, pid, files)


def _become(files: Path, room: Path) -> None:
    """Streams, directory and group of a process that a shell starts."""
    os.setpgid(0, 0)
    for descriptor, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(files.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    logging.getLogger().handlers.clear()
    sys.modules["__main__"] = types.ModuleType("__main__")  # which workers of its own must not import
    temporary = room / "temporary"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(temporary / "torchinductor")
    os.chdir(room)
    for number in _ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    watching.begin(files.with_suffix(".events"), room)


def _call(arguments: tuple[str, ...], before: Sequence[Callable[[], None]]) -> int:
    from interp import early, process
    from interp.cli import main

    process._STARTED_IN = os.getpid()  # the parent has used nothing that a fork could break
    for each in before:
        each()
    early.stand()  # as the first import of a command does, before one can be interrupted
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    sys.argv = ["interp", *arguments]
    try:
        main()  # the process is its own, as of a command that a shell starts
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(ended.code + "\n")
            return 1
        return ended.code or 0
    return 0


def resident(pid: int) -> int:
    """The memory that a process has now, in bytes; 0 if there is none."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace") if path.exists() else ""
