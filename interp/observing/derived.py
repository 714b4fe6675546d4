"""From a series to what follows from it, as typed values: the phases, the lead time and the verdicts that its curves date.

Every function takes the series alone, with the run's evaluated history in it; where that lacks a curve, nothing follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64

from interp.measures.dating import Phases, phases_of
from interp.measures.lead import LeadTime, lead_time
from interp.measures.since import Since, algorithm_since, generalization_since

if TYPE_CHECKING:
    import xarray as xr

_CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


def finite_curve(series: xr.Dataset, name: str) -> tuple[Int64[np.ndarray, " step"], Float64[np.ndarray, " step"]] | None:
    """Steps and values of a variable where it is finite; None if it never is."""
    if name not in series:
        return None
    values = series[name]
    steps, numbers = np.asarray(values[values.dims[0]].values), np.asarray(values.values, dtype=np.float64)
    kept = np.isfinite(numbers)
    return (steps[kept], numbers[kept]) if kept.any() else None


def date_phases(series: xr.Dataset) -> Phases | None:
    """The phases of a run, from its history and, for the onset, from the excluded loss.

    Each curve counts where it is finite: a log may have losses and accuracies at steps of their own. What lacks its curve has no
    date. None if the history has no accuracy at all (an imported model may have none); accuracies at one step date nothing.
    """
    known = {name: finite_curve(series, f"history_{name}") for name in _CURVES}
    curves = {name: curve for name, curve in known.items() if curve is not None}
    if not any("accuracy" in name for name in curves):
        return None
    excluded, weight = finite_curve(series, "excluded_loss"), finite_curve(series, "history_sum_squared_weights")
    # Without an excluded loss at every checkpoint the onset stays unknown; the other phases do not need it.
    if excluded is not None and len(excluded[0]) < series.sizes["step"]:
        excluded = None
    return phases_of(curves, excluded=excluded, sum_squared=weight)


def date_lead(series: xr.Dataset) -> LeadTime | None:
    """How long before the test accuracy the restricted loss moved, if both were measured."""
    restricted, accuracy = finite_curve(series, "restricted_loss"), finite_curve(series, "history_test_accuracy")
    return None if restricted is None or accuracy is None else lead_time(restricted, accuracy)


def date_verdicts(series: xr.Dataset) -> dict[str, Since]:
    """What the last checkpoint is, and since when: ``algorithm`` and ``generalization``, where a series has their readings."""
    found = {}
    for name, (dated, readings) in _VERDICTS.items():
        is_measured = all(variable in series for variable in readings.values())
        if is_measured and finite_curve(series, readings[_FIRST[name]]) is not None:
            curves = {reading: series[variable].values for reading, variable in readings.items()}
            found[name] = dated(series["step"].values, **curves)
    return found


# The reading that a verdict needs.
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
