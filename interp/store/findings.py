"""What a check of a run found: what is wrong, and what is merely worth knowing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from interp.wording import shown


@dataclass(frozen=True)
class Finding:
    """One thing that was found in a run: in which file, and what. Prints as one line.

    Args:
        file: its path inside the run.
        what: what is wrong with it, or worth knowing.
        kind: a `problem` is wrong; a `note` is harmless, or cannot be checked.
    """

    file: str
    what: str
    kind: Literal["problem", "note"] = "problem"

    def __str__(self) -> str:
        return shown(f"{self.file}: {self.what}")


@dataclass(frozen=True)
class Examined:
    """What a check of every byte of a run found, in the order of the files' names."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What is wrong; none in a sound run."""
        return tuple(one for one in self.findings if one.kind == "problem")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is harmless, or what nothing covers: files that are not the run's, results that were not measured here."""
        return tuple(one for one in self.findings if one.kind == "note")
