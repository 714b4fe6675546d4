"""A run's ordinary curves as a series, and what a series of a run says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from interp.observing.applying import Nature
from interp.observing.derived import date_lead, date_phases, date_verdicts
from interp.observing.series import ABOUT, About, plain
from interp.store.run import Run

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name

_EVALUATED = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
# Evaluations that draw the curve of the training loss without the losses between them.
_MANY = 20


def evaluated_history(run: Run) -> xr.Dataset:
    """The run's history at the steps where it was evaluated: ``history_train_loss`` ... over ``history_step``.

    Of a run recorded here those are the steps where both losses are known. An imported one may have losses and accuracies at
    steps that they do not share, or only some of them: every step with any of the four counts, and what else was not measured
    there is NaN. Training losses between evaluations that have one themselves, as dense as the updates, are left out.
    """
    history = run.history
    names = {"step": "history_step", **{str(name): f"history_{name}" for name in history.data_vars}}
    known = {name: np.isfinite(history[name].values) for name in _EVALUATED}
    if not run.is_imported:
        tested = known["test_loss"] if len(run.split.test) else known["train_accuracy"]
        return history.isel(step=known["train_loss"] & tested).rename(names)
    evaluated = known["test_loss"] | known["test_accuracy"] | known["train_accuracy"]
    dense = np.count_nonzero(evaluated) >= _MANY and bool(known["train_loss"][evaluated].all())
    return history.isel(step=evaluated if dense else evaluated | known["train_loss"]).rename(names)


def history_series(run: Run) -> xr.Dataset:
    """What a run's history alone tells, as a series: its evaluated curves over ``history_step``, its steps, its `About`."""
    series = xr.Dataset(coords={"step": list(run.steps)}).merge(evaluated_history(run))
    return series.assign_attrs({ABOUT: describe(run, series)})


def describe(
    run: Run,
    series: xr.Dataset,
    *,
    keys: tuple[Name, ...] | None = None,
    key_rule: str = "",
    key_step: int | None = None,
    failures: Mapping[str, str] | None = None,
    not_finite: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> About:
    """What a series of a run says of itself; phases, lead time and verdicts follow from its curves."""
    task, n_frequencies = run.task, Nature.of(run).n_frequencies
    return About(
        run=run.name,
        task=task.name,
        operation=task.operation,
        p=task.classes,
        n_frequencies=n_frequencies,
        key_frequencies=keys if n_frequencies else None,
        key_rule=key_rule if n_frequencies else "",
        key_step=key_step if n_frequencies else None,
        failures=failures or {},
        not_finite=not_finite or {},
        left_out=left_out or {},
        phases=date_phases(series),
        verdicts=date_verdicts(series),
        lead=date_lead(series),
        config=plain(run.settings),
        facts=plain(run.facts()),
    )
