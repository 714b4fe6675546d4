"""What a file does not say and was guessed: the value, the reason, and the options that would change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from interp.interop.known import as_flags


@dataclass(frozen=True)
class Guess:
    """One thing that was taken to be so.

    Attributes:
        what: such as ``activation``.
        value: what it was taken to be.
        why: the reason.
        change: options that would take it to be something else, by the names of `Known` or ``format``.
    """

    what: str
    value: str
    why: str
    change: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """In one line.

        >>> print(Guess("activation", "relu", "it is not stored", {"activation": "gelu"}))
        activation: relu (it is not stored); to change it: --activation gelu
        """
        change = f"; to change it: {as_flags(self.change)}" if self.change else ""
        return f"{self.what}: {self.value} ({self.why}){change}"
