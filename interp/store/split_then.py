"""Which pairs a run was trained on at a step, where its changes took some out or added some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interp.config.changes import Change, TrainOn
from interp.measures.dating import RIGHT
from interp.tasks.splits import Split
from interp.training.examples import Examples, with_pairs

if TYPE_CHECKING:
    from interp.store.run import Run

# What of the history says that a phase is reached for which a change waits.
_REACHED = {"memorized": "train_accuracy", "grokked": "test_accuracy"}


class SplitThen:
    """The split of a run at each of its steps: the same object for steps of the same pairs.

    Args:
        run: whose history tells when phases were reached for which changes of its pairs waited.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        schedule = run.config.schedule if run.has_config else ()
        begun = (
            (change, self._begun(number, change)) for number, change in enumerate(schedule) if isinstance(change.what, TrainOn)
        )
        self._changes = [(change, at) for change, at in begun if at is not None]
        self._known: dict[tuple[int, ...], Split] = {(): run.split}

    def at(self, step: int) -> Split:
        """What was trained on and tested at a step."""
        acting = tuple(i for i, (change, at) in enumerate(self._changes) if at <= step and _still_acts(change, step))
        if acting not in self._known:
            base = self._run.split
            found = Examples(base.train, base.test, self._run.task.labels)
            for i in acting:
                what = self._changes[i][0].what
                found = with_pairs(found, what) if isinstance(what, TrainOn) else found
            self._known[acting] = Split(found.train, found.test, base.left_out)
        return self._known[acting]

    def sizes(self) -> dict[int, int]:
        """The first step with other pairs than before -> how many are trained on from there on, as far as the run has come."""
        found, before = {}, self.at(-1)
        reached = int(self._run.columns["step"][-1]) if len(self._run.columns["step"]) else -1
        for step in sorted({at for change, begun in self._changes for at in (begun, change.until) if at is not None}):
            if step <= reached and (now := self.at(step)) is not before:
                found[step], before = len(now.train), now
        return found

    def _begun(self, number: int, change: Change) -> int | None:
        """The first step whose gradient is that of the changed pairs; None if that did not come.

        A phase is found at a step once its gradient has been computed, so that what waits for it acts from the next one on.
        """
        if not isinstance(change.start, str):
            return change.start
        columns, parents = self._run.columns, self._run.record.get("start", {}).get("changes_began", {})
        if str(number) in parents:
            return int(parents[str(number)]) + 1
        reached = np.flatnonzero(columns[_REACHED[change.start]] >= RIGHT)
        return int(columns["step"][reached[0]]) + 1 if len(reached) else None


def _still_acts(change: Change, step: int) -> bool:
    return change.until is None or step < change.until
