"""The ordinary curves of a run at its evaluated steps, the phases they and the excluded loss date, and its dated verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from interp.measures import Phases, Since, algorithm_since, generalization_since, phases
from interp.store.run import Run
from interp.store.run_facts import elements


def evaluated_history(run: Run) -> xr.Dataset:
    """The run's history at the steps where both losses are known: ``history_train_loss`` ... over ``history_step``.

    What else was not measured there is NaN: imported models may have more losses than accuracies.
    """
    history = run.history
    whole = np.isfinite(history["test_loss"].values) & np.isfinite(history["train_loss"].values)
    names = {"step": "history_step", **{str(name): f"history_{name}" for name in history.data_vars}}
    return history.isel(step=whole).rename(names)


def history_series(run: Run) -> xr.Dataset:
    """What a run's history alone tells, as a series: the evaluated curves, its steps, its facts, the attributes of `told_by`."""
    series = xr.Dataset(coords={"step": list(run.steps)}).merge(evaluated_history(run))
    series.attrs |= {**told_by(run), "facts": json.dumps(run.facts())}
    return series


def told_by(run: Run, excluded: xr.DataArray | None = None) -> dict[str, Any]:
    """What a run's story is told from besides its curves: ``run``, ``p``, ``operation``, ``config``, ``phases``, ``outcome``."""
    boundaries, outcome = phases_json(date_phases(run, excluded))
    return {
        "run": run.name,
        "p": elements(run.task),
        "operation": run.task.operation,
        "phases": boundaries,
        "outcome": outcome or "unknown",
        "config": run.config.to_json() if run.has_config else json.dumps(run.settings),
    }


def date_phases(run: Run, excluded: xr.DataArray | None = None) -> Phases | None:
    """The phases of a run, from its history and, for the onset, from the excluded loss over ``step``.

    None if the history has no step with losses and accuracies (an imported model may have none).
    """
    curves = evaluated_history(run)
    accuracies = [curves[f"history_{part}_accuracy"].values for part in ("train", "test")]
    curves = curves.isel(history_step=np.isfinite(accuracies).all(axis=0))
    at = curves["history_step"].values
    if not len(at):
        return None
    weight = curves["history_sum_squared_weights"].values
    known = np.isfinite(weight)
    # Without a finite excluded loss the onset stays unknown; the other phases do not need it.
    usable = excluded if excluded is not None and bool(np.isfinite(excluded.values).all()) else None
    return phases(
        at,
        *(curves[f"history_{name}"].values for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")),
        excluded=None if usable is None else (usable["step"].values, usable.values),
        sum_squared=(at[known], weight[known]) if known.any() else None,
    )


def phases_json(found: Phases | None) -> tuple[str, str | None]:
    """The boundaries as JSON (name -> step, earliest, latest, or null), and the outcome."""
    values = {} if found is None else asdict(found)
    outcome = values.pop("outcome", None)
    return json.dumps(values), outcome


def date_verdicts(series: xr.Dataset) -> dict[str, Since]:
    """What the last checkpoint is, and since when: ``algorithm`` and ``generalization``, where a series has their readings.

    An operation that is no addition has neither: its readings are not numbers.
    """
    found = {}
    for name, (dated, readings) in _VERDICTS.items():
        if all(variable in series for variable in readings.values()) and _any_known(series[readings[_FIRST[name]]]):
            curves = {reading: series[variable].values for reading, variable in readings.items()}
            found[name] = dated(series["step"].values, **curves)
    return found


def _any_known(values: xr.DataArray) -> bool:
    return bool(np.isfinite(values.values).any())


# The reading without which there is nothing to judge.
_FIRST = {"algorithm": "irrelevance", "generalization": "agreement"}
# The verdicts' readings, and the variables of the built-in analyses that hold them.
_VERDICTS: dict[str, tuple[Callable[..., Since], dict[str, str]]] = {
    "algorithm": (
        algorithm_since,
        {"symmetricity": "gradient_symmetricity", "irrelevance": "distance_irrelevance", "accuracy": "answered"},
    ),
    "generalization": (
        generalization_since,
        {
            "agreement": "shift_agreement",
            "unseen_loss": "loss_from_unseen",
            "concentration": "concentration_W_L",
            "learned": "answered_train",
        },
    ),
}
