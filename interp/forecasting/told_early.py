"""What was said of a run early on, at a fixed multiple of its step of memorizing: to be held against what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interp.errors import DataError, UsageError
from interp.forecasting.early_word import MULTIPLE, ToldEarly
from interp.forecasting.label_free import RIGHT
from interp.forecasting.measured import forecast

if TYPE_CHECKING:
    from interp.store.run import Run


def told_early(run: Run, multiple: float = MULTIPLE) -> ToldEarly | None:
    """What was said at the last checkpoint before this multiple of the step of memorizing, from what was known then.

    None for a run that has not memorized, or not come so far, or of which nothing is measured that a forecast needs.
    """
    columns = run.columns
    if not len(columns["step"]):
        return None
    right = np.flatnonzero(columns["train_accuracy"] >= RIGHT)
    if not len(right):
        return None
    until = multiple * columns["step"][right[0]]
    before = [step for step in (*run.steps, *run.manifest.thinned_steps) if step <= until]
    if not before or columns["step"][-1] < until:
        return None
    try:
        said = forecast(run, max(before))
    except (UsageError, DataError):  # not measured before it was thinned out, or damaged
        return None
    return None if said.verdict == "cannot be said" else ToldEarly(said.step, said.verdict, said.at, said.low, said.high)
