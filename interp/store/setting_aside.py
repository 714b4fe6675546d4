"""Setting aside what is damaged in a run, into its folder ``damaged``, and saying so: nothing is ever deleted."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from interp.store.durable import make_directory, write_atomically
from interp.store.findings import Finding
from interp.store.manifest import DAMAGED, HISTORY
from interp.store.salvage import bytes_of


@dataclass
class Aside:
    """Where a run's damaged files go.

    Args:
        path: the run's directory.
        done: what was done to which file.
    """

    path: Path
    done: list[Finding] = field(default_factory=list)

    def say(self, name: str, what: str) -> None:
        """Note what was done to a file."""
        self.done.append(Finding(name, what, "note"))

    def move(self, name: str) -> None:
        """Set a file aside."""
        os.rename(self.path / name, self._free(name))

    def keep_copy(self, name: str) -> None:
        """Set a copy of a file aside, if it is there, before it is replaced."""
        if (data := bytes_of(self.path, name)) is not None:
            write_atomically(self._free(name), data)

    def cut_history(self, size: int) -> None:
        """Set aside what follows a length of the history."""
        data = bytes_of(self.path, HISTORY) or b""
        if len(data) > size:
            write_atomically(self._free(HISTORY), data[size:])
            os.truncate(self.path / HISTORY, size)

    def _free(self, name: str) -> Path:
        """Where a file of this name can be set aside: nothing that is there is replaced."""
        path = self.path / DAMAGED / name
        make_directory(path.parent)
        others = (path.with_name(f"{path.name}.{number}") for number in range(2, 10**6))
        return path if not os.path.lexists(path) else next(other for other in others if not os.path.lexists(other))
