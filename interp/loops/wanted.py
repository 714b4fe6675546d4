"""What a recording of a loop was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp.harmonics.harmonics import Name
from interp.loops.begun_loop import BegunLoop
from interp.loops.dues import Dues
from interp.loops.moment import Watched
from interp.observing.analysis import Analysis
from interp.store.locking import LockKind


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a recording was asked for.

    Args:
        begun: the run, at its path.
        watched: what is looked at.
        dues: when.
        live: analyses that are measured as checkpoints are saved.
        late: analyses that are measured at the end.
        keys: key frequencies, where they were given.
        shows: whether a page is served meanwhile.
        lock: see `interp.record`.
    """

    begun: BegunLoop
    watched: Watched
    dues: Dues
    live: Sequence[Analysis]
    late: Sequence[Analysis]
    keys: tuple[Name, ...] | None
    shows: bool
    lock: LockKind | None
