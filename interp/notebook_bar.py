"""A progress bar in a notebook: drawn in the output of the cell that works, again and again in the same place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from typing import Any

PATIENCE = 0.5  # seconds: what is done by then shows no bar
_STYLE = "font: 13px/1.4 ui-monospace, monospace; display: flex; flex-wrap: wrap; gap: 0 1em; align-items: center"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; that somebody has imported one does not make it one."""
    return "ipykernel" in sys.modules and getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:
    """IPython's shell in this process, if there is one."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


class Drawn:
    """What a bar says at one moment: a page draws it, whatever shows text alone has the line.

    Args:
        line: in words.
        share: of the work, that is done; None where that cannot be told.
    """

    def __init__(self, line: str, share: float | None) -> None:
        self._line, self._share = line, share

    def __repr__(self) -> str:
        return self._line

    def _repr_html_(self) -> str:
        value = "" if self._share is None else f' value="{min(max(self._share, 0.0), 1.0):.4f}"'
        bar = f'<progress max="1"{value} style="width: 12em" aria-label="{escape(self._line)}"></progress>'
        return f'<div style="{_STYLE}">{bar}<span>{escape(self._line)}</span></div>'


class _Place:
    """A place in a cell's output, and which execution of a cell it belongs to."""

    def __init__(self, handle: Any, execution: int) -> None:
        self.handle, self.execution = handle, execution


_left: list[_Place] = []  # the place of the last bar that may give it to the next, if it was drawn


class NotebookBar:
    """One bar in one cell's output. Work that is done at once leaves none.

    Args:
        clock: in seconds.
        in_turn: one piece of many that a cell does one after the other: it is drawn where the piece before was.
        patience: seconds after which the bar is drawn for the first time; `PATIENCE` by default.
        every: seconds between two moments that are drawn.
    """

    def __init__(
        self, clock: Callable[[], float], *, in_turn: bool = False, patience: float | None = None, every: float = 0.25
    ) -> None:
        self._clock, self._next, self._every = clock, clock() + (PATIENCE if patience is None else patience), every
        self._place: Any = None
        self._in_turn = in_turn
        self._last: tuple[str, float | None] | None = None

    def write(self, line: str, share: float | None, *, at_once: bool = False) -> None:
        """Draw this moment if it is due.

        Args:
            line: in words.
            share: of the work, that is done; None where that cannot be told.
            at_once: due or not, if anything was drawn before.
        """
        now = self._clock()
        if (now < self._next and not (at_once and self._place)) or (line, share) == self._last:
            return
        self._next, self._last = now + self._every, (line, share)
        if self._place is not None:
            self._place.update(Drawn(line, share))
            return
        execution = _shell().execution_count
        if self._in_turn and _left and _left[0].execution == execution:
            self._place = _left.pop().handle  # nobody else's as long as this one works
            self._place.update(Drawn(line, share))
            return
        from IPython.display import display  # there, as this is a notebook

        self._place = display(Drawn(line, share), display_id=True)

    def leave(self) -> None:
        """Say that this piece is done: its place is the next one's."""
        if self._in_turn and self._place is not None:
            _left[:] = [_Place(self._place, _shell().execution_count)]
