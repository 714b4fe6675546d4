"""The report in a real, offline Chromium: what is drawn, what moves, what never happens."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from growing import STEPS, built_in
from playwright.sync_api import Browser
from visiting import Visit, until, visit

from interp.observing.analysis import find_analyses

pytestmark = pytest.mark.browser


def test_every_panel_is_drawn_and_the_page_says_and_asks_nothing(shared: Visit) -> None:
    for analysis in built_in()[0]:
        graphs = shared.page.locator(f"#panel-{analysis.name} .graph")
        assert graphs.count() >= 1
        for graph in graphs.all():
            assert graph.locator(".main-svg").count() >= 1
            drawn = ".scatterlayer .trace, .barlayer .trace, .heatmaplayer .hm"
            if analysis.name == "cosets_or_representations":  # in a group of prime order nothing goes by cosets, which is said
                drawn += ", .annotation"
            assert graph.locator(drawn).count() >= 1
    assert shared.said == []
    assert [url for url in shared.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert sum(url.startswith("file:") for url in shared.asked) == 1
    assert shared.page.get_attribute("html", "data-failed") is None


def frames(name: str, attribute: str, step: int) -> list:
    """What the traces of a figure should show at a step, from the figure itself."""
    figure = find_analyses([name])[0].figure(built_in()[1])
    shown = [np.asarray(getattr(trace, attribute, None)) for trace in figure.data]
    frame = figure.frames[STEPS.index(step)]
    for place, trace in zip(frame.traces, frame.data, strict=True):
        value = getattr(trace, attribute, None)
        if value is not None:
            shown[place] = np.asarray(value)
    return [value for value in shown if value.ndim and value.size]


def assert_shows(seen: Visit, name: str, attribute: str, step: int) -> None:
    found = [np.asarray(value, dtype=float) for value in seen.values(name, attribute) if value]
    expected = frames(name, attribute, step)
    assert len(found) == len(expected)
    for value in expected:
        wanted = value.astype(float)
        assert any(f.shape == wanted.shape and np.allclose(f, wanted, atol=2e-4, equal_nan=True) for f in found)


SHOWN = {"embedding_spectrum": "x", "embedding_circles": "y", "logit_spectrum": "z", "neuron_frequencies": "y"}


def test_every_figure_shows_the_step_of_the_slider(fresh: Visit) -> None:
    fresh.page.focus("#slider")
    for key, step in [("ArrowLeft", STEPS[-2]), ("ArrowLeft", STEPS[-3]), ("Home", STEPS[0]), ("End", STEPS[-1])]:
        fresh.page.keyboard.press(key)
        fresh.wait_for_step(step)
        for name, attribute in SHOWN.items():
            assert_shows(fresh, name, attribute, step)


def test_arrow_keys_work_without_focus_on_the_slider_and_stop_at_the_ends(fresh: Visit) -> None:
    fresh.page.keyboard.press("ArrowRight")
    assert fresh.step() == STEPS[-1]
    fresh.page.keyboard.press("ArrowLeft")
    fresh.wait_for_step(STEPS[-2])
    fresh.page.click("#previous")
    fresh.wait_for_step(STEPS[-3])
    fresh.page.click("#next")
    fresh.wait_for_step(STEPS[-2])


def test_dragging_the_slider_moves_the_page(fresh: Visit) -> None:
    box = fresh.page.locator("#spark").bounding_box()  # a step axis, like those of the figures
    y = box["y"] + box["height"] / 2
    fresh.page.mouse.move(box["x"] + box["width"] - 1, y)
    fresh.page.mouse.down()
    fresh.page.mouse.move(box["x"] + box["width"] * (STEPS[2] + 5) / STEPS[-1], y, steps=6)
    fresh.page.mouse.up()
    fresh.wait_for_step(STEPS[2])
    assert_shows(fresh, "embedding_circles", "x", STEPS[2])


def test_a_click_on_a_curve_goes_to_that_step_and_moves_every_cursor(fresh: Visit) -> None:
    plot = fresh.page.locator("#panel-loss_curves .graph .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    fresh.page.mouse.click(box["x"] + box["width"] * 210 / STEPS[-1], box["y"] + box["height"] / 2)
    fresh.wait_for_step(200)
    for cursor in fresh.page.locator(".cursor").all():
        cell = cursor.locator("xpath=..")
        area = cell.locator(".nsewdrag").first.bounding_box()
        assert cursor.bounding_box()["x"] == pytest.approx(area["x"] + area["width"] * 200 / STEPS[-1], abs=2)


# How much two pictures differ: the mean over all pixels and channels, in 255ths.
DIFFERENCE = """async (pictures) => {
    const [one, other] = await Promise.all(pictures.map(async (data) => {
        const image = new Image();
        image.src = "data:image/png;base64," + data;
        await image.decode();
        const pen = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height}).getContext("2d");
        pen.drawImage(image, 0, 0);
        return pen.getImageData(0, 0, image.width, image.height).data;
    }));
    return one.reduce((sum, value, i) => sum + Math.abs(value - other[i]), 0) / one.length;
}"""

MOVE = "(index) => { slider.value = index; slider.dispatchEvent(new Event('input')); }"

SKETCHED = ["embedding_spectrum", "logit_spectrum", "neuron_explorer", "turning"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_sketched_while_the_slider_moves_looks_like_what_is_drawn_when_it_rests(
    browser: Browser, explored: Path, theme: str
) -> None:
    seen = visit(browser, explored, theme=theme)
    seen.page.fill("#panel-neuron_explorer input", "40")
    seen.page.press("#panel-neuron_explorer input", "Enter")
    blank = browser.new_page()
    for name in SKETCHED:
        panel = seen.page.locator(f"#panel-{name} .plot")
        panel.evaluate("e => e.scrollIntoView({ block: 'center' })")
        seen.page.wait_for_timeout(300)
        seen.page.evaluate(MOVE, 2)
        seen.wait_for_step(STEPS[2])
        until(seen.page, "document.querySelectorAll('.covered').length === 0")
        before = panel.screenshot()
        seen.page.evaluate(
            "() => { window.rest = window.setTimeout; window.setTimeout = () => 0; }"
        )  # it never comes to rest ...
        seen.page.evaluate(MOVE, 3)
        until(seen.page, f"[...document.querySelectorAll('#panel-{name} .graph')].every((graph) => graph.dataset.step === '3')")
        assert seen.page.locator(f"#panel-{name} canvas.swift:visible").count() >= 1
        sketched = panel.screenshot()
        seen.page.evaluate("() => { window.setTimeout = window.rest; }")  # ... and now it may
        seen.page.evaluate(MOVE, 4)
        seen.page.evaluate(MOVE, 3)
        seen.wait_for_step(STEPS[3])
        until(seen.page, "document.querySelectorAll('.covered').length === 0")
        drawn = panel.screenshot()
        pictures = [[base64.b64encode(picture).decode() for picture in pair] for pair in ((sketched, drawn), (before, drawn))]
        same, other = (blank.evaluate(DIFFERENCE, pair) for pair in pictures)
        assert same < 0.1, name
        assert same < other / 2 or name == "neuron_explorer", name  # whose map has long been the same
    assert seen.said == []
    blank.close()
    seen.leave()


def test_milestones_and_steps_in_the_story_are_links_to_checkpoints(fresh: Visit) -> None:
    link = fresh.page.locator(".milestone a.value").first
    step = int(link.get_attribute("data-step"))
    link.click()
    fresh.wait_for_step(step)


def test_the_address_keeps_the_step(browser: Browser, report_file: Path) -> None:
    seen = visit(browser, report_file, fragment="#step=190")
    assert seen.step() == 200  # the nearest checkpoint
    assert_shows(seen, "embedding_circles", "x", 200)
    seen.page.evaluate("location.hash = '#step=10'")
    seen.wait_for_step(10)
    seen.page.reload()
    seen.page.wait_for_selector("html[data-ready]")
    assert seen.step() == 10
    seen.leave()


def test_a_panel_leads_to_its_formula_and_back_and_the_step_stays(fresh: Visit) -> None:
    address = fresh.page.evaluate("location.hash")
    inside = """(id) => { const box = document.getElementById(id).getBoundingClientRect();
        return box.top >= -1 && box.top < innerHeight / 2 && document.activeElement.id === id; }"""
    fresh.page.click("#panel-progress_measures a[href='#formula-excluded-loss']")
    until(fresh.page, inside, "formula-excluded-loss")
    formula = fresh.page.locator("#formula-excluded-loss .formula dd").first
    assert formula.locator("sub").count() >= 2
    assert formula.is_visible()
    fresh.page.click("#formula-excluded-loss a[href='#panel-progress_measures']")
    until(fresh.page, inside, "panel-progress_measures")
    assert fresh.page.evaluate("location.hash") == address
    fresh.page.evaluate("scrollTo(0, 0)")


def test_nothing_moves_by_itself(shared: Visit) -> None:
    before = shared.step()
    shared.page.wait_for_timeout(1200)
    assert shared.step() == before
    assert shared.page.locator(".updatemenu-container, .slider-container, .modebar-btn").count() == 0
    assert not [b.inner_text() for b in shared.page.locator("button, a").all() if "share chart" in b.inner_text().lower()]


def test_the_readout_says_the_measured_numbers(fresh: Visit) -> None:
    series = built_in()[1]
    fresh.page.focus("#slider")
    fresh.page.keyboard.press("ArrowLeft")
    fresh.wait_for_step(STEPS[-2])
    text = fresh.page.inner_text("#readout")
    accuracy = float(series["history_test_accuracy"][-2])
    assert f"{100 * accuracy:.0f} %" in text or "99.9" in text
    spoken = fresh.page.get_attribute("#slider", "aria-valuetext")
    assert spoken.startswith(f"step {STEPS[-2]}")
    assert "test acc." in spoken
