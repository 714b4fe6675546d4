"""Worse builds of the toolkit, one for each kind, to see that its rounds notice: what is patched into each command's process."""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from interp.store.manifest import checkpoint_name
from interp.store.writer import RunWriter


def loses() -> None:
    """A checkpoint goes with every commit, and with the last."""
    for name in ("commit", "finish"):
        _after(RunWriter, name, lambda writer: (writer.path / checkpoint_name(0)).unlink(missing_ok=True))


def blind() -> None:
    """Every run is found sound."""
    _verify_by(lambda *_, **__: SimpleNamespace(problems=(), notes=()))


def unlocked() -> None:
    """No lock keeps anybody out."""
    fcntl.flock = lambda *_: None  # type: ignore[assignment]


def executes() -> None:
    """A file is executed when it is imported."""
    _before("interp.interop", "import_run", lambda: os.system("true"))


def escapes() -> None:
    """A file is written beside the folder that was given."""
    _before("interp.interop", "import_run", lambda: Path("../escaped").write_text(""))


def stumbles() -> None:
    """A configuration is looked up where there is none."""
    from interp.config.run_config import RunConfig

    RunConfig.__post_init__ = lambda _: {}["steps"]  # type: ignore[method-assign]


def colours() -> None:
    """What is printed has control sequences in it."""
    sys.stdout.write("\x1b[31m")


def serves() -> None:
    """Everybody is shown the page."""
    from interp.live import answering

    def answer(self: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"plotly")

    answering.Answering._answer_request = answer  # type: ignore[method-assign]


def swallows() -> None:
    """More than a gigabyte is taken."""
    _HELD.append(b"x" * 1_200_000_000)


def forgets() -> None:
    """No table can be printed."""
    from interp.cli import looking, studies

    for module in (looking, studies):
        vars(module)["print_table"] = lambda *_: {}["row"]


def writes() -> None:
    """Looking at a run needs to write."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    _verify_by(refuse)


def breaks() -> None:
    """The facts of a run cannot be had."""
    from interp.store.run import Run

    Run.facts = lambda *_: {}["name"]  # type: ignore[method-assign]


def _verify_by(examine: Callable[..., Any]) -> None:
    """Have runs verified in another way."""
    from interp.store.run import Run

    Run.examine = examine  # type: ignore[attr-defined]
    Run.verify = lambda *given, **named: examine(*given, **named).problems  # type: ignore[method-assign]


def _before(module: str, name: str, action: Callable[[], object]) -> None:
    """Have something done before a function of a module."""
    found = importlib.import_module(module)
    original = getattr(found, name)

    def changed(*args: Any, **kwargs: Any) -> Any:
        action()
        return original(*args, **kwargs)

    setattr(found, name, changed)


def _after(kind: type, name: str, action: Callable[[Any], object]) -> None:
    """Have something done after a method."""
    original = getattr(kind, name)

    def changed(one: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(one, *args, **kwargs)
        action(one)
        return result

    setattr(kind, name, changed)


_HELD: list[bytes] = []

WEAKENED: dict[str, Callable[[], None]] = {
    "kills": loses, "full disks": loses, "flips": blind, "damage": blind, "writers": loses, "copies": loses, "foreign": executes,
    "logs": escapes, "configurations": stumbles, "plans": stumbles, "texts": colours, "requests": serves, "sizes": swallows,
    "studies": forgets, "neighbours": forgets, "read-only": writes, "locks": unlocked, "not finite": breaks,
}  # fmt: skip
