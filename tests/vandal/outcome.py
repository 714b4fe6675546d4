"""What became of a round: what was said, which faults were found, how much memory it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["traceback", "lost", "executed", "outside", "memory", "wrong"]

MEMORY_LIMIT = 10**9  # bytes, of any one process


@dataclass(frozen=True)
class Fault:
    """One thing that must not happen.

    Attributes:
        kind: a traceback or a crash; something saved is lost or changed; something was executed; something was written outside
            the folders that a command was given; too much memory; or anything else that is wrong: an untrue answer, an unclear
            one, none at all.
        what: one line for people.
    """

    kind: FaultKind
    what: str


@dataclass(frozen=True)
class Outcome:
    """One round of one kind.

    Attributes:
        kind: the kind's name.
        number: of the round; with the seed it determines everything that was drawn.
        refused: whether a command refused, with a reason and a documented exit code.
        faults: all that went wrong; none, if the round was survived.
        peak: the most memory of any process, in bytes.
        seconds: how long it took.
        makeshift: what the machine could not do, and what was done instead; empty if it could.
    """

    kind: str
    number: int
    refused: bool
    faults: tuple[Fault, ...]
    peak: int
    seconds: float
    makeshift: str = ""

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.faults)
