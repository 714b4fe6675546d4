"""The built-in analyses, on a lookup table that turns into an exact clock: what they measure, and what their figures show."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from growing import DIALS, KEYS, STEPS, P, built_in, growing, view
from retelling import retold

import interp
from interp.harmonics.residues import powers
from interp.losses import cross_entropy
from interp.networks.one_layer import forward
from interp.observing.analysis import builtin_directory, builtin_names, find_analyses
from interp.observing.applying import Nature, does_not_apply
from interp.observing.derived import date_verdicts
from interp.observing.view import View
from interp.synthetic import clock_weights, lookup_weights, pizza_weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

EXPECTED = {
    "loss_curves", "progress_measures", "forecast", "both_at_once", "embedding_spectrum", "embedding_circles",
    "logit_spectrum", "neuron_frequencies", "neuron_logit_map", "attention_patterns", "clock_or_pizza",
    "memorizer_or_generalizer", "weight_norms", "numerical_health", "best_guesses", "pair_by_pair", "transient_frequencies",
}  # fmt: skip


@pytest.fixture(scope="module")
def series():
    return built_in()[1]


def measured(name: str, seen: View) -> dict:
    return dict(find_analyses([name])[0].measure(seen))


def test_all_built_in_analyses_are_there_and_short() -> None:
    assert set(builtin_names()) >= EXPECTED
    for name in EXPECTED:
        assert len((builtin_directory() / f"{name}.py").read_text().splitlines()) <= 240


def test_every_analysis_asks_a_question_and_says_how_it_is_measured() -> None:
    for analysis in find_analyses(sorted(EXPECTED)):
        assert analysis.title.endswith("?")
        assert "Measured: " in analysis.caption


def test_restricted_loss_of_a_clock_is_its_full_loss_and_excluded_loss_is_ln_p() -> None:
    found, labels = measured("progress_measures", view(1.0)), torch.from_numpy(ModularTask(P).labels)
    full = cross_entropy(forward(growing(1.0), ModularTask(P).pairs).logits, labels).mean()
    assert found["restricted_loss"] == pytest.approx(float(full), rel=1e-3)
    assert found["excluded_loss"] == pytest.approx(math.log(P), rel=1e-4)


def test_excluded_loss_rises_as_the_table_fades(series) -> None:
    excluded = series["excluded_loss"].values[1:]
    assert (np.diff(excluded) > 0).all()
    assert series["restricted_loss"].values[-1] < 1e-3 < series["restricted_loss"].values[1]


def test_a_clock_has_no_energy_off_its_frequencies() -> None:
    clock = clock_weights(P, KEYS).to(dtype=torch.float32)
    seen = replace(view(1.0), network=clock)
    spectrum = measured("embedding_spectrum", seen)["embedding_norm"]
    others = [k for k in range(1, P // 2 + 1) if k not in KEYS]
    assert float(spectrum.sel(frequency=others).max()) < 1e-5 * float(spectrum.sel(frequency=list(KEYS)).min())
    shares = measured("logit_spectrum", seen)["logit_share"]
    assert float(sum(shares.sel(frequency_a=k, frequency_b=k) for k in KEYS)) == pytest.approx(1, abs=1e-5)
    assert measured("logit_spectrum", seen)["cos_fve"] == pytest.approx(1, abs=1e-5)


def test_residues_of_a_clock_lie_on_a_regular_polygon() -> None:
    seen = replace(view(1.0), network=clock_weights(P, KEYS).to(dtype=torch.float32))
    circles = measured("embedding_circles", seen)["embedding_circle"].values
    radii = np.linalg.norm(circles, axis=-1)
    assert np.allclose(radii, radii[:, :1], rtol=1e-4)
    assert (radii > 0).all()


def test_neurons_of_a_clock_are_all_in_clusters_and_those_of_a_table_are_not() -> None:
    clock = measured("neuron_frequencies", replace(view(1.0), network=clock_weights(P, KEYS).to(dtype=torch.float32)))
    assert set(np.unique(clock["neuron_frequency"])) <= {0, *KEYS}
    assert int(clock["cluster_size"].sum()) + clock["dead_neurons"] == clock["neuron_share"].size
    table = lookup_weights(P, [0, 8, 20], amplitude=5.0).to(dtype=torch.float32)
    assert int(measured("neuron_frequencies", replace(view(0.0), network=table))["cluster_size"].sum()) == 0


def test_attention_of_copying_heads_is_constant_and_the_sum_over_positions_is_one() -> None:
    found = measured("attention_patterns", view(1.0))
    assert found["attention_to_a"].shape == (growing(1.0).n_heads, P, P)
    assert np.allclose(found["attention_mean"].sum("position"), 1, atol=1e-6)


def test_sum_of_squares_of_tensors_add_up(series) -> None:
    assert np.allclose(series["sum_squared"].sum("tensor"), series["sum_squared_total"])


def test_clock_and_pizza_are_told_apart() -> None:
    task = ModularTask(P, equals_sign=False)
    split = SplitConfig(fraction=0.5).draw(task)
    clock, pizza = (
        measured("clock_or_pizza", View(0, model.to(dtype=torch.float32), task, split, KEYS, {}))
        for model in (clock_weights(P, KEYS, equals_sign=False), pizza_weights(P, KEYS))
    )
    assert pizza["distance_irrelevance"] < 0.4 < clock["distance_irrelevance"]
    assert clock["clock_fve"] == pytest.approx(1, abs=1e-5)
    assert pizza["pizza_fve"] == pytest.approx(1, abs=1e-5)
    assert np.allclose(clock["clock_fve_single"], 0.5, atol=1e-5)
    for k in range(len(KEYS)):
        assert float(clock["pizza_fve_single"][k]) < 0.45 < float(pizza["pizza_fve_single"][k])
        assert float(pizza["clock_fve_single"][k]) < 0.45


@pytest.mark.parametrize("p", [7, 10])
def test_a_clock_that_subtracts_is_a_clock(p: int) -> None:
    task = ModularTask(p, "subtract")
    model = clock_weights(p, [1, 2], operation="subtract", amplitude=9.0).to(dtype=torch.float32)
    seen = View(0, model, task, SplitConfig(fraction=0.5).draw(task), (1, 2), {})
    found = measured("clock_or_pizza", seen)
    assert (found["distance_irrelevance"], found["answered"]) == (1, 1)
    assert measured("memorizer_or_generalizer", seen)["shift_agreement"] == pytest.approx(1, abs=1e-5)


def test_the_table_becomes_a_generalizer_and_the_figures_say_since_when(series) -> None:
    agreement = series["shift_agreement"].values
    assert abs(agreement[1]) < 0.1
    assert agreement[-1] == pytest.approx(1, abs=1e-5)
    assert series["loss_from_unseen"].values[1] > 0.5
    found = {name: since.boundary.step for name, since in date_verdicts(series).items()}
    assert found == {"algorithm": 100, "generalization": 400}
    titles = [find_analyses([name])[0].figure(series).layout.annotations[0].text for name in sorted(TITLES)]
    assert titles == [TITLES[name] for name in sorted(TITLES)]


TITLES = {
    "clock_or_pizza": "<b>Clock since step 100 (10 to 100)</b>",
    "memorizer_or_generalizer": "<b>Generalizer since step 400 (300 to 400)</b>",
}


def drawn(name: str, series) -> go.Figure:
    return find_analyses([name])[0].figure(series)


def test_frequencies_are_whole_numbers_beside_their_map_too(series) -> None:
    layout = drawn("embedding_spectrum", series).layout  # of p = 7: three frequencies
    assert [layout[f"yaxis{n}"].dtick for n in ("", "2", "3", "4")] == [1, 1, 1, 1]


def test_no_agreement_lies_off_its_axis(series) -> None:
    lower = series.assign(shift_agreement=series["shift_agreement"] * 0 - 0.96)
    assert drawn("memorizer_or_generalizer", lower).layout.yaxis.range[0] < -0.96
    assert drawn("memorizer_or_generalizer", series).layout.yaxis.range[0] == -0.25


def test_ratios_of_pizza_and_clock_are_seen_or_it_is_said_why_there_are_none(series) -> None:
    def texts(figure: go.Figure) -> str:
        return " ".join(note.text for note in figure.layout.annotations)

    usual = drawn("clock_or_pizza", series)
    assert "Pizza over clock</b>: <span" in texts(usual)
    assert "neither formula" not in texts(usual)
    half = series.assign(pizza_fve_single=series["clock_fve_single"] / 2)
    assert drawn("clock_or_pizza", half).layout.yaxis3.range[0] < 0.5
    nothing = series.assign(clock_fve_single=series["clock_fve_single"] * 0, pizza_fve_single=series["clock_fve_single"] * 0)
    assert "neither formula explains 1 %" in texts(drawn("clock_or_pizza", nothing))
    not_asked = nothing.assign(clock_fve=series["clock_fve"] * np.nan)  # as of an operation that is no addition
    assert "no formula was fitted" in texts(drawn("clock_or_pizza", not_asked))
    most = series.assign(pizza_fve_single=series["clock_fve_single"] * 9)
    assert "more than 2 throughout" in texts(drawn("clock_or_pizza", most))
    never = series.assign(answered=series["answered"] * 0)
    assert "<b>Not generalizing at any step</b>" in texts(drawn("clock_or_pizza", never))


def test_every_curve_of_a_frequency_has_its_colour_explained(series) -> None:
    for name in ("logit_spectrum", "progress_measures", "clock_or_pizza", "neuron_logit_map"):
        titles = " ".join(note.text for note in drawn(name, series).layout.annotations)
        for k, colour in interp.figures.frequency_colours(KEYS).items():
            assert f'<span style="color:{colour}">{k}</span>' in titles


def test_attention_that_does_not_vary_is_said_to_leave_nothing_to_explain(series) -> None:
    varied = series.assign(head_fve=series["head_fve"].fillna(0.5))
    for seen, said in ((varied, False), (series, True)):  # the planted circuits look at all positions alike
        assert any("nothing to explain" in note.text for note in drawn("attention_patterns", seen).layout.annotations) is said


@pytest.mark.parametrize(("n", "told"), [(3, 0), (8, 8), (29, 0)])
def test_a_legend_names_only_what_its_colours_tell_apart(series, n: int, told: int) -> None:
    keys = list(range(1, n + 1))
    many = series.isel(key_frequency=[0] * n).assign_coords(key_frequency=keys)
    many = retold(many, key_frequencies=keys, frequencies=2 * n)
    shown = [trace for trace in drawn("neuron_logit_map", many).data if trace.showlegend]
    assert len(shown) == len({trace.line.color for trace in shown}) == told


def test_a_frequency_without_a_sine_is_said_to_be_a_line() -> None:
    one = built_in()[1].isel(residue=slice(4), key_frequency=[0]).assign_coords(key_frequency=[2])
    assert "no sine" in drawn("embedding_circles", one).layout.annotations[0].text


@pytest.mark.parametrize("operation", ["subtract", "multiply"])
def test_the_series_of_another_operation_is_read_as_addition(operation: str) -> None:
    """A clock over exponents multiplies; through additive waves it would be noise."""
    p, task = 11, ModularTask(11, operation)
    split = SplitConfig(fraction=0.5, seed=1).draw(task)
    model = (multiplying if operation == "multiply" else subtracting)(p).to(dtype=torch.float32)
    keys = interp.key_frequencies(model, task=task)
    assert keys == (1, 3)
    seen = View(0, model, task, split, keys, {})
    progress = measured("progress_measures", seen)
    size = p - 1 if operation == "multiply" else p
    assert progress["excluded_loss"] == pytest.approx(math.log(size), rel=1e-4)
    assert progress["restricted_loss"] < 1e-3
    assert measured("embedding_spectrum", seen)["embedding_norm"].sizes["frequency"] == size // 2
    assert measured("logit_spectrum", seen)["cos_fve"] == pytest.approx(1, abs=1e-4)
    assert measured("memorizer_or_generalizer", seen)["shift_agreement"] == pytest.approx(1, abs=1e-4)
    found = measured("clock_or_pizza", seen)
    assert (found["distance_irrelevance"], found["answered"]) == (pytest.approx(1, abs=1e-3), 1)
    circles = measured("embedding_circles", seen)["embedding_circle"]
    assert np.allclose(np.linalg.norm(circles.values, axis=-1), np.linalg.norm(circles.values, axis=-1)[:, :1], rtol=1e-4)
    assert sorted(circles.residue.values) == list(range(p - size, p))


def subtracting(p: int):
    return clock_weights(p, [1, 3], operation="subtract", amplitude=9.0)


def multiplying(p: int):
    """The clock that adds exponents, its residues put where they belong; 0 has no exponent and is nothing to it."""
    clock, units = clock_weights(p - 1, [1, 3], amplitude=9.0), powers(p)
    W_E = torch.zeros(p + 1, clock.d_model, dtype=torch.float64)
    W_E[units], W_E[p] = clock.W_E[: p - 1], clock.W_E[p - 1]
    W_U = torch.zeros(clock.d_model, p, dtype=torch.float64)
    W_U[:, units] = clock.W_U
    return replace(clock, W_E=W_E, W_U=W_U)


@pytest.mark.parametrize(("name", "words"), [("clock_or_pizza", "Not generalizing"), ("memorizer_or_generalizer", "Untrained")])
def test_a_verdict_of_one_checkpoint_has_a_step_and_no_interval(name, words, series) -> None:
    figure = find_analyses([name])[0].figure(series.isel(step=[0]))
    assert f"<b>{words} at step 0</b>" in [note.text for note in figure.layout.annotations]


def test_what_is_no_addition_has_no_verdict(series) -> None:
    task = ModularTask(5, "x2xyy2")
    seen = View(0, random_model(5), task, SplitConfig(fraction=0.5).draw(task), (1,), {})
    assert not seen.is_addition
    for analysis in find_analyses(sorted(TITLES)):
        assert does_not_apply(analysis, Nature(seen.network.kind, task))
        assert does_not_apply(analysis, Nature(seen.network.kind, ModularTask(5))) is None
    blank = series.copy()
    for name in ("distance_irrelevance", "shift_agreement"):
        blank[name] = blank[name] * math.nan
    assert date_verdicts(blank) == {}
    assert "No verdict" in find_analyses(["memorizer_or_generalizer"])[0].figure(blank).layout.annotations[0].text


def test_series_without_the_readings_have_no_verdicts(series) -> None:
    assert date_verdicts(series.drop_vars("shift_agreement")).keys() == {"algorithm"}
    assert date_verdicts(series[["restricted_loss"]]) == {}


@pytest.mark.reference
@pytest.mark.parametrize(
    ("file", "symmetricity", "irrelevance", "circular"),
    [("pizza_p99zdpze5l.pt", 0.993665, 0.171736, 0.997818), ("pizza_l8k1hzciux.pt", 0.333638, 0.848260, 0.998907)],
)
def test_published_pizza_and_clock_are_measured_as_published(reference, file, symmetricity, irrelevance, circular) -> None:
    weights = interp.load_weights(reference / file)
    task = ModularTask(59, equals_sign=False)
    found = measured("clock_or_pizza", View(0, weights, task, SplitConfig(fraction=0.5).draw(task), (), {}))
    assert found["gradient_symmetricity"] == pytest.approx(symmetricity, rel=1e-3)
    assert found["distance_irrelevance"] == pytest.approx(irrelevance, rel=1e-3)
    assert found["circularity"] == pytest.approx(circular, rel=1e-3)


def test_pairs_whose_single_precision_loss_would_vanish_are_counted() -> None:
    found = measured("numerical_health", view(0.0))  # a table of amplitude 30 on the training pairs, nothing on the others
    assert found["collapsed_train"] == 1
    assert found["collapsed_test"] == 0
    assert found["largest_logit"] == pytest.approx(30, rel=1e-5)


def test_losses_that_were_not_measured_are_nan() -> None:
    found = measured("loss_curves", replace(view(0.0), losses={"train_loss": 1.5, "test_loss": None}))
    assert found["train_loss"] == 1.5
    assert math.isnan(found["test_loss"])
    assert math.isnan(found["test_accuracy"])


def test_a_clock_reads_waves_in_its_key_directions_and_a_table_reads_everywhere(series) -> None:
    assert series["key_share_W_L"].values[-1] == pytest.approx(1, abs=1e-6)
    assert np.allclose(series["direction_fve"].values[-1], 1, atol=1e-5)
    assert series["key_share_W_L"].values[1] == pytest.approx(len(KEYS) * 2 / P, abs=0.03)  # as many of p rows as any other
    assert (series["direction_fve"].values[1] < 0.6).all()


@pytest.mark.parametrize(("p", "operation"), [(2, "add"), (3, "subtract"), (4, "add"), (6, "multiply"), (9, "x2xyy2")])
def test_every_analysis_measures_any_modulus_and_operation(p: int, operation: str) -> None:
    task = ModularTask(p, operation)
    seen = View(0, random_model(p), task, SplitConfig(fraction=0.5).draw(task), (p // 2,), {})
    asked = [analysis for analysis in find_analyses() if not does_not_apply(analysis, Nature(seen.network.kind, task))]
    assert {analysis.name for analysis in asked} >= {"loss_curves", "weight_norms", "numerical_health", "attention_patterns"}
    for analysis in asked:
        for name, value in analysis.measure(seen).items():
            assert np.asarray(value).dtype.kind in "fiub", name


def test_models_without_an_equals_sign_and_with_constant_attention_are_measured() -> None:
    task = ModularTask(5, equals_sign=False)
    model = pizza_weights(5, [1, 2]).to(dtype=torch.float32)
    seen = View(0, model, task, SplitConfig(fraction=0.5).draw(task), (1, 2), {})
    found = measured("attention_patterns", seen)
    assert np.allclose(found["attention_to_a"], 1)
    assert (found["head_frequency"] == 0).all()


def random_model(p: int):
    generator = torch.Generator().manual_seed(p)
    return clock_weights(p, [1]).map(lambda t: torch.randn(t.shape, generator=generator)).to(dtype=torch.float32)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_figure_is_complete_at_the_last_step_and_has_a_frame_for_every_checkpoint(name: str, series) -> None:
    figure = find_analyses([name])[0].figure(series)
    assert isinstance(figure, go.Figure)
    if not figure.frames:
        return
    assert [frame.name for frame in figure.frames] == [str(step) for step in STEPS]
    for place, trace in zip(figure.frames[-1].traces, figure.frames[-1].data, strict=True):
        for attribute in ("x", "y", "z"):
            value = getattr(trace, attribute, None)
            if value is not None:
                assert np.array_equal(np.asarray(value), np.asarray(figure.data[place][attribute]), equal_nan=True)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_figure_says_in_words_what_it_shows(name: str, series) -> None:
    figure = find_analyses([name])[0].figure(series)
    assert len(figure.layout.meta["alt"]) > 20


@pytest.mark.parametrize("name", ["loss_curves", "logit_spectrum"])
def test_shares_are_written_as_in_the_story(name: str, series) -> None:
    from interp.wording import percent

    variable = {"loss_curves": "history_test_accuracy", "logit_spectrum": "cos_fve"}[name]
    series = series.copy(deep=True)
    series[variable][-1] = 0.62
    words = find_analyses([name])[0].figure(series).layout.meta["alt"]
    assert percent(0.62) in words
    assert "62.0%" not in words


def test_heat_of_the_attention_figure_is_the_measured_attention(series) -> None:
    figure = find_analyses(["attention_patterns"])[0].figure(series)
    maps = [trace for trace in figure.frames[2].data if trace.type == "heatmap"]
    for head, trace in enumerate(maps):
        shown = trace.z if trace.z is not None else figure.data[figure.frames[2].traces[head]].z  # frames say what changes only
        assert np.array_equal(shown, series["attention_to_a"].values[2, head])


@pytest.mark.parametrize("keys", [KEYS, KEYS[:1]])
def test_lead_time_is_marked_where_it_is(series, keys) -> None:
    series = retold(series, key_frequencies=list(keys))
    figure = find_analyses(["progress_measures"])[0].figure(series)
    notes = [note.text for note in figure.layout.annotations if "lead" in note.text]
    lead = interp.measures.lead_time((STEPS, series["restricted_loss"].values), (STEPS, series["history_test_accuracy"].values))
    assert lead.steps is not None
    # Two of the three frequencies that there are do not stand out.
    assert notes == ([f"lead {lead.steps:,} steps"] if lead.steps > 0 and len(keys) == 1 else [])
    assert len(DIALS) == len(STEPS)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_figures_of_a_single_checkpoint_and_of_missing_numbers_are_drawn(name: str, series) -> None:
    one = series.isel(step=[0], history_step=[0])
    find_analyses([name])[0].figure(retold(one, phases="{}", outcome="unknown"))
    holes = series.copy(deep=True)
    for variable in holes.data_vars:
        if holes[variable].dtype.kind == "f" and not str(variable).startswith("history_"):
            holes[variable][1] = np.nan
    find_analyses([name])[0].figure(holes)


def test_no_name_in_a_legend_has_lost_its_index() -> None:
    analyses, series = built_in()
    names = {str(trace.name) for analysis in analyses for trace in analysis.figure(series).data}
    assert "concentration W_L" in names
    assert not [name for name in names if re.search(r"\bW [A-Za-z]+\b", name)]
