"""Axes of any values on a study's page, in a real browser: what has no number, is nearly alike, is long, or are many."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from planted_study import planted_row, planted_rows, planted_source
from playwright.sync_api import Browser
from visiting import Visit, until, visit

from interp.reporting.study_page import StudySource, study_page

pytestmark = pytest.mark.browser

LONG = "A very long name of a task that goes on and on, modulo 113"
HEADINGS = "[...document.querySelectorAll('#phase-map .across th')].map((head) => [head.textContent, head.title])"
ROOM = "[...document.querySelectorAll('#phase-map .across th')].map((head) => [head.scrollWidth, head.clientWidth])"
SECOND = "[...document.querySelectorAll('#runs tbody tr')].map((row) => row.cells[1].textContent)"
FACTS = "[...document.querySelectorAll('#run-facts div')].map((e) => [...e.children].map((c) => c.textContent))"
# What stands beside an axis of a figure, in the order of the axis, and from where to where it reaches.
TICKS = "([id, axis]) => [...document.querySelectorAll(`#${id} .${axis}tick text`)].map((text) => text.textContent)"
EDGES = """(id) => [...document.querySelectorAll(`#${id} .xtick text`)].map((text) => text.getBoundingClientRect())
    .map(({ left, right }) => [left, right])"""
LEGEND = """(id) => [document.getElementById(id).getBoundingClientRect().right,
    ...[...document.querySelectorAll(`#${id} .legendtext`)].map((text) => text.getBoundingClientRect().right)]"""
ENDS = "(box) => document.querySelector(`${box} .map, #panel-phase ${box}`).getBoundingClientRect().right"
HEIGHT = "id => +document.querySelector(`#${id} .nsewdrag`).getAttribute('height')"


def mixed() -> StudySource:
    """A batch size that may be none, and a choice of yes or no."""
    rows = [
        planted_row(
            {"optimizer.batch_size": size, "optimizer.norm_constraint": on},
            20_260_101 + seed,
            grokked=700 + 10 * seed,
            name=f"{size}-{on}-{seed}",
            test_loss=2.29e-8,
        )
        for size in (None, 2048, 4)
        for on in (True, False)
        for seed in range(3)
    ]
    return planted_source({"optimizer.batch_size": [], "optimizer.norm_constraint": []}, rows=rows)


Opening = Callable[..., Any]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opening]:
    visits: list[Visit] = []

    def opening(source: StudySource, *, width: int = 1280) -> Any:
        file = tmp_path / "x.html"
        file.write_text(study_page(source).html, encoding="utf-8")
        visits.append(visit(browser, file, width=width))
        return visits[-1].page

    yield opening
    for visited in visits:
        assert visited.said == []
        visited.leave()


def picked(page: Any, where: str, name: str, value: str) -> None:
    page.select_option(f'#{where} select[data-pick="{name}"]', value)
    page.evaluate("shown.redraw()")


# ---- Values of any kind ----


def test_what_has_no_number_is_a_value_everywhere(opened: Opening, tmp_path: Path) -> None:
    page = opened(mixed())
    assert page.evaluate("document.querySelector('#facts-of-runs').data.reduce((sum, { x }) => sum + x.length, 0)") == 18
    assert page.evaluate(TICKS, ["facts-of-runs", "x"]) == ["none", "2,048", "4"]
    for text, count in (("none", 6), ("yes", 9), ("2,048", 6)):
        page.fill("#choose-runs input[type=search]", text)
        until(page, "text => document.querySelector('#runs-said').textContent.startsWith(text)", f"{count} of 18 runs")
    page.fill("#choose-runs input[type=search]", "")
    assert page.text_content("#runs tbody tr >> nth=0").startswith("None-True-0noneyes20,260,101")
    facts = page.evaluate(FACTS)
    assert ["batch size", "none"] in facts
    assert ["norm constraint", "yes"] in facts
    assert ["test loss", "2.29e-8"] in facts
    page.get_by_role("button", name="batch size", exact=True).click()
    assert page.evaluate(SECOND) == ["4"] * 6 + ["2,048"] * 6 + ["none"] * 6
    with page.expect_download() as waiting:
        page.click("#panel-runs [data-tool=csv]")
    waiting.value.save_as(tmp_path / "x.csv")
    found = list(csv.DictReader((tmp_path / "x.csv").open(newline="", encoding="utf-8")))
    assert [row["optimizer.batch_size"] for row in found] == ["4"] * 6 + ["2048"] * 6 + ["none"] * 6
    assert {row["optimizer.norm_constraint"] for row in found} == {"yes", "no"}


def test_values_that_are_nearly_alike_are_told_apart(opened: Opening) -> None:
    page = opened(planted_source({"split.fraction": [0.612341, 0.612343, 0.75]}, seeds=2))
    texts = ["0.612341", "0.612343", "0.75"]
    assert page.evaluate(SECOND) == [text for text in texts for _ in range(2)]
    picked(page, "choose-question", "shown", "outcome")
    assert page.evaluate("document.querySelector('#points').data[0].x") == texts


@pytest.mark.parametrize(("value", "text"), [
    (20_260_101, "20,260,101"), (1_000_000, "1,000,000"), (2.29e-8, "2.29e-8"), (2.294271e-8, "2.2943e-8"), (0.5, "0.5"),
    (1_234_567.5, "1.2346e+6"), (0, "0"),
])  # fmt: skip
def test_numbers_have_no_digits_that_are_not_theirs(opened: Opening, value: float, text: str) -> None:
    page = opened(planted_source({}, seeds=1))
    assert page.evaluate("value => readable(value)", value) == text


@pytest.mark.parametrize("question", ["grokked", "share_grokked"])
def test_small_curves_say_their_own_range(opened: Opening, question: str) -> None:
    page = opened(planted_source({"split.fraction": [0.3, 0.4]}, seeds=2))
    picked(page, "choose-question", "shown", question)
    picked(page, "choose-multiple", "curve", "2")
    assert page.text_content("#multiples .key") == "Across each: steps 0 to 12,000; up: nats, 1.24e-11 to 4 (logarithmic)."


# ---- Long values ----


def test_a_saved_map_has_its_whole_title_and_every_value(opened: Opening, tmp_path: Path) -> None:
    axes = {"task": [LONG, "S5", "D60"], "split.fraction": [0.3, 0.4], "optimizer.weight_decay": [0.3, 1.0]}
    page = opened(planted_source(axes, seeds=2, name="a-study-" * 12 + "end"))
    picked(page, "choices", "across", "0")
    picked(page, "choices", "up", "1")
    picked(page, "choose-question", "shown", "delay")
    with page.expect_download() as waiting:
        page.click("#panel-phase [data-tool=svg]")
    waiting.value.save_as(tmp_path / "map.svg")
    drawn = (tmp_path / "map.svg").read_text(encoding="utf-8")
    width = float(re.search(r'width="(\d+)"', drawn)[1])
    title = re.search(r'class="gtitle".*?</text>', drawn, re.DOTALL)[0]
    lines = re.findall(r"<tspan[^>]*>([^<]*)</tspan>", title)
    assert "weight decay 0.3" in lines
    assert max(map(len, lines)) * 7.2 < width
    assert "end" in "".join(lines)
    for text in ("A very long", "S5", "D60"):
        assert f">{text}<" in drawn


@pytest.mark.parametrize("width", [380, 1280])
def test_names_across_stand_each_in_its_cell(opened: Opening, width: int) -> None:
    page = opened(planted_source({"task": [LONG, "S5", "D60"], "split.fraction": [0.3, 0.4]}, seeds=2), width=width)
    assert page.evaluate(HEADINGS) == [[text, text] for text in (LONG, "S5", "D60")]
    assert all(text <= cell for text, cell in page.evaluate(ROOM))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picked(page, "choices", "across", "1")
    picked(page, "choices", "up", "0")
    heads = page.evaluate("[...document.querySelectorAll('#phase-map tr th[scope=row]')].map((head) => head.title)")
    assert heads == ["D60", "S5", LONG]
    assert page.evaluate(ENDS, "#phase-map") <= page.evaluate(ENDS, ".view")  # the cells are where they can be seen


def test_long_names_in_a_legend_are_whole_in_a_narrow_window(opened: Opening) -> None:
    page = opened(planted_source({"task": [LONG, "S5", "D60"]}, seeds=2), width=380)
    for figure in ("survival", "facts-of-runs"):
        right, *ends = page.evaluate(LEGEND, figure)
        assert len(ends) == 3
        assert max(ends) <= right
        assert "modulo 113" in page.text_content(f"#{figure} .legend")
        assert page.evaluate(HEIGHT, figure) > 180
    assert "modulo 113" in "".join(page.evaluate(TICKS, ["facts-of-runs", "x"]))


# ---- Ticks ----


@pytest.mark.parametrize("width", [380, 1280])
def test_many_values_have_ticks_and_words_where_these_have_room(opened: Opening, width: int) -> None:
    axes = {"split.fraction": [round(0.1 + 0.01 * i, 2) for i in range(61)]}
    page = opened(planted_source(axes, rows=planted_rows(axes, seeds=1, slow=1000)), width=width)
    for figure in ("points", "facts-of-runs"):
        edges = page.evaluate(EDGES, figure)
        assert 3 < len(edges) <= 12
        assert all(one[1] < other[0] for one, other in pairwise(edges))
    words = page.evaluate("document.querySelector('#points').data[1].text")
    assert len(words) == 8
    assert 1 <= len([word for word in words if word]) <= 4


def test_facts_are_ticked_at_the_values_of_an_axis_and_times_at_whole_steps(opened: Opening) -> None:
    field = "optimizer.weight_decay"
    rows = [planted_row({field: at}, seed, grokked=None, name=f"{at}{seed}") for at in (0.5, 2.0, 4.0) for seed in range(3)]
    page = opened(planted_source({field: []}, rows=[{**row, "last_step": 200, "memorized": 10 + row["seed"]} for row in rows]))
    assert page.evaluate(TICKS, ["facts-of-runs", "x"]) == ["0.5", "2", "4"]
    assert page.evaluate(TICKS, ["facts-of-runs", "y"]) == ["199", "200", "201"]
    picked(page, "choose-facts", "across", "memorized")
    for is_log in (True, False):
        page.set_checked("#choose-facts input[type=checkbox] >> nth=0", is_log)
        page.evaluate("shown.redraw()")
        ticks = page.evaluate(TICKS, ["facts-of-runs", "x"])
        assert {"10", "11", "12"} <= set(ticks)
        assert len(set(ticks)) == len(ticks)
        assert all(tick.isdecimal() for tick in ticks)


def test_a_logarithmic_fact_is_ticked_in_whole_numbers(opened: Opening) -> None:
    page = opened(planted_source({"optimizer.weight_decay": [0.5, 2.0, 4.0]}, seeds=4))
    page.check("#choose-facts input[type=checkbox] >> nth=1")
    page.evaluate("shown.redraw()")
    assert {"1,000", "2,000", "5,000"} <= set(page.evaluate(TICKS, ["facts-of-runs", "y"]))


# ---- The keyboard ----


def test_the_keyboard_follows_a_run_to_its_cell(opened: Opening) -> None:
    page = opened(planted_source({"split.fraction": [0.3, 0.4]}, seeds=2))
    page.focus("#runs tbody tr:last-child button")
    page.keyboard.press("Enter")
    until(page, "shown.run === 3")
    assert page.evaluate("document.activeElement.id") == "panel-cell"
