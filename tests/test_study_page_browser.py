"""The page of a study in a real browser: numbers are Python's, everything works by keyboard, nothing is asked of a network."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from page_parts import HOSTILE
from planted_study import planted_row, planted_rows, planted_source, unseen_row
from playwright.sync_api import Browser
from test_report_accessibility import AXE, CONTROLS, FAINT, FIGURES, STOP, UNFOLD
from visiting import Visit, until, visit

from interp.figures.cell_numbers import answer, find_question, words
from interp.figures.survival_figure import spanned, survival_of
from interp.reporting.study_page import StudySource, study_page

pytestmark = pytest.mark.browser

AXES: dict[str, list[Any]] = {
    "optimizer.weight_decay": [0.3, 1.0, 2.0, 4.0], "split.fraction": [0.3, 0.4, 0.5], "model.activation": ["relu", "gelu"],
}  # fmt: skip

# What is drawn of the chosen cell: run, axis, steps, values.
DRAWN = """() => document.querySelector('#curves').data.map(
    (trace) => [shown.column('run').values[trace.meta.row], trace.yaxis, [...trace.x], [...trace.y]])"""
# The column by which the runs are sorted.
SORTED = """() => {
    const i = [...document.querySelectorAll('#runs thead th')].findIndex((head) => head.hasAttribute('aria-sort'));
    return [...document.querySelectorAll('#runs tbody tr')].map((row) => row.cells[i].textContent);
}"""


def source() -> StudySource:
    rows = planted_rows(AXES, seeds=4)
    rows[0] = {**rows[0], "status": "stopped", "why": "non-finite"}
    rows[-1] = unseen_row({field: values[-1] for field, values in AXES.items()}, 3, name="lost", status="failed")
    return planted_source(AXES, rows=rows)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "study.html"
    file.write_text(study_page(source()).html, encoding="utf-8")
    return file


@pytest.fixture
def seen(browser: Browser, path: Path) -> Iterator[Visit]:
    visited = visit(browser, path)
    yield visited
    assert [text for text in visited.said if not text.startswith("log")] == []
    assert [url for url in visited.asked if not url.startswith(("file:", "blob:", "data:"))] == []
    visited.leave()


def pick(page: Any, where: str, name: str, value: str) -> None:
    page.select_option(f'#{where} select[data-pick="{name}"]', value)
    until(
        page,
        "([where, name, value]) => document.querySelector(`#${where} select[data-pick='${name}']`).value === value",
        [where, name, value],
    )
    page.evaluate("shown.redraw()")


def labels(page: Any, where: str = "phase-map") -> list[str]:
    return page.evaluate(f"[...document.querySelectorAll('#{where} .place')].map((e) => e.getAttribute('aria-label'))")


def test_the_map_says_what_python_computed(seen: Visit) -> None:
    table = source().table
    asked = find_question("grokked", table.rows)
    shown = labels(seen.page)
    assert len(shown) == 12
    for n, label in enumerate(shown):
        j, i = 2 - n // 4, n % 4  # the largest fraction on top
        told = answer(table.at({0: i, 1: j, 2: 0}), asked)
        assert label.startswith(f"weight decay {table.axes[0].texts[i]}, fraction {table.axes[1].texts[j]}, activation relu\n")
        value = "not reached" if told.value is None else f"{told.value:,.0f}"
        assert f"grokking (for good): {value}" in label
        assert f"seen in {told.events} of {told.n}" in label
        assert f"From {told.n} runs, fewer than 10." in label
        assert words(told, asked)


def test_what_is_not_reached_has_no_colour_of_the_scale(seen: Visit) -> None:
    found = seen.page.evaluate(
        "[...document.querySelectorAll('#phase-map .place')].map((e) => [e.textContent, e.className, e.style.backgroundColor])"
    )
    beyond = [one for one in found if "not reached" in one[0]]
    assert beyond
    assert all("beyond" in name and not colour for _, name, colour in beyond)
    assert all(colour for text, _, colour in found if "not reached" not in text)


def test_first_crossing_another_question_and_held_values_are_followed(seen: Visit) -> None:
    table = source().table
    pick(seen.page, "choices", "99 % reached", "_first")
    assert all("(first crossing)" in label for label in labels(seen.page))
    pick(seen.page, "choices", "activation held at", "1")
    assert all("activation gelu" in label for label in labels(seen.page))
    pick(seen.page, "choose-question", "shown", "share_grokked")
    told = answer(table.at({0: 0, 1: 2, 2: 1}), find_question("share_grokked_first", table.rows))
    assert f"{100 * told.value:.0f} %" in labels(seen.page)[0]
    pick(seen.page, "choose-question", "shown", "outcome")
    assert any("4 grokking" in label for label in labels(seen.page))
    pick(seen.page, "choices", "up", "2")
    assert len(labels(seen.page)) == 8
    pick(seen.page, "choices", "across", "2")  # what was across goes up
    assert seen.page.evaluate("[shown.x, shown.y]") == [2, 0]
    pick(seen.page, "choices", "up", "-1")
    assert len(labels(seen.page)) == 2
    assert seen.page.evaluate("document.querySelector('#points').data.length") > 0


def test_cells_are_chosen_by_keyboard_and_show_their_runs(seen: Visit) -> None:
    page = seen.page
    page.focus("#phase-map .place[tabindex='0']")
    for key in ("Home", "ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("weight decay 1, fraction 0.5")
    assert page.evaluate("!document.querySelector('#tip').hidden")
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('#tip').hidden")
    page.keyboard.press("Enter")
    until(
        page,
        "document.querySelector('#cell-said').textContent.startsWith('weight decay 1, fraction 0.5, activation relu: 4 runs')",
    )
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert page.evaluate("document.querySelectorAll('#phase-map .place[aria-pressed=true]').length") == 1
    assert page.evaluate("document.querySelectorAll('#multiples .place[aria-pressed=true]').length") == 1
    until(page, "document.querySelector('#curves').data.length === 16")
    assert len(page.query_selector_all("#cell-runs button")) == 4


def test_a_run_has_its_facts_and_the_command_of_its_own_page(seen: Visit) -> None:
    page = seen.page
    page.click("#cell-runs button:nth-child(2)")
    run = page.evaluate("shown.column('run').values[shown.run]")
    row = next(row for row in source().table.rows if row["run"] == run)
    assert page.text_content("#run-command") == f"interp report checkpoints/planted/runs/{run} -o {run}.html"
    facts = dict(
        page.evaluate(
            "[...document.querySelectorAll('#run-facts div')].map((e) => [e.children[0].textContent, e.children[1].textContent])"
        )
    )
    assert facts["seed"] == str(row["seed"])
    assert facts["grokked"] == (f"{row['grokked']:,}" if row["grokked"] else "more than 12,000")
    assert facts["status"] == row["status"]
    page.click("#runs tbody tr:last-child button")
    until(page, "run => shown.run !== run", page.evaluate("[run => run, 0]")[1])
    assert page.evaluate("document.querySelector('#runs tr.chosen') !== null")


def test_curves_are_those_that_were_planted(seen: Visit) -> None:
    thin = source().curves.curves
    drawn = seen.page.evaluate(DRAWN)
    for run, axis, x, y in drawn:
        name = {"y": "test_accuracy", "y2": "train_accuracy", "y3": "restricted_loss", "y4": "sum_squared_weights"}[axis]
        steps, values = thin[name][run]
        assert x == steps.tolist()
        assert np.allclose(y, values, rtol=1e-3, atol=1e-4)


def test_survival_and_laws_follow_their_choices(seen: Visit) -> None:
    page = seen.page
    assert "Log-rank test between all of them: p" in page.text_content("#survival-said")
    pick(page, "choose-survival", "by", "1")
    until(page, "document.querySelector('#survival-rows th').textContent === 'fraction'")
    pick(page, "choose-survival", "waiting for", "delay")
    assert page.evaluate("document.querySelector('#survival').layout.xaxis.title.text") == "steps since memorized"
    assert "T = a w^-b" in page.text_content("#law-said") or "No law" in page.text_content("#law-said")
    pick(page, "choose-law", "along", "1")
    assert "No law is fitted. T against the fraction" in page.text_content("#law-said")
    assert page.evaluate("document.querySelector('#law').data.length") > 0


def test_quartiles_are_told_with_their_intervals(seen: Visit) -> None:
    page, table = seen.page, source().table
    for n, label in enumerate(labels(page)):
        first, third = answer(table.at({0: n % 4, 1: 2 - n // 4, 2: 0}), find_question("grokked", table.rows)).quartiles
        assert label.endswith(f"A quarter: {spanned(first)}; three quarters: {spanned(third)}.")
    found = survival_of(table, "grokked", by=0, fixed={1: 0, 2: 0})
    rows = page.evaluate(
        "[...document.querySelectorAll('#survival-rows tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    assert [row[3:] for row in rows] == [[spanned(one) for one in group.quartiles] for group in found.groups]
    points = page.evaluate(
        "document.querySelector('#survival').data.filter((t) => t.marker?.symbol === 'diamond').map((t) => t.text)"
    )
    assert sum(map(len, points)) == sum(one.value is not None for group in found.groups for one in group.quartiles)
    assert f"weight decay 4: half by step {spanned(found.groups[-1].quartiles[1])}" in [text for one in points for text in one]


@pytest.mark.parametrize("question", ["grokked", "share_grokked", "outcome", "test_loss"])
def test_the_map_is_saved_as_it_is_seen(seen: Visit, tmp_path: Path, question: str) -> None:
    page = seen.page
    pick(page, "choose-question", "shown", question)
    with page.expect_download() as waiting:
        page.click("#panel-phase [data-tool=svg]")
    assert waiting.value.suggested_filename == "planted-phase.svg"
    waiting.value.save_as(tmp_path / "map.svg")
    drawn = (tmp_path / "map.svg").read_text(encoding="utf-8")
    shown = page.evaluate(
        "[...document.querySelectorAll('#phase-map .place')].map((e) => [e.firstChild.data, e.style.backgroundColor])"
    )
    for text, colour in shown:
        assert f">{text}<" in drawn
        assert (colour or "rgb(125, 133, 144)") in drawn
    assert "activation relu" in drawn  # where the other axis is held
    assert "fewer than 10 finished runs" in drawn


def test_a_point_of_the_scatter_leads_to_its_run(seen: Visit) -> None:
    page = seen.page
    run = page.evaluate("""() => {
        const graph = document.querySelector('#facts-of-runs');
        const trace = graph.data[2];
        graph.emit('plotly_click', { points: [{ customdata: trace.customdata[1], data: trace }] });
        return shown.column('run').values[trace.customdata[1]];
    }""")
    until(page, "run => document.getElementById('run-command').textContent.includes(run)", run)
    until(page, "Math.abs(document.getElementById('panel-cell').getBoundingClientRect().top) < innerHeight / 2")


def test_a_legend_does_not_push_curves_together(browser: Browser, tmp_path: Path) -> None:
    """Twelve groups in a narrow window."""
    axes = {"optimizer.weight_decay": np.geomspace(0.5, 8, 12).round(2).tolist()}
    file = tmp_path / "x.html"
    file.write_text(study_page(planted_source(axes, seeds=3)).html, encoding="utf-8")
    visited = visit(browser, file, width=400)
    assert visited.page.evaluate("+document.querySelector('#survival .nsewdrag').getAttribute('height')") > 200
    assert visited.page.evaluate("document.querySelectorAll('#survival .legend .traces').length") == 12
    assert visited.page.evaluate("+(document.querySelector('#survival .scrollbar')?.getAttribute('height') ?? 0)") == 0
    visited.leave()


def test_a_time_that_was_not_seen_is_drawn_as_longer(seen: Visit) -> None:
    data = seen.page.evaluate("document.querySelector('#facts-of-runs').data.map((t) => [[...t.y], t.marker.symbol])")
    points = [(y, s) for ys, symbols in data for y, s in zip(ys, symbols, strict=True)]
    assert {symbol for y, symbol in points if y == 12_000} == {"triangle-up-open"}
    assert {symbol for y, symbol in points if y < 12_000} == {"circle"}
    assert len(points) == 94  # of 96; one broke off, one failed
    pick(seen.page, "choose-facts", "across", "status")
    pick(seen.page, "choose-facts", "up", "outcome")
    assert seen.page.evaluate("document.querySelector('#facts-of-runs').data.length") > 0


def test_the_table_of_runs_is_sorted_and_filtered(seen: Visit) -> None:
    page = seen.page
    page.fill("#choose-runs input[type=search]", "gelu finished")
    until(page, "document.querySelector('#runs-said').textContent.startsWith('47 of 96 runs')")
    page.get_by_role("button", name="grokked", exact=True).last.click()
    assert page.get_attribute("#runs th[aria-sort]", "aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.textContent") == "grokked ↑"
    values = page.evaluate(SORTED)
    seen_steps = [int(value.replace(",", "")) for value in values if not value.startswith(">")]
    assert seen_steps == sorted(seen_steps)
    assert values[len(seen_steps) :] == ["> 12,000"] * (len(values) - len(seen_steps))
    page.keyboard.press("Enter")
    assert page.evaluate(SORTED)[0] == f"{max(seen_steps):,}"
    page.fill("#choose-runs input[type=search]", "")
    page.select_option('#choose-runs select[data-pick="status"]', "failed")
    until(page, "document.querySelector('#runs-said').textContent.startsWith('1 of 96 runs')")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_runs_can_be_downloaded(seen: Visit, tmp_path: Path, kind: str) -> None:
    with seen.page.expect_download() as waiting:
        seen.page.click(f"#panel-runs [data-tool={kind}]")
    file = tmp_path / f"x.{kind}"
    waiting.value.save_as(file)
    rows = source().table.rows
    if kind == "csv":
        found = list(csv.DictReader(file.open(newline="", encoding="utf-8")))
        assert [row["grokked"] for row in found] == ["" if row["grokked"] is None else str(row["grokked"]) for row in rows]
        assert [row["model.activation"] for row in found] == [row["model.activation"] for row in rows]
    else:
        frame = pd.read_parquet(file)
        assert frame["run"].tolist() == [row["run"] for row in rows]
        assert frame["status"].tolist() == [row["status"] for row in rows]
        expected = [np.nan if row["grokked"] is None else row["grokked"] for row in rows]
        np.testing.assert_array_equal(frame["grokked"].to_numpy(), expected)
        assert frame["test_loss"].dropna().tolist() == [row["test_loss"] for row in rows if row["test_loss"] is not None]


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, path: Path, theme: str, width: int) -> None:
    visited = visit(browser, path, theme=theme, width=width)
    visited.page.evaluate(UNFOLD)
    visited.page.evaluate(AXE_SCRIPT)
    assert visited.page.evaluate(AXE) == []
    assert visited.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visited.leave()


def test_figures_and_controls_have_names_and_text_can_be_read(seen: Visit) -> None:
    figures = seen.page.evaluate(FIGURES)
    assert len(figures) == 4
    assert all(len(label) > 20 and controls == 0 for label, controls in figures)
    names = seen.page.evaluate(CONTROLS)
    assert all(name.strip() for name in names)
    selects = seen.page.evaluate("[...document.querySelectorAll('select')].map((e) => e.labels[0].textContent)")
    assert all(selects)
    for theme in ("dark", "light"):
        seen.page.emulate_media(color_scheme=theme)
        until(seen.page, "theme => document.documentElement.dataset.theme === theme", arg=theme)
        faint = seen.page.evaluate(FAINT)
        assert {name: ratio for name, ratio in faint.items() if not name.startswith("BUTTON.place")} == {}


def test_the_tabulator_key_visits_every_control_in_the_order_of_reading(seen: Visit) -> None:
    page, stop_of = seen.page, STOP.replace(".transport", ".choices")
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    stops = []
    page.keyboard.press("Tab")
    while (stop := page.evaluate(stop_of)) and len(stops) < 400:
        stops.append(stop)
        page.keyboard.press("Tab")
    assert stops[0]["name"] == "skip"
    assert [stop for stop in stops if not stop["after"] or stop["hidden"] or not stop["outlined"]] == []
    # Of each map one cell is reached by Tab, the others by arrow keys.
    controls = "[...document.querySelectorAll('button, input, select, summary, a[href]')]"
    seen_ones = page.evaluate(f"{controls}.filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0).length")
    assert len(stops) >= seen_ones
    assert sum(stop["name"].startswith("place") for stop in stops) == 2


def test_the_page_draws_itself_anew_at_another_width(seen: Visit) -> None:
    seen.resize(420)
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.page.evaluate("document.querySelector('#curves').layout.width") < 420


def test_hostile_names_stay_texts(browser: Browser, tmp_path: Path) -> None:
    field = "model.activation"
    rows = [planted_row({field: HOSTILE if i % 2 else "relu"}, i // 2, grokked=500 + i, name=f"{i}{HOSTILE}") for i in range(6)]
    file = tmp_path / "x.html"
    file.write_text(study_page(planted_source({field: []}, rows=rows, name=HOSTILE)).html, encoding="utf-8")
    visited = visit(browser, file)
    visited.page.hover("#phase-map .place")
    assert visited.page.evaluate("window.hacked === undefined")
    assert [text for text in visited.said if "hacked" in text or "error" in text] == []
    assert visited.page.evaluate("document.querySelectorAll('img').length") == 0
    visited.leave()


@pytest.mark.parametrize("axes", [{}, {"split.fraction": [0.4]}, {"model.activation": ["relu", "gelu"]}])
def test_one_axis_a_constant_one_texts_and_none_at_all_are_shown(browser: Browser, tmp_path: Path, axes: dict[str, Any]) -> None:
    file = tmp_path / "x.html"
    file.write_text(study_page(planted_source(axes, seeds=3)).html, encoding="utf-8")
    visited = visit(browser, file)
    assert visited.said == []
    assert len(labels(visited.page)) == max(1, *(len(values) for values in axes.values()), 0) if axes else 1
    visited.leave()


def test_a_study_of_which_nothing_is_there_has_a_page(browser: Browser, tmp_path: Path) -> None:
    rows = [unseen_row({"split.fraction": f}, 0, name=str(f)) for f in (0.3, 0.4)]
    file = tmp_path / "x.html"
    file.write_text(study_page(planted_source({"split.fraction": []}, rows=rows)).html, encoding="utf-8")
    visited = visit(browser, file)
    assert visited.said == []
    assert all("no finished run" in label for label in labels(visited.page))
    assert visited.page.text_content("h1") == "No run is finished yet."
    visited.leave()
