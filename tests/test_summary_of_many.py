"""The summary of a run with very many checkpoints: dated from some of them, to the same step as from all."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from recorded import CONFIG

import interp
from interp.observing.derived import date_phases
from interp.observing.series import About
from interp.observing.summary import DATED_FROM, DATED_WHOLE, _dating_series, summary

STEPS = np.arange(0, 10_000)
HISTORY = np.arange(0, 10_000, 25)


def planted(steps: np.ndarray, lowest: float) -> xr.Dataset:
    """A run that memorizes at 100, groks at 6,000, and whose excluded loss is lowest at a step between."""
    excluded = 1e-3 + 4 * np.abs(np.log((steps + 1) / (lowest + 1)))
    train, test = np.where(HISTORY >= 100, 1e-3, 4.0), np.where(HISTORY >= 6000, 1e-3, 8.0)
    right = {"train_accuracy": (HISTORY >= 100) * 1.0, "test_accuracy": (HISTORY >= 6000) * 1.0}
    curves = {"train_loss": train, "test_loss": test, **right}
    history = {f"history_{name}": ("history_step", values) for name, values in curves.items()}
    return xr.Dataset({"excluded_loss": ("step", excluded), **history}, {"step": steps, "history_step": HISTORY})


@dataclass
class Asked:
    """What was measured, one list of steps a time."""

    lowest: float
    steps: list[list[int]] = field(default_factory=list)

    def __call__(self, steps: list[int] | None) -> xr.Dataset:
        self.steps.append(list(STEPS if steps is None else steps))
        series = planted(np.asarray(self.steps[-1]), self.lowest)
        return series.assign_attrs(about=About(phases=date_phases(series)))


@pytest.mark.parametrize("lowest", [130, 1111, 2222.4, 4000])
def test_the_onset_is_the_same_step_from_few_checkpoints_as_from_all(lowest):
    asked, whole = Asked(lowest), date_phases(planted(STEPS, lowest))
    run = SimpleNamespace(steps=tuple(int(step) for step in STEPS), manifest=SimpleNamespace(thinned=()))
    series = _dating_series(run, asked)
    found = series.attrs["about"].phases
    assert whole.onset is not None
    assert found.onset.step == whole.onset.step
    assert found.memorized == whole.memorized
    assert found.grokked == whole.grokked
    assert len(asked.steps[0]) == DATED_FROM
    assert series.sizes["step"] < DATED_FROM + 3 * len(STEPS) / DATED_FROM
    assert found.onset.earliest <= whole.onset.step <= found.onset.latest


def test_every_checkpoint_is_measured_where_there_are_not_very_many():
    asked = Asked(1000)
    run = SimpleNamespace(steps=tuple(range(DATED_WHOLE)), manifest=SimpleNamespace(thinned=()))
    _dating_series(run, asked)
    assert len(asked.steps) == 1
    assert asked.steps[0] == list(STEPS)


def test_a_summary_says_from_how_many_it_was_dated(tmp_path, monkeypatch):
    whole, some = (interp.record(CONFIG, root=tmp_path, name=name, progress=False) for name in ("whole", "some"))
    assert "dated_from" not in summary(whole)
    monkeypatch.setattr("interp.observing.summary.DATED_WHOLE", len(some.steps) - 1)
    monkeypatch.setattr("interp.observing.summary.DATED_FROM", 3)
    found = summary(some)
    assert found["dated_from"] == {"checkpoints": 3, "of": len(some.steps)}  # without an onset nothing is looked at more closely
    assert found["phases"]["memorized"] == summary(whole)["phases"]["memorized"]
