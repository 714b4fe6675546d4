"""Figures of studies as data: what is asked of cells, maps, survival curves, laws. Outcomes are planted; nothing is trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_study import BUDGET, planted_row, planted_rows, unseen_row
from small_study import in_turn, small_study

from interp.cli import main
from interp.errors import UsageError
from interp.figures import law, phase_diagram, survival
from interp.figures.cell_numbers import answer, find_question, questions, words
from interp.figures.law_figure import fit_law, law_axes, law_figure, law_picture
from interp.figures.phase_map import OUTCOME_COLOURS, phase_figure
from interp.figures.study_table import StudyAxis, StudyTable
from interp.figures.survival_figure import MOST_CURVES, survival_figure, survival_of
from interp.reporting.curve_thinning import thinned
from interp.studies.comparing import log_rank
from interp.studies.durations import FEW, NotBounded
from interp.studies.law_fit import Law
from interp.studies.study_cells import cell
from interp.studies.survival import kaplan_meier
from interp.studies.timed import timed

AXES: dict[str, list[Any]] = {"optimizer.weight_decay": [0.3, 1.0, 4.0], "split.fraction": [0.3, 0.4, 0.5]}


def table(axes: dict[str, list[Any]] = AXES, *, seeds: int = 10, rows: list[dict[str, Any]] | None = None) -> StudyTable:
    return StudyTable.of("planted", [tuple(field.split("+")) for field in axes], rows or planted_rows(axes, seeds=seeds))


def ask(name: str, of: StudyTable) -> Any:
    return find_question(name, of.rows)


# ---- What is asked of cells ----


def test_a_median_counts_the_runs_that_were_not_seen_to_grok() -> None:
    rows = [planted_row({}, seed, grokked=step, name=str(seed)) for seed, step in enumerate((500, 900, 99_999, 99_999))]
    known = table({}, rows=rows)
    half = answer(rows, ask("grokked", known))
    assert (half.value, half.n, half.events, half.few) == (900, 4, 2, True)
    assert half.value == cell({}, rows).median.value
    beyond = answer([*rows, planted_row({}, 5, grokked=None, name="5")], ask("grokked", known))
    assert beyond.value is None
    assert words(beyond, ask("grokked", known)).startswith("not reached, 2 of 5 grokked; 5 runs, fewer than 10")
    two = answer(
        [planted_row({}, seed, grokked=step, name=str(seed)) for seed, step in enumerate((500, 900))], ask("grokked", known)
    )
    assert words(two, ask("grokked", known)) == "500 (not bounded), 2 of 2 grokked; 2 runs, fewer than 10"
    six = answer([*rows, *(planted_row({}, seed, grokked=None, name=str(seed)) for seed in (5, 6))], ask("grokked", known))
    assert words(six, ask("grokked", known)).startswith("not reached (500 to beyond), 2 of 6 grokked")


def test_a_delay_that_was_not_seen_is_longer_than_from_memorized_to_the_last_step() -> None:
    rows = [planted_row({}, seed, grokked=step, name=str(seed)) for seed, step in enumerate((500, 99_999))]
    rows.append(planted_row({}, 3, grokked=None, name="3", memorized=None, delay=None))  # it never began to wait
    runs = timed(rows, "delay")
    assert runs is not None
    assert list(zip(runs.time.tolist(), runs.event.tolist(), strict=True)) == [(350, True), (BUDGET - 150, False)]
    earlier = planted_row({}, 4, grokked=100, name="4")  # it generalized before it memorized
    assert timed([earlier], "delay").time.tolist() == [0]
    assert timed([unseen_row({}, 0, name="0")], "grokked") is None


def test_runs_that_were_not_watched_to_their_end_count_nowhere() -> None:
    rows = [planted_row({}, seed, grokked=500, name=str(seed)) for seed in range(3)]
    known = table({}, rows=rows)
    broken = [planted_row({}, 4 + i, grokked=None, name=state, status=state) for i, state in enumerate(("stopped", "unfinished"))]
    more = [*rows, unseen_row({}, 3, name="3"), *broken, unseen_row({}, 6, name="6", status="failed")]
    for asked in questions(rows):
        assert answer(rows, asked) == answer(more, asked), asked.name
    assert answer(more[3:], ask("share_grokked", known)).n == 0
    assert words(answer(more[3:], ask("grokked", known)), ask("grokked", known)) == "no finished run"


def test_first_crossings_and_times_for_good_are_asked_apart() -> None:
    rows = [planted_row({}, seed, grokked=800 + seed, name=str(seed)) for seed in range(10)]
    known = table({}, rows=rows)
    good, first = (answer(rows, ask(name, known)).value for name in ("grokked", "grokked_first"))
    assert (good, first) == (804, 704)


def test_shares_outcomes_and_last_measurements() -> None:
    rows = [planted_row({}, seed, grokked=500 if seed < 7 else None, name=str(seed), extra=float(seed)) for seed in range(10)]
    known = table({}, rows=rows)
    share = answer(rows, ask("share-grokked", known))
    assert (share.value, round(share.low, 4), round(share.high, 4)) == (0.7, 0.3475, 0.9333)  # of Clopper and Pearson's tables
    assert answer(rows, ask("outcome", known)).counts == {"grokking": 7, "memorization": 3}
    last = answer(rows, ask("extra", known))
    assert (last.value, last.low, last.high) == (4.5, 0, 9)
    with pytest.raises(UsageError, match="did you mean 'share_grokked'"):
        ask("share_groked", known)


# ---- Axes ----


def test_axes_are_in_order_and_values_that_came_later_have_their_place() -> None:
    rows = planted_rows({"optimizer.weight_decay": [2.0, 0.5, 1.0], "model.activation": ["relu", "gelu"]}, seeds=2)
    known = table({"optimizer.weight_decay": [], "model.activation": []}, rows=rows)
    assert [axis.texts for axis in known.axes] == [("0.5", "1", "2"), ("relu", "gelu")]
    assert known.axes[1].numbers is None
    assert known.find("weight-decay") == known.find("optimizer.weight_decay") == 0
    assert {row["optimizer.weight_decay"] for row in known.at({0: 2, 1: 0})} == {2.0}
    assert known.told({0: 0, 1: 1}) == "weight decay 0.5, activation gelu"


def test_fields_that_move_together_are_one_axis() -> None:
    pairs = [(59, 0.4), (97, 0.3)]
    rows = [planted_row({"task.p": p, "split.fraction": f}, s, grokked=500, name=f"{p}{s}") for p, f in pairs for s in range(2)]
    known = table({"task.p+split.fraction": []}, rows=rows)
    assert known.axes[0].texts == ("59 / 0.4", "97 / 0.3")
    assert known.fixed({"fraction": (97, 0.3)}) == {0: 1}
    assert len(known.at({0: 1})) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fraktion": 0.4}, "unknown axis 'fraktion'"),
        ({"fraction": 0.7}, r"unknown value of split\.fraction '0.7'"),
        ({"weight_decay": 1}, "leave it out"),
    ],
)
def test_held_values_that_are_none(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table().fixed(given, 0)


# ---- Maps ----


def test_a_map_has_the_medians_and_what_is_not_reached_is_not_on_its_scale() -> None:
    known = table()
    asked = ask("grokked", known)
    drawn = phase_figure(known, asked, x=0, y=1)
    values, beyond = (np.array(trace.z, dtype=float) for trace in drawn.data)
    assert values.shape == (3, 3)
    for i, j in np.ndindex(3, 3):
        told = answer(known.at({0: i, 1: j}), asked)
        if told.value is None:
            assert np.isnan(values[j, i])
            assert beyond[j, i] == 1
            assert (drawn.data[0].text[j][i], drawn.data[1].text[j][i]) == ("", "not reached")
        else:
            assert 10 ** values[j, i] == pytest.approx(told.value)
            assert np.isnan(beyond[j, i])
            assert (drawn.data[0].text[j][i], drawn.data[1].text[j][i]) == (f"{told.value:,.0f}", "")
        assert words(told, asked) in drawn.data[0].customdata[j][i]
    assert np.isfinite(beyond).sum() == 1
    assert "#" not in drawn.data[1].colorscale[0][1]  # a grey that the scale does not have
    assert list(drawn.layout.xaxis.ticktext) == ["0.3", "1", "4"]


def test_few_seeds_are_said_in_every_cell() -> None:
    few, many = (phase_figure(k, ask("grokked", k), x=0, y=1) for k in (table(seeds=3), table(seeds=10)))
    written = [[text for trace in drawn.data for row in trace.text for text in row if text] for drawn in (few, many)]
    assert [len(texts) for texts in written] == [9, 9]
    assert all("n = 3" in text for text in written[0])
    assert not any("n =" in text for text in written[1])


def test_outcomes_are_colours_without_an_order() -> None:
    known = table()
    drawn = phase_figure(known, ask("outcome", known), x=0, y=1)
    names = list(OUTCOME_COLOURS)
    assert {names[int(value)] for row in drawn.data[0].z for value in row} == {"grokking", "memorization", "mixed"}
    bars = phase_figure(known, ask("outcome", known), x=0)
    assert np.sum([bar.y for bar in bars.data], axis=0) == pytest.approx([1, 1, 1])


def test_one_axis_has_points_with_intervals_and_arrows_where_nothing_is_reached() -> None:
    known = table()
    drawn = phase_figure(known, ask("grokked", known), x=0)  # at the first fraction
    points, beyond = drawn.data
    assert list(points.x) == [1.0, 4.0]
    told = answer(known.at({0: 1, 1: 0}), ask("grokked", known))
    assert points.y[0] == told.value
    assert points.y[0] - points.error_y.arrayminus[0] == told.low
    assert list(beyond.x) == [0.3]
    assert beyond.yaxis == "y2"
    assert drawn.layout.xaxis.type == "log"


def test_an_axis_of_texts_and_a_constant_one_can_be_drawn() -> None:
    axes = {"model.activation": ["relu", "gelu"], "split.fraction": [0.4]}
    known = table(axes)
    for y in (None, 1):
        drawn = phase_figure(known, ask("grokked", known), x=0, y=y)
        assert list(drawn.layout.xaxis.ticktext) == ["relu", "gelu"]
    assert phase_figure(known, ask("test_loss", known), x=1).data[0].y


def test_no_finished_run_and_the_same_axis_twice_are_refused() -> None:
    known = table()
    with pytest.raises(UsageError, match=r"given optimizer\.weight_decay twice"):
        phase_figure(known, ask("grokked", known), x=0, y=0)
    rows = [unseen_row({"split.fraction": f}, 0, name=str(f)) for f in (0.3, 0.4)]
    empty = table({"split.fraction": []}, rows=rows)
    with pytest.raises(UsageError, match="no run of study planted is finished"):
        phase_figure(empty, ask("grokked", empty), x=0)
    with pytest.raises(UsageError, match="given no run"):
        StudyTable.of("none", [], [])


# ---- Survival ----


def test_survival_curves_are_those_of_kaplan_and_meier_with_a_tick_for_every_censored_run() -> None:
    known = table()
    found = survival_of(known, "grokked", by=0, fixed={1: 0})
    drawn = survival_figure(found, ask("grokked", known), axis="weight decay")
    lines = [trace for trace in drawn.data if trace.name]
    assert len(lines) == 3
    for i, line in enumerate(lines):
        runs = timed(known.at({0: i, 1: 0}), "grokked")
        curve = kaplan_meier(runs)
        assert np.asarray(line.x)[1:-1].tolist() == curve.time.tolist()
        assert np.asarray(line.y)[1:-1] == pytest.approx(curve.survival)
        marks = [t for t in drawn.data if t.legendgroup == found.groups[i].label and t.mode == "markers"]
        quartiles = [(x, 1 - y) for t in marks if t.marker.symbol == "diamond" for x, y in zip(t.x, t.y, strict=True)]
        expected = [(curve.quantile(share).value, share) for share in (0.25, 0.5, 0.75)]
        assert quartiles == [one for one in expected if one[0] is not None]
        ticks = [t for t in marks if t.marker.symbol == "line-ns-open"]
        assert sum(len(t.x) for t in ticks) == int((~runs.event).sum())
    assert found.test == log_rank([timed(known.at({0: i, 1: 0}), "grokked") for i in range(3)])
    assert found.within.method == "log-rank within strata"
    assert len([trace for trace in drawn.data if trace.fill == "tonexty"]) == 3


def test_of_many_values_some_are_drawn_and_all_are_tested() -> None:
    axes = {"optimizer.weight_decay": np.linspace(0.5, 4, 20).tolist()}
    found = survival_of(table(axes), "grokked", by=0, fixed={})
    assert len(found.groups) == MOST_CURVES
    assert found.left_out == 8
    assert len(found.test.n) == 20


def test_hundreds_of_groups_are_not_compared() -> None:
    found = survival_of(table({"optimizer.weight_decay": np.linspace(0.5, 4, 101).tolist()}, seeds=1), "grokked", by=0, fixed={})
    assert isinstance(found.test, NotBounded)
    assert "there are 101, and at most 100 are compared" in str(found.test)


def test_one_group_cannot_be_compared_and_none_cannot_be_drawn() -> None:
    rows = [planted_row({"split.fraction": 0.4}, s, grokked=500, name=str(s)) for s in range(3)]
    known = table({"split.fraction": []}, rows=[*rows, unseen_row({"split.fraction": 0.5}, 0, name="9")])
    found = survival_of(known, "grokked", by=0, fixed={})
    assert isinstance(found.test, NotBounded)
    assert found.within is None
    empty = replace(found, groups=())
    with pytest.raises(UsageError, match="no run is finished"):
        survival_figure(empty, ask("grokked", known), axis="fraction")


# ---- Laws ----


def test_a_planted_law_is_recovered_and_drawn_with_its_residuals() -> None:
    known = table({"optimizer.weight_decay": [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0]}, seeds=20)
    found = fit_law(known, "grokked", along=0, fixed={}, resamples=200)
    assert isinstance(found.law, Law)
    b = found.law.parameters["b"]
    assert b.low < 1 < b.high
    assert len(found.x) == 140
    drawn = law_figure(found, ask("grokked", known), axis="weight decay")
    lines = [trace for trace in drawn.data if trace.mode == "lines"]
    assert lines[0].y == pytest.approx(found.law.time(lines[0].x))
    below = [trace for trace in drawn.data if trace.xaxis == "x2" and trace.mode == "markers"]
    assert sum(len(trace.x) for trace in below) == 140
    assert np.concatenate([t.y for t in below]).sum() == pytest.approx(found.law.residual.sum())


def test_a_law_that_declines_gives_its_reason_and_the_runs_are_drawn() -> None:
    known = table({"optimizer.weight_decay": [1.0, 4.0]})
    found = fit_law(known, "grokked", along=0, fixed={}, resamples=200)
    assert isinstance(found.law, NotBounded)
    assert "events were seen at 2 weight decays, and 3 are needed" in str(found.law)
    drawn = law_figure(found, ask("grokked", known), axis="weight decay")
    assert {trace.mode for trace in drawn.data} == {"markers"}


def test_laws_are_asked_only_along_axes_that_have_one() -> None:
    axes = {"optimizer.weight_decay": [1.0, 4.0], "model.activation": ["relu", "gelu"], "split.fraction": [0.4]}
    known = table(axes)
    assert law_axes(known) == [0]
    with_zero = table({"optimizer.weight_decay": [0.0, 1.0, 2.0]}, rows=[
        planted_row({"optimizer.weight_decay": w}, 0, grokked=500, name=str(w)) for w in (0.0, 1.0, 2.0)])  # fmt: skip
    assert "a value is 0" in str(fit_law(with_zero, "grokked", along=0, fixed={}).law)


# ---- Thinned curves ----


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=60), st.floats(1e-3, 2))
def test_no_point_that_is_left_out_is_further_from_the_line_than_the_tolerance(values: list[float], tolerance: float) -> None:
    steps, curve = np.cumsum(np.arange(1, len(values) + 1)), np.array(values)
    kept = thinned(steps, curve, tolerance=tolerance)
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert (np.diff(kept) > 0).all()
    drawn = np.interp(steps, steps[kept], curve[kept])
    assert np.abs(drawn - curve).max() <= tolerance * (1 + 1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_slow_bend_keeps_points_along_it(sign: int) -> None:
    steps = np.arange(400)
    curve = sign * (steps / 400.0) ** 2
    kept = thinned(steps, curve, tolerance=1 / 400)
    assert np.abs(np.interp(steps, steps[kept], curve[kept]) - curve).max() <= 1 / 400 * (1 + 1e-9)
    assert 5 < len(kept) < 20


def test_a_straight_line_needs_two_points_and_a_jump_keeps_its_corners() -> None:
    assert thinned(np.arange(1000), np.linspace(0, 1, 1000), tolerance=1e-6).tolist() == [0, 999]
    jump = (np.arange(1000) >= 500).astype(float)
    assert thinned(np.arange(1000), jump, tolerance=0.01).tolist() == [0, 499, 500, 999]


# ---- From files ----


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studies")
    small_study(root).run(executor=in_turn, progress=False)
    return root


def test_figures_of_a_study_on_disk(folder: Path) -> None:
    drawn = phase_diagram(folder / "small", x="weight_decay", y="fraction", of="test_loss", theme="dark")
    assert np.array(drawn.data[0].z).shape == (2, 2)
    assert drawn.layout.paper_bgcolor == "#15191e"
    assert drawn.data[1].textfont.color == drawn.layout.template.layout.font.color  # read on both papers
    assert phase_diagram(folder / "small", of="test_loss", fixed={"fraction": 0.8}).data[0].y
    assert survival(folder / "small", by="fraction", of="memorized").data
    with pytest.raises(UsageError, match="not bounded"):
        law(folder / "small", along="fraction")
    with pytest.raises(UsageError, match="unknown axis 'lr'"):
        phase_diagram(folder / "small", x="lr")
    with pytest.raises(UsageError, match="unknown time 'test_loss'"):
        survival(folder / "small", of="test_loss")


def test_the_command_writes_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "x.json"
    names = ["phase-diagram", "--x", "fraction", "--of", "train_loss", "--at", "weight-decay=1.0"]
    where = ["-o", str(out), "--root", str(folder)]
    with pytest.raises(SystemExit, match="0"):
        main(["study", "figure", "small", *names, *where])
    assert json.loads(out.read_text())["data"][0]["y"]
    with pytest.raises(SystemExit, match="2"):
        main(["study", "figure", "small", "law", *where, "--y", "fraction"])
    assert "--y: given for law" in capsys.readouterr().err


@pytest.mark.parametrize("seeds", [5, 10])
def test_pictures_of_few_runs_say_so(seeds: int) -> None:
    """In the picture itself, not only where a pointer is."""
    axes = {"optimizer.weight_decay": [0.5, 1.0, 2.0], "split.fraction": [0.4, 0.5]}
    known = table(axes, seeds=seeds)
    said = f"(all cells: fewer than {FEW} runs)"
    for of in ("grokked", "share_grokked", "outcome"):
        for y in (None, 1):
            drawn = phase_figure(known, ask(of, known), x=0, y=y)
            assert (said in drawn.layout.title.text) == (seeds < FEW)
    survival = survival_figure(survival_of(known, "grokked", by=0, fixed={1: 0}), ask("grokked", known), axis="weight decay")
    assert all((f"fewer than {FEW}" in trace.name) == (seeds < FEW) for trace in survival.data if trace.name)
    traces, _ = law_picture(
        fit_law(known, "grokked", along=0, fixed={1: 0}, resamples=100), ask("grokked", known), axis="weight decay"
    )
    (line,) = (trace["name"] for trace in traces if "law" in trace.get("name", ""))
    assert (f"fewer than {FEW}" in line) == (seeds < FEW)


@pytest.mark.parametrize(
    ("values", "stem"),
    [
        (["none", "memorized:norm=0.6", "memorized:norm=0.65"], "memorized:norm="),  # not into the numbers
        (["100:ablate.logits=5", "100:ablate.embedding=5"], "100:ablate."),
        (["x=none", "x=1"], ""),  # one would be called none
        (["a:", "a:b"], ""),  # one would be called nothing
        (["none", "a:b"], ""),
        (["relu", "gelu"], ""),
        ([1.0, 2.0], ""),
    ],
)
def test_values_of_an_axis_are_told_apart_by_what_they_do_not_share(values: list[str | float], stem: str) -> None:
    axis = StudyAxis(("changes",), tuple((value,) for value in values))
    assert axis.stem == stem
    assert len(set(axis.ticks)) == len(values)
    assert axis.title == (f"changes: {stem}\u2026" if stem else "changes")
