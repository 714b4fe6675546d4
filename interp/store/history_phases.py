"""When a run grokked, from its history alone: what a list of runs says, without torch and without a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from interp.errors import DataError
from interp.measures.dating import Phases, ending_of, phases_of
from interp.store.history import decode_answered
from interp.store.manifest import HISTORY

if TYPE_CHECKING:
    from interp.store.run import Run

_CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


def phases_of_history(run: Run) -> Phases | None:
    """The phases that a run's history dates (the onset needs its checkpoints); None where it has no accuracies.

    Raises:
        DataError: if the history is damaged.
    """
    columns, step = run.columns, np.asarray(run.columns["step"])
    known = _dated(run, {name: np.isfinite(columns[name]) for name in (*_CURVES, "sum_squared_weights") if name in columns})
    curves = {name: (step[there], np.asarray(columns[name])[there]) for name, there in known.items() if there.any()}
    weight = curves.pop("sum_squared_weights", None)
    if not any("accuracy" in name for name in curves):
        return None
    return phases_of(curves, sum_squared=weight)


def _dated(run: Run, known: dict[str, Bool[np.ndarray, " step"]]) -> dict[str, Bool[np.ndarray, " step"]]:
    """At which steps each curve counts: where the run was evaluated, as every measure does; of an imported run, where known."""
    if run.is_imported or not known:
        return known
    evaluated = known["train_loss"] & known["test_loss"]
    return {name: there & evaluated for name, there in known.items()}


def ended(run: Run) -> tuple[str, int | None, float | None]:
    """Outcome of a run, the step at which it grokked for good, and the last test accuracy that is known.

    They follow from the accuracies alone, so that no other phase is dated, and no other line of the history parsed.
    """
    try:
        data = run.read(HISTORY) if HISTORY in run.manifest.files else b""
        columns = decode_answered(data, where=HISTORY)
    except DataError:  # which `interp verify` and `interp show` tell
        return "unknown", None, None
    step, known = columns["step"], {name: np.isfinite(columns[name]) for name in _CURVES}
    accuracy = columns["test_accuracy"][known["test_accuracy"]]
    last = float(accuracy[-1]) if accuracy.size else None
    curves = {name: (step[there], columns[name][there]) for name, there in _dated(run, known).items() if "accuracy" in name}
    return *ending_of(curves), last
