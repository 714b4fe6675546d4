"""The series that a forecast needs: all spectra of a window of checkpoints, and the logits of its two ends only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from interp.errors import UsageError
from interp.forecasting.label_free import LOGITS, RIGHT, WEIGHTS
from interp.forecasting.landmark import window_of
from interp.observing.observe import observe
from interp.observing.series import ABOUT, about

if TYPE_CHECKING:
    from interp.store.run import Run


def series_for(run: Run | xr.Dataset, at: int | None) -> tuple[xr.Dataset, str | None]:
    """A series of what a forecast at a step looks at; and why it lacks the spectra, if it does.

    Raises:
        UsageError: for a step before the first checkpoint.
    """
    if isinstance(run, xr.Dataset):
        return run, about(run).left_out.get(WEIGHTS)
    saved = sorted({*run.steps, *run.manifest.thinned_steps})
    steps = [step for step in saved if at is None or step <= at]
    if not steps:
        raise UsageError(f"at: given step {at}, expected one of the run's checkpoints, {saved[0]:,} to {saved[-1]:,}")
    memorized = _memorized(run, steps[-1])
    window = [step for step in steps if memorized is not None and step >= window_of(memorized, steps[-1])] or steps[-1:]
    spectra = observe(run, [WEIGHTS], steps=window)
    if WEIGHTS in (failed := {**about(spectra).left_out, **about(spectra).failures}):
        return spectra, failed[WEIGHTS]
    logits = observe(run, [LOGITS], steps=sorted({window[0], window[-1]}))
    if "shift_agreement" not in logits:
        return spectra, None
    agreement = logits["shift_agreement"].reindex(step=window)
    return spectra.assign(shift_agreement=agreement).assign_attrs({ABOUT: about(spectra)}), None


def _memorized(run: Run, until: int) -> int | None:
    history = run.history
    if "train_accuracy" not in history:
        return None
    right = (history["train_accuracy"].values >= RIGHT) & (history["step"].values <= until)
    return int(history["step"].values[np.argmax(right)]) if right.any() else None
