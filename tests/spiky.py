"""Histories with dips whose dates are known: three short slingshots, and a long log full of spikes."""

from __future__ import annotations

import numpy as np
import xarray as xr

from interp.observing.derived import date_lead, date_phases
from interp.observing.series import About


def spiky_history() -> dict[str, np.ndarray]:
    """Memorized at 100, test accuracy one half at 1,500 and 99 % at 1,900; dips at 4,300, 5,800 (of test alone) and 8,100."""
    step = np.arange(0, 11_101, 100)
    grown = 1 / (1 + np.exp(-(step - 1450) / 90))
    curves = {
        "step": step,
        "train_loss": np.where(step == 0, 4.5, 3e-3 / (step + 500.0)),
        "test_loss": 0.02 + 8.73 * (1 - grown),
        "train_accuracy": np.where(step == 0, 0.01, 1.0),
        "test_accuracy": 0.03 + 0.97 * grown,
    }
    for at, train, test in ((4300, 0.962, 0.871), (5800, 1.0, 0.948), (8100, 0.871, 0.702)):
        here = step == at
        curves["train_accuracy"][here], curves["test_accuracy"][here] = train, test
        curves["test_loss"][here] = 9 * (1 - test)
        if train < 1:
            curves["train_loss"][here] = 1 - train
    return curves


def heavy_spikes() -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """A thousand evaluations with a spike every few, the last just before the last; and its right dates."""
    generator, step = np.random.default_rng(5), np.arange(0, 100_000, 100)
    grown = 1 / (1 + np.exp(-(step - 30_000) / 500))
    curves = {
        "step": step,
        "train_loss": np.where(step < 300, 3.0, 1e-6),
        "test_loss": 6 + 14 * (1 - np.exp(-step / 800)) * (1 - grown) - 6 * grown,
        "train_accuracy": np.where(step < 300, 0.2, 1.0),
        "test_accuracy": 0.02 + 0.98 * grown,
    }
    top = curves["test_loss"].max()
    right = {
        "memorized": 300,
        "cleanup": int(step[np.argmax((step > 20_000) & (curves["test_loss"] <= top / 2))]),
        "grokked": int(step[np.argmax(curves["test_accuracy"] >= 0.99)]),
    }
    # Never two in a row, none where an accuracy passes its mark.
    at = np.array([*range(30, 290, 13), *range(360, 998, 11), 998])
    for i in at:
        depth = generator.uniform(0.2, 0.9)
        curves["train_accuracy"][i] = depth
        curves["test_accuracy"][i] *= depth
        curves["train_loss"][i], curves["test_loss"][i] = 0.5, 40 * (1 - depth) + 12
    return curves, right | {"dips": len(at)}


def series_of(curves: dict[str, np.ndarray], *, run: str = "drawn") -> xr.Dataset:
    """A series of a run with this history, its dates found as everywhere, and a circuit that forms at 1,000."""
    step = curves["step"]
    series = xr.Dataset(coords={"step": step[::10]})
    for name, values in curves.items():
        if name != "step":
            series[f"history_{name}"] = xr.DataArray(values, dims="history_step", coords={"history_step": step})
    at = series["step"].values
    series["restricted_loss"] = ("step", np.where(at < 1000, 4.0, 1.0 / (1 + at / 100)))
    series["excluded_loss"] = ("step", np.where(at == 0, 4.0, np.where(at < 1500, 0.01, 5.0)))
    return series.assign_attrs(
        about=About(
            run=run, task="a + b modulo 59", operation="add", p=59, n_frequencies=29, key_frequencies=(4, 7),
            phases=date_phases(series), lead=date_lead(series),
        )
    )  # fmt: skip


def lost_at_the_end() -> dict[str, np.ndarray]:
    """The three slingshots, and a fourth at the last measurement."""
    curves = spiky_history()
    curves["train_accuracy"][-1], curves["test_accuracy"][-1] = 0.8, 0.6
    return curves
