"""How long runs lasted until an event, for each of the times in their rows: steps, and delays; some only known to be longer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interp.studies.durations import Durations

# Times of a row, and the event that each of them waits for. A delay begins where the run had memorized.
EVENTS = {
    "grokked": "grokked", "grokked_first": "grokked_first", "memorized": "memorized", "memorized_first": "memorized_first",
    "delay": "grokked", "delay_first": "grokked_first",
}  # fmt: skip
# In a row's reason, between why its run ended and what failed after that.
NOT_MEASURED = "; not measured: "
BEGINS = {"delay": "memorized", "delay_first": "memorized_first"}


def ended(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of runs that were watched to their end: one that broke off says nothing of what it would have done."""
    return [row for row in rows if row["status"] == "finished" and row["last_step"]]


def waiting(rows: Sequence[Mapping[str, Any]], of: str) -> list[Mapping[str, Any]]:
    """The rows of runs at their end in which the wait for an event began: for a delay, those that had memorized."""
    begun = BEGINS.get(of)
    return [row for row in ended(rows) if begun is None or row[begun] is not None]


def timed(rows: Sequence[Mapping[str, Any]], of: str) -> Durations | None:
    """The durations of a cell's runs; None if no run is at its end and began to wait.

    A run without the event is censored at its last step; a delay without it at the steps since it had memorized. A run that
    generalized before it memorized has the delay 0.

    Args:
        rows: of the runs, see `interp.studies.outcomes.outcomes`.
        of: one of `EVENTS`.

    >>> rows = [{"status": "finished", "last_step": 900, "memorized": 100, "grokked": step} for step in (400, None)]
    >>> timed(rows, "delay")
    Durations(time=array([300., 800.]), event=array([ True, False]))
    """
    kept = waiting(rows, of)
    if not kept:
        return None
    begun, event = BEGINS.get(of), EVENTS[of]
    seen = np.array([row[event] is not None for row in kept])
    until = np.array([row["last_step"] if row[event] is None else row[event] for row in kept], dtype=np.float64)
    since = np.array([0 if begun is None else row[begun] for row in kept], dtype=np.float64)
    return Durations.of(np.maximum(until - since, 0.0), seen)
