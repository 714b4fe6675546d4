"""The guided page in a real browser: where it opens, its stops, playing, parts of the step axis, contents, folded panels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_kinds import EVERY, KINDS, planted
from playwright.sync_api import Browser
from visiting import Visit, until, visit

import interp

pytestmark = pytest.mark.browser

LAST = 5 * EVERY


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tour")
    found = {}
    for name in ("grokked", "memorizer", "one checkpoint"):
        run = planted(KINDS[name], folder / name.replace(" ", "-"))
        found[name] = folder / f"{run.name}.html"
        interp.report(run, found[name], threads=1)
    return found


@pytest.fixture
def grokked(browser: Browser, pages: dict[str, Path]) -> Iterator[Visit]:
    seen = visit(browser, pages["grokked"])
    yield seen
    assert seen.said == []
    seen.leave()


def step(seen: Visit) -> int:
    return seen.step()


def test_it_opens_between_restricted_loss_and_accuracy_and_the_end_is_one_click_away(grokked: Visit) -> None:
    stops = grokked.page.locator("[data-stop]")
    assert [one.get_attribute("data-step") for one in stops.all()] == [str(EVERY), str(step(grokked)), str(LAST)]
    assert EVERY < step(grokked) < LAST
    assert grokked.page.locator("[data-stop][aria-current]").get_attribute("data-step") == str(step(grokked))
    stops.last.click()
    assert step(grokked) == LAST
    assert grokked.page.locator("[data-stop][aria-current]").get_attribute("data-step") == str(LAST)


def test_the_space_bar_plays_checkpoints_in_their_order_to_the_end_and_stops_when_asked(grokked: Visit) -> None:
    page = grokked.page
    page.keyboard.press("Home")
    assert step(grokked) == 0
    page.evaluate("() => { window.seen = []; const show = shown.transport.show; "
                  "shown.transport.show = function (i) { window.seen.push(i); return show.call(this, i); }; }")  # fmt: skip
    page.keyboard.press(" ")
    assert page.get_attribute("#play", "aria-pressed") == "true"
    until(page, "document.getElementById('play').getAttribute('aria-pressed') === 'false'")
    assert page.evaluate("window.seen") == [1, 2, 3, 4, 5]
    page.keyboard.press(" ")  # from the end it begins anew
    until(page, "shown.index >= 1")
    page.keyboard.press(" ")
    stopped = step(grokked)
    page.wait_for_timeout(500)
    assert step(grokked) == stopped


def test_a_part_of_one_step_axis_is_shown_on_all_of_them_and_a_double_click_gives_them_back(grokked: Visit) -> None:
    page = grokked.page
    page.keyboard.press("End")
    plot = page.locator("#panel-loss_curves .graph .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=5)
    page.mouse.up()
    until(page, "shown.window !== null && !shown.choosing")
    ranges = """() => shown.panels.flatMap((panel) => panel.cells)
        .filter((cell) => cell.stepAxes.length && !cell.whole && cell.shown >= 0)
        .map((cell) => cell.graph._fullLayout.xaxis.range.map(Math.round).join())"""
    found = set(page.evaluate(ranges))
    assert len(found) == 1
    low, high = map(int, found.pop().split(","))
    assert low == pytest.approx(0.2 * LAST, abs=0.02 * LAST)
    assert high == pytest.approx(0.6 * LAST, abs=0.02 * LAST)
    assert step(grokked) == LAST  # a drag is no click
    box = plot.bounding_box()
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
    until(page, "shown.window === null && !shown.choosing")
    assert set(page.evaluate(ranges)) == {f"0,{LAST}"}


def test_the_contents_stay_in_sight_and_say_what_is_being_read(grokked: Visit) -> None:
    page = grokked.page
    page.click(".contents summary")
    page.click('.contents a[href="#panel-neuron_frequencies"]')
    assert page.locator(".contents details").get_attribute("open") is None
    until(page, "document.getElementById('here').textContent === 'What does each neuron compute?'")
    assert page.evaluate("document.querySelector('.contents').getBoundingClientRect().top") == 0
    assert page.evaluate("document.querySelector('#title-neuron_frequencies').getBoundingClientRect().top") > 30


def test_curves_have_every_point_maps_have_scales_and_bands_names(grokked: Visit) -> None:
    page = grokked.page
    graphs = "[...document.querySelectorAll('#panel-loss_curves .graph')]"
    assert page.evaluate(f"{graphs}.every((graph) => graph._fullData.every((trace) => trace.line.simplify === false))")
    for name in ("embedding_spectrum", "attention_patterns", "logit_spectrum"):
        assert page.locator(f"#panel-{name} .scalebar").count() >= 1
    texts = page.locator("#panel-loss_curves .annotation-text").all_text_contents()
    assert texts.count("cleanup") == 2


def test_of_a_memorizer_the_circuits_panels_are_folded_and_drawn_once_they_are_asked_for(
    browser: Browser, pages: dict[str, Path]
) -> None:
    seen = visit(browser, pages["memorizer"])
    page = seen.page
    order = page.evaluate("[...document.querySelectorAll('main > section')].map((one) => one.id)")
    assert order[:2] == ["panel-loss_curves", "panel-memorizer_or_generalizer"]
    folded = page.locator("#panel-embedding_circles details.fold")
    assert folded.locator(".main-svg").count() == 0
    folded.locator("summary").click()
    until(page, "document.querySelectorAll('#panel-embedding_circles .main-svg').length > 0")
    assert step(seen) == 3 * EVERY
    assert seen.said == []
    seen.leave()


def test_one_checkpoint_has_neither_slider_nor_axes_of_steps(browser: Browser, pages: dict[str, Path]) -> None:
    seen = visit(browser, pages["one checkpoint"])
    page = seen.page
    assert not page.locator(".track").is_visible()
    assert not page.locator("#play").is_visible()
    titles = page.evaluate("[...document.querySelectorAll('.xtitle, .x2title')].map((one) => one.textContent)")
    assert "step" not in titles
    ticks = page.locator("#panel-loss_curves .graph").first.locator(".xtick text").all_text_contents()
    assert ticks == ["train", "test"]
    seen.leave()


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_reaches_out_of_the_window(browser: Browser, pages: dict[str, Path], width: int) -> None:
    for path in pages.values():
        seen = visit(browser, path, width=width, theme="dark" if width == 400 else "light")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        seen.leave()
