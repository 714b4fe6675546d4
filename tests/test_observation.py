"""Observing a run: hooks streamed over checkpoints, analyses measured once and cached by content, failures told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig, SplitConfig
from interp.errors import UsageError
from interp.harmonics import take_logits
from interp.observing.analysis import Analysis
from interp.observing.derived import date_lead, date_phases
from interp.observing.keys import key_frequencies
from interp.observing.observe import observe
from interp.observing.series import about
from interp.observing.streaming import activations
from interp.observing.view import View
from interp.store.run import Run
from interp.synthetic import clock_weights
from interp.tasks.modular import ModularTask

COUNTING = '''"""How often am I asked?"""
from pathlib import Path
from interp import Analysis

def measure(view):
    with (Path(__file__).parent / "asked").open("a") as file:
        file.write(f"{view.step}\\n")
    return {"mean": float(view.logits.mean())}

ANALYSIS = Analysis("counting", question=__doc__, measure=measure, figure=lambda series: None)
'''


def tiny_config(operation: str = "add", p: int = 11) -> RunConfig:
    return RunConfig(
        task=ModularTask(p, operation=operation),
        split=SplitConfig(fraction=0.5, seed=1),
        model=ModelConfig(d_model=16, n_heads=2, d_mlp=24),
        optimizer=OptimizerConfig(lr=5e-3),
        checkpoints=CheckpointConfig(log=0, every=20),
        steps=60,
        evaluate_every=10,
        engine="reference",
        threads=1,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return interp.record(tiny_config(), root=tmp_path_factory.mktemp("runs"), name="tiny", progress=False)


def asked(folder: Path) -> list[int]:
    path = folder / "asked"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def counting(tmp_path) -> Path:
    path = tmp_path / "counting.py"
    path.write_text(f"{COUNTING}# {tmp_path}\n")  # a content of its own, so that no other test has cached it
    return path


def test_series_is_labelled_by_step_and_holds_what_measure_returned(run):
    seen = {}

    def measure(view: View) -> dict[str, xr.DataArray | float]:
        seen[view.step] = view
        return {"share": xr.DataArray(view.basis.row_norms(view.weights.residue_embedding).numpy(), dims="row")}

    series = observe(run, [Analysis("rows", question="Rows?", measure=measure, figure=lambda series: None)])
    assert series["step"].values.tolist() == list(run.steps) == [0, 20, 40, 60]
    for step in run.steps:
        direct = interp.FourierBasis(11).row_norms(run[step].weights.residue_embedding)
        assert np.array_equal(series["share"].sel(step=step).values, direct.numpy())
        inside, view = interp.forward(run[step].weights, run.config.task.pairs), seen[step]
        assert torch.equal(view.activations.neurons, inside.neurons)
        for found, expected in ((view.logits, inside.logits), (view.neurons, inside.neurons), (view.pattern, inside.pattern)):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)  # sums in another order, of float32
        assert seen[step].losses["train_loss"] == run[step].losses["train_loss"]


def test_series_carries_dated_verdicts_where_they_were_measured(run):
    found = about(observe(run, ["clock_or_pizza", "memorizer_or_generalizer"])).verdicts
    assert set(found) == {"algorithm", "generalization"}
    for since in found.values():
        assert since.boundary.earliest <= since.boundary.step <= since.boundary.latest <= 60


def test_series_carries_history_phases_and_facts(run):
    series = observe(run, ["progress_measures"])
    history = run.history
    evaluated = history["step"].values[np.isfinite(history["test_loss"].values)]
    assert series["history_step"].values.tolist() == evaluated.tolist() == list(range(0, 61, 10))
    assert series["history_test_loss"].values[-1] == history["test_loss"].sel(step=60).item()
    found = about(series)
    assert found.phases == date_phases(series)
    assert found.lead == date_lead(series)
    assert found.verdicts == {}
    assert (found.run, found.task, found.operation) == ("tiny", "a + b modulo 11", "add")
    assert (found.p, found.n_frequencies) == (11, 5)
    assert found.facts["engine"] == "reference"
    assert RunConfig.from_json(json.dumps(found.config)) == run.config
    assert list(series.attrs) == ["about"]


def test_only_what_is_not_cached_is_computed(run, counting, tmp_path):
    first = observe(run, files=[counting], steps=[0, 40])
    assert asked(tmp_path) == [0, 40]
    again = observe(run, files=[counting])
    assert asked(tmp_path) == [0, 40, 20, 60]
    assert again["mean"].sel(step=[0, 40]).equals(first["mean"])
    observe(run, files=[counting])
    assert len(asked(tmp_path)) == 4


def test_cache_goes_by_the_content_of_analysis_and_parameters(run, counting, tmp_path):
    observe(run, files=[counting], steps=[0])
    counting.write_text(counting.read_text().replace(".mean()", ".max()"))
    changed = observe(run, files=[counting], steps=[0])
    expected = interp.forward(run[0].weights, run.config.task.pairs).logits.max()
    assert changed["mean"].item() == pytest.approx(float(expected), rel=1e-5)
    observe(run, files=[counting], steps=[0], key_rule=[1, 3])
    assert len(asked(tmp_path)) == 3


def test_an_analysis_that_raises_is_named_and_the_others_go_on(run, counting, tmp_path):
    def fails_later(view: View) -> dict[str, float]:
        if view.step >= 40:
            raise ZeroDivisionError("no neurons left")
        return {"value": 1.0}

    bad = Analysis("bad", question="Bad?", measure=fails_later, figure=lambda series: None)
    series = observe(run, [bad], files=[counting])
    assert list(about(series).failures) == ["bad"]
    assert about(series).failures["bad"].startswith("at step 40: ZeroDivisionError: no neurons left (")
    assert "test_observation.py, line " in about(series).failures["bad"]
    assert "value" not in series
    assert series["mean"].sizes["step"] == 4


def test_two_analyses_with_one_variable_are_refused(run):
    def same(name: str) -> Analysis:
        return Analysis(name, question="?", measure=lambda view: {"x": 1.0}, figure=lambda series: None)

    with pytest.raises(UsageError, match="analyses one and two both measure 'x'"):
        observe(run, [same("one"), same("two")])


def test_key_frequencies_are_chosen_once_and_hold_for_the_series(run):
    chosen = []

    def measure(view: View) -> dict[str, float]:
        chosen.append(view.key_frequencies)
        return {"n": len(view.key_frequencies)}

    series = observe(run, [Analysis("keys", question="?", measure=measure, figure=lambda series: None)])
    last = key_frequencies(run[60].weights)
    assert set(chosen) == {last}
    assert about(series).key_frequencies == last
    assert (about(series).key_rule, about(series).key_step) == ("unembedding", 60)


@pytest.mark.parametrize("rule", ["unembedding", "embedding", "neurons", "coefficients"])
def test_every_rule_finds_the_frequencies_of_a_planted_clock(rule):
    assert key_frequencies(clock_weights(13, [2, 6]), rule) == (2, 6)


def test_explicit_key_frequencies_are_checked(run):
    assert key_frequencies(run[0].weights, [5, 1, 5]) == (1, 5)
    with pytest.raises(UsageError, match=r"given 6, expected 1\.\.5"):
        key_frequencies(run[0].weights, [6])
    with pytest.raises(UsageError, match="did you mean 'unembedding'"):
        key_frequencies(run[0].weights, "unembeding")


def test_steps_that_were_not_saved_are_refused_with_the_nearest(run):
    with pytest.raises(UsageError, match="did you mean 20"):
        observe(run, ["weight_norms"], steps=[21])
    with pytest.raises(UsageError, match="given none"):
        observe(run, ["weight_norms"], steps=[])


def test_activations_stream_one_checkpoint_at_a_time(run):
    stream = activations(run, "blocks.0.mlp.hook_post", steps=[0, 60])
    found = {step: cache["blocks.0.mlp.hook_post"] for step, cache in stream}
    assert sorted(found) == [0, 60]
    for step, neurons in found.items():
        direct = interp.forward(run[step].weights, run.config.task.pairs).neurons
        torch.testing.assert_close(neurons[:, -1], direct, rtol=1e-5, atol=1e-6)


def test_activations_take_pairs_filters_and_refuse_unknown_hooks_at_once(run):
    pairs = np.array([[1, 2], [3, 4]])
    _, cache = next(activations(run, lambda name: name.endswith("hook_pattern"), pairs=pairs))
    assert list(cache) == ["blocks.0.attn.hook_pattern"]
    assert cache["blocks.0.attn.hook_pattern"].shape == (2, 2, 3, 3)
    with pytest.raises(UsageError, match=r"did you mean 'blocks\.0\.mlp\.hook_post'"):
        activations(run, "blocks.0.mlp.hook_pos")


def test_subtraction_is_observed_in_its_own_waves(tmp_path):
    run = interp.record(replace(tiny_config("subtract"), steps=20), root=tmp_path, name="minus", progress=False)
    series = observe(run, ["progress_measures"], key_rule=[2])
    logits = interp.forward(run[20].weights, run.config.task.pairs).logits
    waves = run.task.harmonics
    direct = interp.measures.restricted_loss(take_logits(waves, logits), waves.line, harmonics=waves, keys=[2])
    assert series["restricted_loss"].sel(step=20).item() == pytest.approx(float(direct.mean()), rel=1e-5)


def test_unreadable_cache_is_computed_anew(run, counting, tmp_path):
    observe(run, files=[counting], steps=[0])
    for path in (run.path / "results").glob("counting-*"):
        path.write_bytes(path.read_bytes()[:50])
    observe(run, files=[counting], steps=[0])
    assert asked(tmp_path) == [0, 0]
