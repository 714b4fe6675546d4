"""Notes what a process executes and where it writes, by an audit hook: from the inside, where no name escapes it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_EXECUTES = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pty.spawn", "os.startfile"}
_CHANGES = {"os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.link": (1,), "os.symlink": (1,),
            "os.truncate": (0,), "os.chmod": (0,), "os.utime": (0,)}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Caches that the toolkit's libraries keep, and the system's own files.
_ALSO = (
    "/dev/null",
    "/dev/tty",
    "/proc/self/",
    str(Path(sys.prefix).resolve()),
    str(Path(__file__).resolve().parents[2] / "interp"),
)


@dataclass(frozen=True)
class Event:
    """Something that a process did."""

    kind: Literal["executed", "outside"]
    what: str


def begin(notes: Path, room: Path) -> None:
    """Watch this process from now on: whatever it executes, and each change of a file that is not in its room."""
    descriptor = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    allowed = (f"{room.resolve()}/", *_ALSO, *_caches())
    is_busy = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal is_busy
        if is_busy or (event not in _CHANGES and event not in _EXECUTES and event != "open"):
            return
        is_busy = True
        try:
            for found in _events(event, arguments, allowed):
                os.write(descriptor, (json.dumps([found.kind, found.what]) + "\n").encode())
        finally:
            is_busy = False

    sys.addaudithook(hook)


def read(notes: Path) -> tuple[Event, ...]:
    """What was noted."""
    lines = notes.read_text().splitlines() if notes.exists() else ()
    return tuple(Event(*json.loads(line)) for line in lines)


def _events(event: str, arguments: tuple[Any, ...], allowed: tuple[str, ...]) -> list[Event]:
    if event in _EXECUTES:
        return [] if _is_own(arguments) else [Event("executed", f"{event} {ascii(arguments[:2])[:200]}")]
    if event == "open":
        path, _, flags = arguments
        changed = [path] if isinstance(flags, int) and flags & _WRITING else []
    else:
        changed = [arguments[place] for place in _CHANGES[event]]
    texts = [os.fsdecode(path) for path in changed if isinstance(path, str | bytes | os.PathLike)]
    return [Event("outside", f"{event} {text!a}") for text in texts if not _within(text, allowed)]


def _is_own(arguments: tuple[Any, ...]) -> bool:
    """Whether a program is the toolkit's: Python with its own code, or what Python asks for the processor's name."""
    program, *rest = arguments
    given = " ".join(map(str, rest[0])) if rest and isinstance(rest[0], list) else ""
    return program == "uname" or (program == sys.executable and ("from interp." in given or "-m interp" in given))


def _within(path: str, allowed: tuple[str, ...]) -> bool:
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError):
        return True  # no file has such a name
    return real.startswith(allowed)


def _caches() -> tuple[str, ...]:
    """Where compiled code is kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return (os.path.realpath(home),)
