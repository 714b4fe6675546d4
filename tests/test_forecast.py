"""Forecasts: planted trends and their scaling, nothing from the future or from test labels, what is said where nothing can be."""

from __future__ import annotations

import json
import subprocess
import sys
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
from foreseen import MEMORIZED, config, planted

from interp import about, forecast, forecasts
from interp.errors import UsageError
from interp.forecasting.fitted import COEFFICIENTS, Remaining, frozen
from interp.forecasting.label_free import label_free
from interp.forecasting.landmark import END_W_L, features, landmark
from interp.forecasting.range_of import outside
from interp.measures import effective_number

ROOT = Path(__file__).parent.parent


def test_a_planted_trend_is_found_and_extrapolated_exactly():
    rate, step = 5e-4, 1500
    found = landmark(label_free(planted(rate=rate)), step)
    assert found.W_L.slope == pytest.approx(-rate, rel=1e-9)
    assert found.W_L.number == pytest.approx(29 * exp(-rate * step), rel=1e-9)
    assert step + found.W_L.steps_left == pytest.approx(log(29 / END_W_L) / rate, rel=1e-9)
    assert step + found.W_E.steps_left == pytest.approx(log(29 / 59**0.5) / (rate / 2), rel=1e-9)
    assert found.window == (800, 1500)
    assert found.W_L.fall_per_100 == pytest.approx(1 - exp(-100 * rate))


@pytest.mark.parametrize("stretch", [2.0, 10.0])
def test_a_run_in_slow_motion_is_foretold_in_slow_motion(stretch):
    # Halve the learning rate and everything takes twice as long: features have no unit, and dates scale.
    slow = config(optimizer__lr=1e-3 / stretch)
    fast, slowed = planted(), planted(stretch=stretch, settings=slow)
    both = ((fast, 1000), (slowed, int(1000 * stretch)))
    one, other = (landmark(label_free(series), step) for series, step in both)
    assert features(other, slow) == pytest.approx(features(one, config()), rel=1e-9)
    law, slow_law = (forecast(series.drop_vars("unseen_agreement"), step) for series, step in both)
    assert law.method == slow_law.method == "law"
    for name in ("at", "low", "high"):
        assert getattr(slow_law, name) == pytest.approx(stretch * getattr(law, name), abs=stretch)


def test_a_faster_trend_groks_sooner_and_more_surely():
    found = [forecast(planted(rate=rate), 1000) for rate in (2e-4, 4e-4, 8e-4)]
    assert [one.verdict for one in found] == ["groks"] * 3
    assert found[0].at > found[1].at > found[2].at > 1000
    assert found[0].chance < found[1].chance <= found[2].chance
    assert all(one.low < one.at < one.high for one in found)


@pytest.mark.parametrize("at", ["900", 900.5, True])
def test_a_step_is_a_whole_number(at):
    with pytest.raises(UsageError, match="a whole number"):
        forecast(planted(), at)


def test_nothing_of_the_future_is_looked_at():
    series = planted()
    whole = forecasts(series)
    for one in whole[::7]:
        cut = series.sel(step=slice(0, one.step), history_step=slice(0, one.step))
        again = forecast(cut, one.step)
        assert (again.at, again.low, again.high, again.verdict) == (one.at, one.low, one.high, one.verdict)


def test_no_test_label_is_looked_at():
    series, random = planted(), np.random.default_rng(0)
    scrambled = series.assign(history_test_accuracy=("history_step", random.random(series.sizes["history_step"])))
    assert forecasts(scrambled) == forecasts(series)
    assert forecasts(series.drop_vars("history_test_accuracy")) == forecasts(series)


def test_norms_say_what_effective_numbers_say():
    series = planted()
    norms = np.random.default_rng(1).random((series.sizes["step"], 29)) + 0.1
    numbers = effective_number(norms)
    told = series.assign(n_W_L=("step", numbers), n_W_E=("step", numbers))
    kept = series.drop_vars(["n_W_L", "n_W_E"]).assign(
        neuron_logit_norm=(("step", "frequency"), norms), embedding_norm=(("step", "frequency"), norms)
    )
    assert forecasts(kept) == forecasts(told)


def test_the_time_that_remains_is_log_normal():
    remaining = Remaining(median=500, sigma=0.4)
    assert remaining.chance(500) == pytest.approx(0.5)
    assert remaining.quantile(0.9) == pytest.approx(500 * exp(0.4 * 1.2815515655446004))
    for share in (0.01, 0.1, 0.7):
        assert remaining.chance(remaining.quantile(share)) == pytest.approx(share)
    assert remaining.chance(0) == remaining.chance(-5) == 0


