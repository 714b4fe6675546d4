"""What is wrong with something that is asked for, gathered so that all of it is said at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from interp.errors import UsageError

Made = TypeVar("Made")

_SHOWN = 20


@dataclass
class Problems:
    """Those found so far, each as one line."""

    lines: list[str] = field(default_factory=list)

    def of(self, make: Callable[[], Made]) -> Made | None:
        """What is made; None if it cannot be, and why not is noted.

        >>> problems = Problems()
        >>> problems.of(lambda: 3)
        3
        """
        try:
            return make()
        except UsageError as error:
            self.note(*lines_of(error))
            return None

    def note(self, *lines: str) -> None:
        """Note further ones; each is said once."""
        self.lines += [line for line in dict.fromkeys(lines) if line not in self.lines]

    def refuse(self, what: str = "") -> None:
        """Raise all of them as one error, if there are any.

        Args:
            what: is wrong; it begins the error.

        Raises:
            UsageError: with a line for each, of many the first 20 and how many more.
        """
        if not self.lines:
            return
        more = [f"and {len(self.lines) - _SHOWN} more"] if len(self.lines) > _SHOWN else []
        listed = [*self.lines[:_SHOWN], *more]
        if not what:
            raise UsageError("\n".join(listed))
        raise UsageError(f"{what}: {listed[0]}" if len(listed) == 1 else f"{what}:\n" + "\n".join(f"  {line}" for line in listed))


def lines_of(error: UsageError) -> list[str]:
    """The problems that an error lists, without its heading.

    >>> lines_of(UsageError("plan:\\n  steps: given 0\\n  seeds: given none"))
    ['steps: given 0', 'seeds: given none']
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1:] if len(lines) > 1 and lines[0].endswith(":") else [line.removeprefix("plan: ") for line in lines]
