"""A run with a known story, without training: a lookup table that fades while an exact clock grows."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import xarray as xr

from interp import measures
from interp.losses import correct, cross_entropy
from interp.networks.one_layer import Weights, forward
from interp.observing.analysis import Analysis, find_analyses
from interp.observing.derived import date_lead
from interp.observing.series import About
from interp.observing.view import View
from interp.synthetic import clock_weights, lookup_weights, mixture_weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

P, KEYS = 7, (2, 3)
STEPS = [0, 10, 100, 200, 300, 400]
# At step 0 there is neither table nor clock; then the table is learned; then the dial turns to the clock.
DIALS = (None, 0.0, 0.1, 0.25, 0.6, 1.0)
SPLIT = SplitConfig(fraction=0.5, seed=3).draw(ModularTask(P))


def growing(dial: float | None) -> Weights:
    """The model at one setting of the dial; None is the model whose logits are all 0."""
    table = lookup_weights(P, SPLIT.train, amplitude=30.0)
    clock = clock_weights(P, KEYS, amplitude=20.0)
    model = mixture_weights(dial or 0.0, table, clock)
    if dial is None:
        tensors = model.tensors()
        model = Weights.from_tensors({**tensors, "W_U": torch.zeros_like(tensors["W_U"])})
    return model.to(dtype=torch.float32)


def view(dial: float | None, *, step: int = 0, keys: tuple[int, ...] = KEYS) -> View:
    return View(step, growing(dial), ModularTask(P), SPLIT, keys, scores(dial))


@cache
def scores(dial: float | None) -> dict[str, float]:
    """Loss and accuracy on train and test pairs."""
    task = ModularTask(P)
    logits, labels = forward(growing(dial), task.pairs).logits, torch.from_numpy(task.labels)
    found = {}
    for part in ("train", "test"):
        index = torch.from_numpy(getattr(SPLIT, part))
        found[f"{part}_loss"] = float(cross_entropy(logits[index], labels[index]).mean())
        found[f"{part}_accuracy"] = float(correct(logits[index], labels[index]).double().mean())
    return found


def observed(analyses: list[Analysis], *, name: str = "planted") -> xr.Dataset:
    """The series of the growing circuit, put together as `interp.observe` does it."""
    columns: dict[str, list[xr.DataArray]] = {}
    for step, dial in zip(STEPS, DIALS, strict=True):
        for analysis in analyses:
            for variable, value in analysis.measure(view(dial, step=step)).items():
                array = value if isinstance(value, xr.DataArray) else xr.DataArray(np.asarray(value))
                columns.setdefault(variable, []).append(array.assign_attrs(analysis=analysis.name))
    series = xr.Dataset(
        {name: xr.concat(rows, dim="step", combine_attrs="override") for name, rows in columns.items()}, coords={"step": STEPS}
    )
    curves = {key: np.array([scores(dial)[key] for dial in DIALS]) for key in scores(None)}
    for key, values in curves.items():
        series[f"history_{key}"] = xr.DataArray(values, dims="history_step", coords={"history_step": STEPS})
    found = measures.phases(STEPS, *(curves[f"{part}_{what}"] for what in ("loss", "accuracy") for part in ("train", "test")))
    described = About(
        run=name, task=ModularTask(P).name, operation="add", p=P, n_frequencies=P // 2,
        key_frequencies=KEYS, key_rule="unembedding", key_step=STEPS[-1],
        phases=found, lead=date_lead(series), config={"split": {"fraction": 0.5}, "seed": 0},
        facts={"engine": "planted", "path": "/secret/place"},
    )  # fmt: skip
    return series.assign_attrs(about=described)


@cache
def built_in() -> tuple[list[Analysis], xr.Dataset]:
    """All built-in analyses that draw figures, and the series they make of the growing circuit."""
    analyses = find_analyses()
    return analyses, observed(analyses)
