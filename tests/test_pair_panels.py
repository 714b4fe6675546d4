"""The panels of single pairs, of best guesses and of passing frequencies: planted series, and what their figures show of them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from growing import KEYS, SPLIT, STEPS, P, built_in, view
from retelling import retold

from interp.observing.analysis import find_analyses
from interp.tasks.modular import ModularTask

SEEN = np.isin(np.arange(P * P), SPLIT.train).reshape(P, P)


@pytest.fixture(scope="module")
def series() -> xr.Dataset:
    return built_in()[1]


def drawn(name: str, series: xr.Dataset) -> go.Figure:
    return find_analyses([name])[0].figure(series)


def with_right(series: xr.Dataset, right: np.ndarray) -> xr.Dataset:
    return series.assign(pair_right=(("step", "a", "b"), right))


def maps(figure: go.Figure) -> dict[tuple[str, str], go.Heatmap]:
    """Maps by cell, and by what their pairs are."""
    kinds = ("right for good", "wrong at the end", "never right")
    return {
        (trace.xaxis, next(kind for kind in kinds if kind in trace.hovertemplate)): trace
        for trace in figure.data
        if trace.type == "heatmap"
    }


def test_first_guess_is_the_accuracy_and_guesses_add_up(series) -> None:
    for part in ("train", "test"):
        assert np.allclose(series[f"top_k_{part}"].values[:, 0], series[f"history_{part}_accuracy"].values)
        assert np.allclose(series[f"top_k_{part}"].values, series[f"kth_guess_{part}"].values.cumsum(axis=1))
    assert series.k.values.tolist() == [1, 2, 3, 4, 5]


def test_a_table_is_known_and_a_clock_is_right_everywhere(series) -> None:
    right = series["pair_right"].values
    assert right.shape == (len(STEPS), P, P)
    assert np.array_equal(series["pair_seen"].values[0], SEEN)
    assert np.array_equal(series["pair_answer"].values[3].ravel(), ModularTask(P).labels)
    assert right[1][SEEN].all()  # the table
    assert right[-1].all()  # the clock


def test_a_pair_turned_right_at_a_step_has_that_date_on_the_map(series) -> None:
    right = np.ones((len(STEPS), P, P), dtype=bool)
    unseen, seen = np.argwhere(~SEEN), np.argwhere(SEEN)
    (a, b), (c, d), (e, f), (g, h) = unseen[0], unseen[1], unseen[2], seen[0]
    right[:3, a, b] = False  # right from step 200 on
    right[:, c, d] = False  # never
    right[-1, e, f] = False  # lost at the end
    right[2, g, h] = False  # right at first, for good from step 200 on
    found = maps(drawn("pair_by_pair", with_right(series, right)))
    assert set(found) == {
        ("x", "right for good"), ("x2", "right for good"), ("x2", "wrong at the end"), ("x2", "never right"),
    }  # fmt: skip
    assert found["x2", "right for good"].z[a][b] == found["x2", "right for good"].customdata[a][b] == 200
    assert (found["x", "right for good"].z[g][h], found["x", "right for good"].customdata[g][h]) == (200, 0)
    for kind, chosen in (("never right", (c, d)), ("wrong at the end", (e, f))):
        assert np.argwhere(np.isfinite(found["x2", kind].z)).tolist() == [list(chosen)]
    shown = np.isfinite(found["x", "right for good"].z)
    assert np.array_equal(shown, SEEN)
    assert found["x2", "never right"].text[c][d] == ModularTask(P).labels[c * P + d]


def test_medians_are_of_unseen_pairs_and_say_how_many(series) -> None:
    right = np.ones((len(STEPS), P, P), dtype=bool)
    a, b = np.indices((P, P))
    right[:3, (a + b) % P == 5] = False
    figure = drawn("pair_by_pair", with_right(series, right))
    by_answer = next(trace for trace in figure.data if trace.xaxis == "x4" and trace.name == "answer")
    expected = [200.0 if k == 5 else 0.0 for k in by_answer.x]
    assert 5 in by_answer.x
    assert list(by_answer.y) == expected
    unseen = ModularTask(P).labels[~SEEN.ravel()]
    assert [list(each) for each in by_answer.customdata] == [[int((unseen == k).sum()), 0] for k in by_answer.x]


def test_pairs_that_are_lost_again_are_counted_in_words(series) -> None:
    right = np.ones((len(STEPS), P, P), dtype=bool)
    for a, b in np.argwhere(~SEEN)[:3]:
        right[2, a, b] = False
    said = drawn("pair_by_pair", with_right(series, right)).layout.meta["said"]
    assert said[0] == "Of the unseen pairs 3 were right at some checkpoint, and wrong again at a later one."
    assert drawn("pair_by_pair", with_right(series, np.ones_like(right))).layout.meta.get("said") is None


def test_a_table_that_is_no_grid_has_rows_and_no_distance(series) -> None:
    n = 40
    names = {"pair_right": series["pair_right"], "pair_seen": series["pair_seen"], "pair_answer": series["pair_answer"]}
    rows = {name: (("step", "row"), each.values.reshape(len(STEPS), -1)[:, :n]) for name, each in names.items()}
    figure = drawn("pair_by_pair", series.drop_vars(list(names)).assign(rows))
    assert {np.asarray(each.z).shape for each in maps(figure).values()} == {(1, n)}
    assert "no distance" in " ".join(note.text for note in figure.layout.annotations)
    assert {trace.xaxis for trace in figure.data if trace.type == "scatter"} == {"x3", "x4", "x5"}


def test_elements_of_another_operation_have_no_distance(series) -> None:
    figure = drawn("pair_by_pair", retold(series, operation="xor"))
    assert "no distance" in " ".join(note.text for note in figure.layout.annotations)
    assert "x6" in {trace.xaxis for trace in drawn("pair_by_pair", series).data}


def test_where_no_class_has_a_median_it_is_said_why(series) -> None:
    right = np.repeat(SEEN[None], len(STEPS), axis=0)  # a table: no unseen pair is ever right
    notes = [note.text for note in drawn("pair_by_pair", with_right(series, right)).layout.annotations]
    assert notes.count("of no class more than half came right") == 3
    assert "of no class more than half came right" not in [note.text for note in drawn("pair_by_pair", series).layout.annotations]


def test_a_map_without_pairs_says_so(series) -> None:
    """With fraction 1 no pair is unseen; a run of which nothing was trained on has no seen one."""
    for seen, cell in ((True, "x2"), (False, "x")):
        figure = drawn("pair_by_pair", series.assign(pair_seen=xr.full_like(series["pair_seen"], seen)))
        notes = {note.xref: note.text for note in figure.layout.annotations if "pairs" in note.text and "<b>" not in note.text}
        assert notes == {f"{cell} domain": "there are no such pairs"}
        titles = [note.text for note in figure.layout.annotations if note.xref == f"{cell} domain" and "<b>" in note.text]
        assert titles in (["<b>Unseen pairs</b>"], ["<b>Pairs it was trained on</b>"])
        assert not [trace for trace in figure.data if trace.type == "heatmap" and trace.xaxis == cell]
    figure = drawn("pair_by_pair", series.assign(pair_seen=xr.full_like(series["pair_seen"], True)))
    assert [note.text for note in figure.layout.annotations].count("no pair was left unseen") == 3


def test_checkpoints_that_are_not_finite_date_nothing(series) -> None:
    names = ("pair_right", "pair_seen", "pair_answer")
    broken = series.assign({name: series[name].astype(float) for name in names})
    for name in names:
        broken[name][-1] = np.nan  # as `interp.observe` fills them
    found = maps(drawn("pair_by_pair", broken))
    assert np.nanmax(found["x2", "right for good"].z) <= STEPS[-2]


def planted(series: xr.Dataset, names: tuple[int, ...] = (1,)) -> xr.Dataset:
    """Ten frequencies; those named have a large share of W_E between steps 100 and 300, frequency 2 has it at the end."""
    shares = np.full((len(STEPS), 10), 0.05)
    for k in names:
        shares[2:4, k - 1] = 0.3 + k / 100
    shares[4:, 1] = 0.9
    variables = {name: (("step", "frequency"), np.full_like(shares, 0.1)) for name in ("energy_share_W_L", "energy_share_W_E")}
    variables["energy_share_W_E"] = (("step", "frequency"), shares)
    dropped = [name for name in series.data_vars if "frequency" in series[name].dims]
    found = series.drop_vars([*dropped, "frequency"]).assign(variables).assign_coords(frequency=np.arange(1, 11))
    return retold(found, frequencies=10)


def test_a_frequency_planted_between_two_steps_is_named(series) -> None:
    figure = drawn("transient_frequencies", planted(series))
    assert figure.layout.meta["said"] == ["Stood out in W_E and no longer do: frequency 1 from step 100 to 300."]
    titles = [note.text for note in figure.layout.annotations]
    assert "<b>W_E</b>: 1 came and went" in titles
    assert "<b>W_L</b>: none came and went" in titles
    spell = next(trace for trace in figure.data if trace.xaxis == "x4" and trace.name == "frequency 1")
    assert (list(spell.x), list(spell.y)) == ([100, 300], [1, 1])
    lines = {trace.name: trace for trace in figure.data if trace.xaxis == "x3"}
    assert [lines[f"frequency {k}"].line.dash for k in (1, 2, 3)] == ["dash", "solid", "solid"]


def test_more_transients_than_are_named_are_counted(series) -> None:
    figure = drawn("transient_frequencies", planted(series, names=(1, 3, 4, 5, 6, 7, 8, 9)))
    assert "4, 5, 6, 7, 8, 9 and 2 more came and went" in " ".join(note.text for note in figure.layout.annotations)
    assert "frequency 3" not in figure.layout.meta["said"][0]
    assert "(2 more are not named)" in figure.layout.meta["said"][0]


def test_shares_of_a_clock_lie_in_its_frequencies() -> None:
    found = find_analyses(["transient_frequencies"])[0].measure(view(1.0))
    for name in ("energy_share_W_L", "energy_share_W_E"):
        assert float(found[name].sum()) == pytest.approx(1)
    assert float(found["energy_share_W_L"].sel(frequency=list(KEYS)).sum()) == pytest.approx(1, abs=1e-6)
