"""Axes of a study's figures: values that are nearly alike, the cell that is asked for, what is written beside an axis."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from planted_study import planted_row, planted_rows
from small_study import in_turn, small_study

from interp.cli import main
from interp.errors import UsageError
from interp.figures import phase_diagram
from interp.figures.cell_numbers import find_question
from interp.figures.law_figure import Fitted, law_picture
from interp.figures.phase_map import phase_figure
from interp.figures.study_table import StudyTable
from interp.figures.survival_figure import survival_figure, survival_of
from interp.reporting.study_story import study_story
from interp.studies import open_study
from interp.studies.durations import NotBounded
from interp.studies.outcomes import rows as rows_of
from interp.studies.study_cells import cell_table
from interp.studies.timed import timed
from interp.studies.vary import read_place

NEAR = {"split.fraction": [0.612341, 0.612343, 0.75], "optimizer.weight_decay": [0.5, 1.0]}


def table(axes: dict[str, list[Any]] = NEAR, *, rows: list[dict[str, Any]] | None = None) -> StudyTable:
    return StudyTable.of("planted", [(field,) for field in axes], rows or planted_rows(axes, seeds=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studies")
    vary = {"optimizer.lr": [0.0123451, 0.0123459], "optimizer.weight_decay": [0.5, 1.0]}
    small_study(root, vary=vary, seeds=range(1)).run(executor=in_turn, progress=False)
    return root


# ---- Values that are nearly alike ----


def test_values_have_as_many_digits_as_tell_them_apart() -> None:
    known = table()
    assert known.axes[0].texts == ("0.612341", "0.612343", "0.75")
    assert known.axes[1].texts == ("0.5", "1")
    assert "fraction (0.612341, 0.612343, 0.75)" in str(study_story(known))
    together = StudyTable.of("x", [("task.p", "split.fraction")], [{"task.p": p, "split.fraction": 0.3} for p in (59, 97)])
    assert together.axes[0].texts == ("59 / 0.3", "97 / 0.3")  # what moves together need not differ by itself
    far = table({"split.fraction": [0.1, 0.1 + 1e-16]})
    assert len(set(far.axes[0].texts)) == 2


@pytest.mark.parametrize(
    ("given", "place"),
    [(0.612341, 0), (0.612343, 1), (0.75, 2), (0.612343 * (1 + 1e-15), 1), ("0.612343", 1)],
)
def test_the_value_that_is_held_is_the_one_that_is_given(given: object, place: int) -> None:
    assert table().fixed({"fraction": given}, 1) == {0: place}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fraction": 0.6123}, "unknown value of split.fraction '0.6123'"),
        ({"fraction": 0.7500001}, "unknown value of split.fraction '0.7500001'"),
        ({"fraction": 0.75, "split.fraction": 0.75}, "given fraction and split.fraction, which are one axis"),
    ],
)
def test_a_value_that_is_not_there_is_not_taken_for_its_neighbour(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table().fixed(given, 1)


def test_a_value_can_be_given_as_it_is_written() -> None:
    known = table({"optimizer.lr": [0.0123451, 0.5], "optimizer.batch_size": [None, 8]})
    assert known.axes[0].texts[0] == "0.01235"
    assert known.fixed({"lr": 0.01235, "batch_size": "none"}) == {0: 0, 1: 0}


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ((59, 1 / 3), 0),
        ([59, 1 / 3], 0),
        ((59, 0.3333), 0),
        ((59, (1 / 3) * (1 + 1e-15)), 0),
        ("59 / 0.3333", 0),
        ((59, 0.5), 1),
        ((1013, 1 / 3), 2),
        (("1,013", 0.3333), 2),
        ((1013, None), 3),
        ((1013, "none"), 3),
    ],
)
def test_a_value_of_fields_that_move_together_can_be_given_as_it_is_written(given: object, place: int) -> None:
    values = [(59, 1 / 3), (59, 0.5), (1013, 1 / 3), (1013, None)]
    known = StudyTable.of("x", [("task.p", "split.fraction")], [{"task.p": p, "split.fraction": at} for p, at in values])
    assert known.axes[0].texts == ("59 / 0.3333", "59 / 0.5", "1,013 / 0.3333", "1,013 / none")
    assert known.fixed({"task.p+split.fraction": given}) == {0: place}
    for text in ("59/0.3333", "59 / 0.3333"):
        assert known.fixed(dict([read_place(f"task.p+split.fraction={text}")])) == {0: 0}
    for other in ((59, 0.33331), (59, 0.333), (97, 1 / 3), (59,), (59, 0.5, 1), 59):
        with pytest.raises(UsageError, match=r"unknown value of task\.p\+split\.fraction"):
            known.fixed({"p": other})


def test_figures_of_values_that_are_nearly_alike(folder: Path) -> None:
    study = open_study(folder / "small")
    last = study.outcomes().groupby(["optimizer.lr", "optimizer.weight_decay"])["test_loss"].median()
    for rate in (0.0123451, 0.0123459):
        drawn = phase_diagram(study, x="weight_decay", of="test_loss", fixed={"lr": rate})
        assert list(drawn.data[0].y) == last[rate].tolist()
    outcomes = phase_diagram(study, x="lr", of="outcome")
    assert [list(bar.x) for bar in outcomes.data] == [["0.012345", "0.012346"]] * len(outcomes.data)
    assert [row["optimizer.lr"] for row in cell_table(study, rows_of(study))] == ["0.012345"] * 2 + ["0.012346"] * 2
    found = survival_of(table(), "grokked", by=0, fixed={1: 0})
    curves = survival_figure(found, find_question("grokked", table().rows), axis="fraction").data
    assert len({curve.legendgroup for curve in curves}) == 3


def test_ticks_of_a_law_are_told_apart() -> None:
    rows = planted_rows({"split.fraction": NEAR["split.fraction"]}, seeds=1)
    runs = timed(rows, "grokked")
    found = Fitted(NotBounded("law", "none"), runs.time * 0 + NEAR["split.fraction"], runs)
    _, layout = law_picture(found, find_question("grokked", rows), axis="fraction")
    assert layout["xaxis"]["ticktext"] == ["0.612341", "0.612343", "0.75"]


# ---- One value of each axis ----


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (["lr=0.0123451,0.0123459"], "unknown value of optimizer.lr '0.0123451,0.0123459'"),
        (["lr=0.01:0.02:2"], "unknown value of optimizer.lr '0.01:0.02:2'"),
        (["lr=0.0123451", "lr=0.0123459"], "given lr twice"),
        (["lr=0.0123451", "optimizer.lr=0.0123459"], "which are one axis"),
        (["lr"], "expected FIELD=VALUE"),
    ],
)
def test_one_value_is_held(folder: Path, at: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    held = [word for text in at for word in ("--at", text)]
    asked = ["study", "figure", "small", "phase-diagram", "--x", "weight-decay", *held, "--root", str(folder)]
    with pytest.raises(SystemExit, match="2"):
        main([*asked, "-o", str(folder / "x.json")])
    assert message in capsys.readouterr().err
    assert not (folder / "x.json").exists()


# ---- What is written beside an axis ----


def test_outcomes_over_one_axis_say_which_they_are() -> None:
    rows = [planted_row({"split.fraction": at}, seed, grokked=None, name=f"{at}{seed}") for at in (0.3, 0.4) for seed in range(2)]
    drawn = phase_figure(table({"split.fraction": []}, rows=rows), find_question("outcome", rows), x=0)
    assert [bar.name for bar in drawn.data] == ["memorization"]
    assert drawn.layout.showlegend
    assert drawn.layout.yaxis.title.text == "share of runs"


@pytest.mark.parametrize("grokked", [None, 900])
def test_where_nothing_is_reached_there_is_no_scale(grokked: int | None) -> None:
    rows = [planted_row({"split.fraction": at}, 0, grokked=grokked, name=str(at)) for at in (0.3, 0.4)]
    drawn = phase_figure(table({"split.fraction": []}, rows=rows), find_question("grokked", rows), x=0)
    assert drawn.layout.yaxis.showticklabels is (grokked is not None)


def test_many_values_have_ticks_and_words_where_these_have_room() -> None:
    axes = {"split.fraction": [round(0.1 + 0.01 * i, 2) for i in range(61)]}
    known = table(axes, rows=planted_rows(axes, seeds=1, slow=1000))
    drawn = phase_figure(known, find_question("grokked", known.rows), x=0)
    values = drawn.layout.xaxis.tickvals
    assert 5 < len(values) <= 12
    assert all(other / one > 1.15 for one, other in pairwise(values))
    words = [text for text in drawn.data[1].text if text]
    assert len(drawn.data[1].x) == 8
    assert 1 <= len(words) <= 3