def test_before_it_can_speak_it_says_from_when_on_it_will():
    series = planted()
    young = forecast(series, 150)
    assert young.verdict == "too young"
    assert young.at is None
    assert forecast(series, young.speaks_from).verdict == "groks"
    again = forecast(series.drop_sel(step=[400, 450]), 500)  # it has lost checkpoints since it could speak
    assert again.verdict != "too young" or again.speaks_from > 500
    before = int(series.step.values[series.step.values < young.speaks_from][-1])
    assert forecast(series, before).verdict == "too young"
    assert f"from step {young.speaks_from:,} on" in str(young)


def test_what_is_planned_counts_for_when_it_will_speak():
    # Of a run that is at step 150 only its configuration knows which checkpoints come.
    later = planted()
    early = later.sel(step=slice(0, 150), history_step=slice(0, 150))
    assert forecast(early).speaks_from == forecast(later, 150).speaks_from == 400


@pytest.mark.parametrize(
    ("change", "verdict", "why"),
    [
        (lambda s: planted(memorizes=False), "not memorized", "99 %"),
        (lambda s: s.drop_vars("history_train_accuracy"), "cannot be said", "not known"),
        (lambda s: s.drop_vars("n_W_L"), "cannot be said", "lacks"),
        (lambda s: planted(agreement=0.99), "generalizes already", "shifted, to 0.99"),
        (lambda s: planted(rate=0.0), "no progress", "does not fall"),
        (lambda s: planted(rate=-1e-4), "no progress", "does not fall"),
    ],
)
def test_where_there_is_no_date_it_says_why(change, verdict, why):
    found = forecast(change(planted()))
    assert (found.verdict, found.at, found.low, found.high) == (verdict, None, None, None)
    assert why in found.because
    assert str(found).startswith(verdict)


def test_a_circuit_at_rest_generalizes_also_where_logits_agree_less():
    series = planted(agreement=0.86)
    at_rest = series.assign(n_W_L=("step", np.where(series.step < 1000, series.n_W_L, 4.1)))
    assert forecast(at_rest).verdict == "generalizes already"
    assert forecast(series).verdict == "groks"


def test_checkpoints_without_numbers_are_left_out():
    series = planted()
    holes = series.assign(n_W_L=series.n_W_L.where(series.step % 150 == 0))
    assert forecast(holes, 1500).at == pytest.approx(forecast(series, 1500).at, rel=0.02)
    nothing = series.assign(n_W_L=series.n_W_L * np.nan)
    with pytest.raises(UsageError, match="weights are finite"):
        forecast(nothing)


def test_the_model_speaks_inside_its_range_only():
    inside = forecast(planted(), 1000)
    assert (inside.method, inside.outside) == ("model", ())
    odd = planted(settings=config(task__p=997, optimizer__grokfast_lambda=2.0, model__activation="gelu"))
    found = forecast(odd, 1000)
    assert found.method == "law"
    assert [text.partition(" ")[0] for text in found.outside] == ["task.p", "model.activation", "optimizer.grokfast_lambda"]
    assert forecast(planted(settings={}), 1000).outside == ("its configuration is not known",)
    assert forecast(planted(agreement=None), 1000).method == "law"


def test_only_what_changes_nothing_is_left_out_of_the_range():
    assert outside(config(seed=77, steps=10**6, threads=4, split__seed=3)) == ()


def test_a_budget_that_is_over_has_no_chance():
    past = planted(settings=config(steps=900))
    assert forecast(past, 1000).chance == 0
    assert forecast(planted(settings={}), 1000).chance is None


@pytest.mark.parametrize(("arguments", "why"), [({"at": -1}, "at: given step -1"), ({"target": "soon"}, "target: given 'soon'")])
def test_bad_arguments_are_refused(arguments, why):
    with pytest.raises(UsageError, match=why):
        forecast(planted(), **arguments)


def test_a_series_without_spectra_has_no_forecasts():
    with pytest.raises(UsageError, match="without the spectra"):
        forecasts(planted().drop_vars("n_W_E"))


def test_the_coefficients_are_those_of_the_corpus():
    done = subprocess.run(
        [sys.executable, "docs/forecast/fit.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    stored = json.loads(COEFFICIENTS.read_text())
    assert frozen().corpus == stored["corpus"]
    assert COEFFICIENTS.stat().st_size < 1_000_000


def test_evidence_is_part_of_it():
    found = forecast(planted(), 1000)
    assert found.evidence.memorized == MEMORIZED
    assert found.budget == about(planted()).config["steps"]
    assert f"{found.evidence.W_L.number:.1f} now" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["score.py", "score_unseen.py"])
def test_the_tables_are_those_of_the_corpora(script):
    asked = [sys.executable, f"docs/forecast/{script}", "--check"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
