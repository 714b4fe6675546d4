"""Steps in a real browser: axes inside a power of ten, double clicks, the ends of the slider; numbers, and saved pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page_kinds import EVERY, KINDS, planted
from playwright.sync_api import Browser
from visiting import Visit, until, visit

import interp
from interp.config.run_config import CheckpointConfig, ModelConfig, RunConfig
from interp.tasks.modular import ModularTask

pytestmark = pytest.mark.browser

LAST = 5 * EVERY
TICKS = """(name) => [...document.querySelectorAll(`#panel-${name} .graph`)[0].querySelectorAll(".xtick text")]
    .map((one) => one.textContent.replace(",", ""))"""
# What is handed over to be saved as a picture.
SAVE = """(name) => {
    shown.panels.find(({ element }) => element.closest(`#panel-${name}`)).save("png", "What is it?");
    return { data: saved.data.map(({ type, showscale, colorbar }) => ({ type, showscale, colorbar })), layout: saved.layout };
}"""
NAME = "a-rather-long-name-of-a-run-with-many-changed-settings-lr-0.001-wd-2-seed-0-and-what-else-was-different-in-it"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("steps")
    tiny = RunConfig(
        task=ModularTask(5),
        model=ModelConfig(d_model=8, n_heads=2, d_mlp=8),
        checkpoints=CheckpointConfig(log=0, every=1),
        steps=1,
        engine="reference",
        threads=1,
    )
    runs = {"grokked": planted(KINDS["grokked"], folder / NAME), "one step": interp.record(tiny, folder, "tiny", progress=False)}
    found = {}
    for name, run in runs.items():
        found[name] = folder / f"{name}.html"
        interp.report(run, found[name], threads=1)
    return found


@pytest.fixture
def grokked(browser: Browser, pages: dict[str, Path]) -> Iterator[Visit]:
    seen = visit(browser, pages["grokked"])
    yield seen
    assert seen.said == []
    seen.leave()


def choose_steps(seen: Visit, low: int, high: int) -> None:
    seen.page.evaluate("(ends) => shown.chooseSteps(ends)", [low, high])
    until(seen.page, "shown.window !== null && !shown.choosing")


def test_a_double_click_gives_the_axis_back_and_leaves_the_checkpoint(grokked: Visit) -> None:
    page = grokked.page
    page.evaluate("shown.transport.choose(1)")
    choose_steps(grokked, 400, 1600)
    plot = page.locator("#panel-loss_curves .graph .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    at = (box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    page.mouse.dblclick(*at)
    until(page, "shown.window === null && !shown.choosing")
    assert page.evaluate("shown.index") == 1
    page.wait_for_timeout(600)  # no third click of the same series
    page.mouse.click(*at)
    until(page, "shown.index === 4")


@pytest.mark.parametrize(("low", "high"), [(1100, 2400), (1200, 1300), (600, 640)])
def test_inside_a_power_of_ten_a_logarithmic_axis_has_ticks(grokked: Visit, low: int, high: int) -> None:
    page = grokked.page
    page.click("#stepscale")
    choose_steps(grokked, low, high)
    ticks = page.evaluate(TICKS, "loss_curves")
    assert len(ticks) > 1
    assert all(low <= float(tick) <= high for tick in ticks)
    page.evaluate("shown.chooseSteps(null)")
    until(page, "shown.window === null && !shown.choosing")
    assert page.evaluate(TICKS, "loss_curves") == ["1k"] or len(page.evaluate(TICKS, "loss_curves")) > 1
    assert page.locator("#ticks span").count() > 1


def test_of_a_single_step_beside_0_there_is_no_logarithmic_axis(browser: Browser, pages: dict[str, Path]) -> None:
    seen = visit(browser, pages["one step"])
    assert not seen.page.locator("#stepscale").is_visible()
    assert seen.page.locator("#play").is_visible()
    assert seen.page.evaluate(TICKS, "loss_curves") == ["0", "1"]
    assert seen.said == []
    seen.leave()


def test_at_the_end_the_button_that_was_pressed_keeps_the_focus(grokked: Visit) -> None:
    page = grokked.page
    page.keyboard.press("End")
    page.focus("#previous")
    for _ in range(8):  # more than there are checkpoints
        page.keyboard.press("Enter")
    assert grokked.step() == 0
    assert page.evaluate("document.activeElement.id") == "previous"
    assert page.get_attribute("#previous", "aria-disabled") == "true"
    assert page.get_attribute("#next", "aria-disabled") == "false"


def test_numbers_that_are_too_many_are_named(grokked: Visit) -> None:
    page = grokked.page
    fold = page.locator('#panel-pair_by_pair details.numbers[data-table="pair_by_pair"]')
    fold.locator("summary").click()
    text = fold.locator("table").inner_text()
    assert "pair_right\t169 values: in the CSV and the parquet file" in text


def test_a_saved_picture_has_scales_of_its_maps_and_its_whole_title(grokked: Visit) -> None:
    page = grokked.page
    page.evaluate("() => { Plotly.downloadImage = (figure) => { window.saved = figure; }; }")
    for name, maps in (("attention_patterns", 1), ("logit_spectrum", 1), ("embedding_spectrum", 2), ("loss_curves", 0)):
        saved = page.evaluate(SAVE, name)
        scales = [trace["colorbar"] for trace in saved["data"] if trace["type"] == "heatmap" and trace["showscale"]]
        assert len(scales) == maps, name
        layout = saved["layout"]
        plot = layout["width"] - layout["margin"]["l"] - layout["margin"]["r"]
        assert all(0 < bar["x"] < 1 - 30 / plot and 0 < bar["len"] <= bar["y"] <= 1 for bar in scales)
        lines = layout["title"]["text"].split("<br>")
        assert len(lines) == 2
        assert " ".join(lines).startswith(f"{NAME}: What is it? (step ")
        assert layout["title"]["pad"]["t"] == 22
