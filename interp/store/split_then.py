"""Which pairs a run was trained on at a step, where its changes took some out or added some."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from interp.config.changes import Change, TrainOn
from interp.errors import DataError, UsageError
from interp.measures.dating import RIGHT
from interp.store.manifest import RECORD
from interp.tasks.splits import Split
from interp.training.examples import Examples, with_pairs

if TYPE_CHECKING:
    from interp.store.run import Run

log = logging.getLogger("interp")

# What of the history says that a phase is reached for which a change waits.
_REACHED = {"memorized": "train_accuracy", "grokked": "test_accuracy"}


class SplitThen:
    """The split of a run at each of its steps: the same object for steps of the same pairs.

    Args:
        split: the one that it began with.
        schedule: its changes.
        phase: of a change that waits for a phase, and its number among the changes: the step at which that was found; None if it
            was not.
    """

    def __init__(self, split: Split, schedule: Sequence[Change], phase: Callable[[int, Change], int | None]) -> None:
        self._base = split
        self._known: dict[tuple[int, ...], Split] = {(): split}
        # A phase is found at a step once its gradient has been computed: what waits for it acts from the next one on.
        found = (
            (change, change.start if not isinstance(change.start, str) else None if (at := phase(i, change)) is None else at + 1)
            for i, change in enumerate(schedule)
            if isinstance(change.what, TrainOn)
        )
        self._changes = [(change, begun) for change, begun in found if begun is not None]

    @classmethod
    def of(cls, run: Run, opened: Callable[[Path], Run]) -> SplitThen:
        """That of a recorded run, whose history, or that of its parent, tells when phases were reached.

        Args:
            run: the run.
            opened: opens another by its path.
        """
        schedule = run.config.schedule if run.has_config else ()
        return cls(run.split, schedule, lambda number, change: _found(run, number, change, opened))

    def at(self, step: int) -> Split:
        """What was trained on and tested at a step."""
        acting = tuple(i for i, (change, at) in enumerate(self._changes) if at <= step and _still_acts(change, step))
        if acting not in self._known:
            base = found = Examples(self._base.train, self._base.test, np.zeros(0, dtype=np.int64))  # labels are not asked
            for i in acting:
                what = self._changes[i][0].what
                found = with_pairs(found, what) if isinstance(what, TrainOn) else found
            made = self._base if found is base else Split(found.train, found.test, self._base.left_out)
            self._known.setdefault(acting, made)  # several threads may ask at once: all get the first one's
        return self._known[acting]

    def sizes(self, until: int) -> dict[int, int]:
        """The first step with other pairs than before -> how many are trained on from there on, up to a step."""
        found, before = {}, set(self.at(-1).train.tolist())
        for step in sorted({at for change, begun in self._changes for at in (begun, change.until) if at is not None}):
            if step <= until and (now := set(self.at(step).train.tolist())) != before:
                found[step], before = len(now), now
        return found


def _still_acts(change: Change, step: int) -> bool:
    return change.until is None or step < change.until


def _found(run: Run, number: int, change: Change, opened: Callable[[Path], Run]) -> int | None:
    """The step at which a run found that the phase was reached for which one of its changes waits."""
    start = run.record.get("start", {})
    if str(number) in (parents := start.get("changes_began", {})):
        return int(parents[str(number)])
    if start.get("moments") == "kept" and "changes_began" not in start and "changes" not in start.get("changed", {}):
        # A fork of an earlier version does not say what had begun in its parent.
        before = _in_parent(run, number, change, opened)
        if before is not None:
            return before
    columns = run.columns
    reached = np.flatnonzero(columns[_REACHED[str(change.start)]] >= RIGHT)
    return int(columns["step"][reached[0]]) if len(reached) else None


def _in_parent(run: Run, number: int, change: Change, opened: Callable[[Path], Run]) -> int | None:
    """The same in the run that this one was forked off, up to there; None, which is said, if that is not beside it."""
    start = run.record["start"]
    beside = run.path.resolve().parent / str(start.get("parent", ""))
    with suppress(DataError, UsageError):  # it cannot be read now
        parent = opened(beside) if start.get("parent") else None
        if parent is not None and parent.manifest.files[RECORD].sha256 == start.get("run"):
            at = _found(parent, number, change, opened)
            return at if at is not None and at < int(start["step"]) else None
    log.warning(
        "run %s: whether %s had begun before it was forked is not known, as its parent is not beside it; taken for not begun",
        run.path,
        change,
    )
    return None
