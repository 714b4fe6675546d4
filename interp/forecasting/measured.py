"""The forecast of a recorded run: all spectra of a window of checkpoints are measured, and the logits of its two ends only."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from interp.errors import UsageError
from interp.forecasting.foresee import Forecast, Target, foretell
from interp.forecasting.label_free import LOGITS, RIGHT, WEIGHTS, label_free
from interp.forecasting.landmark import window_of
from interp.networks.shapes import KIND as ONE_LAYER
from interp.observing.observe import observe
from interp.observing.series import ABOUT, about
from interp.store.run import RunLike, as_run

if TYPE_CHECKING:
    from interp.store.run import Run

# A line through more checkpoints than this is the same line.
MOST = 200


def forecast(run: RunLike | xr.Dataset, at: int | None = None, *, target: Target = "for_good") -> Forecast:
    """When a run will grok, said at one of its checkpoints from weights and training pairs alone.

    The effective number of frequencies N of W_L falls exponentially all along the plateau, to about 4 when the run groks, and
    that of W_E to about sqrt(p). Lines through ln N over the second half of the time since memorizing, extrapolated, give the
    time that remains (the *law*); inside the range of the corpus it was fitted on, a log-normal accelerated-failure model adds
    the shift agreement and the configuration (the *model*). No test label is used: scrambled ones change no forecast.
    docs/forecast.md has the formulas, the corpus, and how often the intervals hold.

    Args:
        run: a recorded run, its directory or its name, or a series of it with ``embedding_spectrum`` and, for the model,
            ``memorizer_or_generalizer``. Of a run only the checkpoints that are needed are measured.
        at: the step; its last checkpoint by default. What came later is not looked at.
        target: test accuracy at least 99 % from then on (``for_good``), or for the first time.

    Raises:
        UsageError: for a step that is no whole number or lies before the first checkpoint, or a target that is none.
    """
    if at is not None and (isinstance(at, bool) or not isinstance(at, Integral)):
        raise UsageError(f"at: given {at!r}, expected a step, a whole number")
    if target not in ("for_good", "first"):
        raise UsageError(f"target: given {target!r}, expected 'for_good' or 'first'")
    series, why = series_for(run if isinstance(run, xr.Dataset) else as_run(run), at)
    found = about(series)
    known = label_free(series) if why is None else None
    step = int(series["step"].values[-1]) if at is None else at
    if known is None:
        return Forecast(found.run, step, "cannot be said", because=why or f"the series lacks {WEIGHTS}")
    return foretell(known, step, run=found.run, target=target)


def series_for(run: Run | xr.Dataset, at: int | None) -> tuple[xr.Dataset, str | None]:
    """A series of what a forecast at a step looks at; and why it lacks the spectra, if it does.

    Raises:
        UsageError: for a step before the first checkpoint, and for a run without any.
    """
    if isinstance(run, xr.Dataset):
        return run, about(run).left_out.get(WEIGHTS)
    saved = sorted({*run.steps, *run.manifest.thinned_steps})
    if not saved:
        raise UsageError(f"run {run.path} has no checkpoints ({run.status}), so there is nothing to make a forecast from")
    steps = [step for step in saved if at is None or step <= at]
    if not steps:
        raise UsageError(f"at: given step {at}, expected one of the run's checkpoints, {saved[0]:,} to {saved[-1]:,}")
    memorized = _memorized(run, steps[-1])
    window = steps[-1:] if memorized is None else evenly(steps, window_of(memorized, steps[-1]))
    spectra = observe(run, [WEIGHTS], steps=window)
    if WEIGHTS in (failed := {**about(spectra).left_out, **about(spectra).failures}):
        return spectra, failed[WEIGHTS]
    if run.kind != ONE_LAYER:
        return spectra, f"it reads a one-layer transformer, and this is a network of kind {run.kind!r}"
    logits = observe(run, [LOGITS], steps=sorted({window[0], window[-1]}))
    if "shift_agreement" not in logits:
        return spectra, None
    agreement = logits["shift_agreement"].reindex(step=window)
    return spectra.assign(shift_agreement=agreement).assign_attrs({ABOUT: about(spectra)}), None


def evenly(steps: Sequence[int], begin: float) -> list[int]:
    """The steps from some step on; of more than `MOST` so many, evenly among them, both ends included.

    >>> evenly([0, 10, 20, 30], 15)
    [20, 30]
    >>> found = evenly(range(10_000), 5000)
    >>> len(found), found[0], found[-1]
    (200, 5000, 9999)
    """
    inside = [step for step in steps if step >= begin] or list(steps[-1:])
    if len(inside) <= MOST:
        return inside
    return [inside[i] for i in np.linspace(0, len(inside) - 1, MOST).round().astype(int)]


def _memorized(run: Run, until: int) -> int | None:
    history = run.history
    if "train_accuracy" not in history:
        return None
    right = (history["train_accuracy"].values >= RIGHT) & (history["step"].values <= until)
    return int(history["step"].values[np.argmax(right)]) if right.any() else None
