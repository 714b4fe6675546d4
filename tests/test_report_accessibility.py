"""The report for everyone: axe-core's rules, names of figures and controls, contrast, the order of the Tab key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from exploring import explorer
from growing import DIALS, STEPS, built_in, growing
from playwright.sync_api import Browser
from test_report_compare import runs
from visiting import Visit, until, visit

from interp.networks.neuron_tables import neuron_tables
from interp.reporting import page
from interp.reporting.compare import compare
from interp.reporting.write import panels

pytestmark = pytest.mark.browser

# Everything that can be unfolded is, and every table is filled.
UNFOLD = "() => document.querySelectorAll('details').forEach((details) => { details.open = true; })"
AXE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
    ({id, impact, nodes}) => `${impact} ${id}: ${nodes.map(({target}) => target.join(" ")).slice(0, 5).join("; ")}`)"""

# Contrast of text with the page, below what the Web Content Accessibility Guidelines ask for (4.5).
FAINT = """() => {
    const channels = (c) => c.match(/[\\d.]+/g).slice(0, 3).map((v) => (c.startsWith("color(") ? Number(v) : v / 255));
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (c) => channels(c).map(linear).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const paper = light(getComputedStyle(document.body).backgroundColor);
    const found = {};
    const texts = "p, h1, h2, summary, b, a, dt, dd, td, th, button, .label, .value, .interval, .meaning";
    for (const e of document.querySelectorAll(texts)) {
        if (!e.textContent.trim() || e.closest("[disabled], noscript")) continue;
        const ink = light(getComputedStyle(e).color);
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (ratio < 4.5) found[e.tagName + "." + e.className] = ratio;
    }
    return found;
}"""


# Where the tabulator key went: a name of the place, whether it comes after the last one, whether the slider's bar hides it.
STOP = """() => {
    const at = document.activeElement;
    if (at === document.body) return null;
    const box = at.getBoundingClientRect();
    const bar = document.querySelector(".transport");
    const after = !window.lastStop || Boolean(window.lastStop.compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING);
    window.lastStop = at;
    const hidden = !bar.contains(at) && box.top >= bar.getBoundingClientRect().top;
    return {name: at.id || at.className || at.textContent, after, hidden, outlined: getComputedStyle(at).outlineStyle !== "none"};
}"""


# What those who cannot see them are told of figures and controls.
FIGURES = """() => [...document.querySelectorAll("[role=img]")].map(
    (e) => [e.getAttribute("aria-label"), e.querySelectorAll("button, a, input").length])"""
CONTROLS = """() => [...document.querySelectorAll("button, input, a[href]")].map((e) => e.getAttribute("aria-label")
    || e.textContent || [...(e.labels || [])].map((label) => label.textContent).join(" "))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of one run with everything on it, and one that compares three."""
    analyses, series = built_in()
    shown = [*panels(series, analyses), explorer(STEPS, [neuron_tables(growing(dial)) for dial in DIALS])]
    folder = tmp_path_factory.mktemp("pages")
    for name, made in {"one": page(series, shown), "several": compare(runs())}.items():
        (folder / f"{name}.html").write_text(made.html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in ("one", "several")}


@pytest.fixture(scope="module")
def one(browser: Browser, pages: dict[str, Path]) -> Iterator[Visit]:
    seen = visit(browser, pages["one"])
    yield seen
    seen.leave()


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["one", "several"])
def test_axe_finds_nothing(browser: Browser, pages: dict[str, Path], name: str, theme: str, width: int) -> None:
    seen = visit(browser, pages[name], theme=theme, width=width)
    seen.page.evaluate(UNFOLD)
    until(seen.page, "[...document.querySelectorAll('.numbers .scroll')].every((box) => box.childElementCount)")
    seen.page.evaluate(AXE_SCRIPT)
    assert seen.page.evaluate(AXE) == []
    seen.leave()


def test_figures_and_controls_have_names_for_those_who_cannot_see_them(one: Visit) -> None:
    figures = one.page.evaluate(FIGURES)
    assert len(figures) >= len(built_in()[0])
    for label, controls in figures:
        assert len(label) > 20
        assert controls == 0
    names = one.page.evaluate(CONTROLS)
    assert len(names) > 2 * len(figures)
    assert all(name.strip() for name in names)
    levels = one.page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((e) => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert one.page.get_attribute("html", "lang") == "en"


def test_text_can_be_read_against_its_background(one: Visit) -> None:
    for theme in ("dark", "light"):
        one.page.emulate_media(color_scheme=theme)
        until(one.page, "theme => document.documentElement.dataset.theme === theme", arg=theme)
        assert one.page.evaluate(FAINT) == {}


def test_the_tabulator_key_visits_every_control_in_the_order_of_reading(one: Visit) -> None:
    one.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    stops = []
    one.page.keyboard.press("Tab")
    while (stop := one.page.evaluate(STOP)) and len(stops) < 400:
        stops.append(stop)
        one.page.keyboard.press("Tab")
    assert stops[0]["name"] == "skip"
    assert [stop for stop in stops if not stop["after"] or stop["hidden"] or not stop["outlined"]] == []
    assert {"slider", "previous", "stepscale", "theme", "scroll tall"} <= {stop["name"] for stop in stops}
    controls = "[...document.querySelectorAll('button, input, summary, a[href]')]"
    controls = one.page.evaluate(f"{controls}.filter((e) => e.checkVisibility() && !e.disabled).length")
    assert len(stops) >= controls


def test_the_skip_link_leads_past_the_story(one: Visit) -> None:
    address = one.page.url
    one.page.focus(".skip")
    one.page.keyboard.press("Enter")
    until(one.page, "document.querySelector('#panels').getBoundingClientRect().top < 56")  # under the contents
    assert one.page.url == address
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.querySelector('#panels').contains(document.activeElement)")


def test_a_link_leads_to_the_slider_from_the_start_of_the_page(one: Visit) -> None:
    one.page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); getSelection().removeAllRanges(); }")
    one.page.focus(".skip")
    one.page.keyboard.press("Tab")
    link = one.page.locator(".skip:focus")
    assert "slider" in link.inner_text()
    box = link.bounding_box()
    assert box["x"] >= 0
    assert box["y"] >= 0
    one.page.keyboard.press("Enter")
    until(one.page, "document.activeElement.id === 'slider'")
    step = one.step()
    one.page.keyboard.press("ArrowLeft")
    one.wait_for_step(STEPS[STEPS.index(step) - 1])
    one.page.keyboard.press("ArrowRight")
    one.wait_for_step(step)
