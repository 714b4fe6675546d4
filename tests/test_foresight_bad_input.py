"""What forecasts and the doctor say of runs that are too young, have holes, were imported without settings, or are no numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from begun import begin_planted
from foreseen import config, planted
from patients import config as settings

import interp
from interp import CheckpointConfig, diagnose, forecast, forecasts, recipe
from interp.errors import UsageError
from interp.forecasting.doctor.admission import of_run
from interp.interop import Known
from interp.observing.series import ABOUT
from interp.store.writer import RunWriter, writing
from interp.tasks.modular import ModularTask

IMPORTED = {"engine": "imported", "provenance": {"unknown": ["optimizer.lr", "optimizer.weight_decay", "split"]}}
DEMO = recipe("demo")
SMALL = replace(
    DEMO,
    task=ModularTask(p=11),
    model=replace(DEMO.model, d_model=16, n_heads=2, d_mlp=24),
    checkpoints=CheckpointConfig(log=0, every=100),
    steps=1000,
    engine="reference",
    threads=1,
)


def run_of(path, rows, *, finite=True, made=SMALL, last=None):
    """A run whose history is planted: {step: {name: value}}; its checkpoints are an untrained model."""
    weights = next(iter(interp.train(replace(made, steps=0)))).weights
    with writing(path):
        begin_planted(path, made, n_parameters=weights.n_parameters)
        writer = RunWriter(path)
        for step, values in rows.items():
            if not finite:
                weights.W_E.fill_(torch.nan)
            writer.save(step, weights)
            known = dict.fromkeys(("train_loss", "test_loss", "train_accuracy", "test_accuracy", "sum_squared_weights"))
            writer.add_history(step, known | values)
        final = max(rows) if last is None else last
        writer.finish(final, status="finished", reason="budget")
    return interp.open_run(path)


def right(train, test, loss=1.0):
    return {"train_loss": loss, "test_loss": loss, "train_accuracy": train, "test_accuracy": test}


def test_a_setting_that_an_imported_run_does_not_say_is_not_taken_from_the_defaults():
    series = planted()
    known = series.attrs[ABOUT]
    imported = series.assign_attrs({ABOUT: replace(known, facts=IMPORTED)})
    found = forecast(imported, 1000)
    assert found.method == "law"
    assert "optimizer.weight_decay is not known" in found.outside
    assert "split.fraction is not known" in found.outside
    assert (found.budget, found.chance) == (None, None)  # no budget is known, so nothing is within it
    assert forecast(series, 1000).method == "model"
    other = config(optimizer__weight_decay=0.3, split__fraction=0.9)
    made_up = series.assign_attrs({ABOUT: replace(known, facts=IMPORTED, config=other)})
    assert forecast(made_up, 1000) == found


def test_an_imported_run_without_optimizer_settings_is_judged_by_what_is_known(tmp_path):
    source = interp.record(replace(SMALL, steps=100), tmp_path, "source", progress=False)
    interp.export_weights(source[100].weights, tmp_path / "model.safetensors", step=100)
    known = Known(split=source.config.split, trust_split=True)
    run = interp.import_run(tmp_path / "model.safetensors", tmp_path, "imported", known=known)
    patient = of_run(run)
    assert patient.number("optimizer.weight_decay") is None
    assert patient.budget is None
    found = diagnose(run)
    assert {"weight decay", "learning rate", "budget", "initial scale"}.isdisjoint({one.cause for one in found.findings})
    assert "optimizer.weight_decay is not known" in found.lacks


def test_a_young_run_has_no_date_and_gets_no_advice(tmp_path):
    for rows in ({0: right(0.1, 0.1)}, {0: right(0.1, 0.1), 100: right(1.0, 0.1)}):
        run = run_of(tmp_path / str(len(rows)), rows, made=replace(settings(), model=SMALL.model, engine="reference", threads=1))
        assert forecast(run).at is None
        assert forecast(run).verdict in ("not memorized", "too young")
        assert diagnose(run).state in ("memorized", "not memorized")


@pytest.mark.parametrize("seed", range(3))
def test_holes_in_a_history_are_no_measurements(seed):
    series, draw = planted(), np.random.default_rng(seed)
    hole = draw.random(series.sizes["history_step"]) < 0.5
    accuracy = series.history_train_accuracy.where(~hole)
    holes = series.assign(history_train_accuracy=accuracy, n_W_L=series.n_W_L.where(draw.random(series.sizes["step"]) < 0.6))
    first = int(series.history_step.values[(accuracy >= 0.99).values][0])
    for one in forecasts(holes):
        assert one.at is None or one.evidence.memorized == first
        assert one.at is None or one.low < one.at < one.high
    assert any(one.at is not None for one in forecasts(holes))


def test_a_course_with_holes_is_read_where_it_is_known(tmp_path):
    lacking = {"train_loss": 1.0}
    rows = {0: right(0.1, 0.1), 100: lacking, 200: right(1.0, 0.1), 300: lacking, 400: right(1.0, 0.995), 500: lacking}
    course = of_run(run_of(tmp_path / "holes", rows)).course
    assert (course.memorized, course.grokked, course.step) == (200, 400, 500)
    nothing = of_run(run_of(tmp_path / "none", dict.fromkeys((0, 100), lacking)))
    assert (nothing.course.memorized, nothing.course.grokked, nothing.course.test_accuracy) == (None, None, None)
    assert "test accuracy is not known" in diagnose(run_of(tmp_path / "none2", dict.fromkeys((0, 100), lacking))).lacks


def test_weights_that_are_no_numbers_have_no_date(tmp_path):
    run = run_of(tmp_path / "nan", {0: right(0.1, 0.1), 100: right(1.0, 0.1), 1000: right(1.0, 0.1)}, finite=False)
    said = forecast(run)
    assert (said.at, said.verdict) == (None, "cannot be said")
    assert said.because
    assert diagnose(run).state == "memorized"


def test_a_budget_in_the_past_has_no_chance_and_is_said():
    past = forecast(planted(settings=config(steps=500)), 1000)
    assert past.at > 1000
    assert past.chance == 0
    assert "within the budget of 500: under 1 %" in str(past)


def test_a_run_without_checkpoints_is_no_ground_for_a_forecast(tmp_path):
    model = torch.nn.Linear(3, 5)
    with interp.recording("empty", model, task=ModularTask(5), root=tmp_path, inputs=lambda tokens: tokens.float()):
        pass
    with pytest.raises(UsageError, match="has no checkpoints"):
        forecast(tmp_path / "empty")
