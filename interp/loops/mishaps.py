"""What goes wrong while a loop is looked at: said once of each kind, and never the loop's concern."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from interp.observing.users_code import RAISED, raised
from interp.store.run_log import MISHAP, write_log

log = logging.getLogger("interp")


@dataclass
class Mishaps:
    """Those of one run, since it was opened.

    Args:
        path: the run's directory, in whose log they are told.
        times: what went wrong -> how often.
    """

    path: Path
    times: dict[tuple[str, str], int] = field(default_factory=dict)

    @contextmanager
    def kept_from_the_loop(self, what: str, step: int | None) -> Iterator[None]:
        """Go on after the block if anything goes wrong in it; the first time that is said.

        Args:
            what: was tried.
            step: at which step.
        """
        try:
            yield
        except RAISED as error:
            kind = what, type(error).__name__
            self.times[kind] = self.times.get(kind, 0) + 1
            if self.times[kind] == 1:
                log.warning(
                    "run %s: at step %s, %s: %s. The training goes on; this is said once", self.path, step, what, raised(error)
                )
                write_log(self.path, MISHAP, step=step, what=what, error=raised(error))

    def tell_the_rest(self) -> None:
        """Say how often each of those happened that happened more than once."""
        for (what, error), times in self.times.items():
            if times > 1:
                write_log(self.path, MISHAP, what=what, error=error, times=times)
