"""Where a command's output goes: that it cannot be written must not harm the work, and is told at the end.

A reader that has seen enough (`head`) closes the pipe: the rest is dropped, and the exit code is that of the work. A full disk, a
terminal that is gone or an output that was closed beforehand loses something that was asked for: the work is done to its end all
the same, then the exit code is 1.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO

from interp.wording import shown


@contextmanager
def shown_arguments(given: Sequence[str]) -> Iterator[None]:
    """Where an argument has letters that command a terminal, or cannot be seen, what is printed has escapes in their place.

    The parser repeats arguments as they were given: those it does not know, and values that are none of a choice. It is no
    terminal then, so that nothing is coloured and no bar shown: colours are such letters too.
    """
    if all(shown(argument) == argument for argument in given):
        yield
        return
    with ExitStack() as stack:
        if sys.stdout is not None:  # as it is in a process without a console
            stack.enter_context(redirect_stdout(Shown(sys.stdout)))
        if sys.stderr is not None:
            stack.enter_context(redirect_stderr(Shown(sys.stderr)))
        yield


class Shown(io.TextIOBase):
    """A text stream that is no terminal and passes everything on as it can be printed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # which is to be set, there
        """That of the stream, by which signs are chosen."""
        return self._stream.encoding

    def fileno(self) -> int:
        """That of the stream."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Write a text; how many letters of it."""
        self._stream.write(shown(text, lines=True))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


class Outlet(io.RawIOBase):
    """A descriptor to which output is written as long as it can be; what cannot be written is dropped.

    Attributes:
        name: as of a file.
        error: why something was lost; None if nothing was, or only what nobody wanted to read.
    """

    def __init__(self, descriptor: int, name: str, *, is_closed: bool) -> None:
        self.name = name
        self.error: OSError | None = None
        self._descriptor, self._is_lost = descriptor, False
        self._closed_before = OSError(errno.EBADF, os.strerror(errno.EBADF)) if is_closed else None

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object) -> int:
        """Write some bytes, or drop them; how many."""
        bytes_ = memoryview(data).cast("B")  # type: ignore[arg-type]
        if not self._is_lost:
            try:
                if self._closed_before is not None:
                    raise self._closed_before
                return os.write(self._descriptor, bytes_)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
                return 0
            except BrokenPipeError:
                self._is_lost = True
            except OSError as error:
                self._is_lost, self.error = True, error
        return len(bytes_)


def take_over() -> Outlet:
    """Put outlets in the place of standard output and standard error; returns that of standard output.

    Descriptors that are closed are opened on nothing first: otherwise the next file would get their number, and be written to by
    whatever writes to standard output.
    """
    closed = [_is_closed(number) for number in range(3)]
    for number in range(3):
        if closed[number]:
            _open_on_nothing(number)
    output, errors = (Outlet(number, name, is_closed=closed[number]) for number, name in ((1, "<stdout>"), (2, "<stderr>")))
    sys.stdout = _text(output, like=sys.stdout, at_once=output.isatty())
    sys.stderr = _text(errors, like=sys.stderr, at_once=True)
    return output


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _open_on_nothing(number: int) -> None:
    with suppress(OSError):
        found = os.open(os.devnull, os.O_RDWR)
        if found != number:
            os.dup2(found, number)
            os.close(found)
        os.set_inheritable(number, True)


def _text(outlet: Outlet, *, like: io.TextIOBase | object, at_once: bool) -> io.TextIOWrapper:
    encoding, errors = getattr(like, "encoding", None) or "utf-8", getattr(like, "errors", None) or "backslashreplace"
    # A raw file that writes is what BufferedWriter asks for.
    return io.TextIOWrapper(io.BufferedWriter(outlet), encoding=encoding, errors=errors, line_buffering=at_once)
