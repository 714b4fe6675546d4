"""The report in a real, offline Chromium: what is drawn, what moves, what never happens."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from exploring import explorer
from growing import DIALS, STEPS, P, built_in, growing
from playwright.sync_api import Browser
from random_models import random_weights
from retelling import retold
from test_report import hostile_page
from test_report_compare import runs
from visiting import AT_INDEX, Visit, until, visit

from interp.figures import TRAIN, WHEEL, Cell, Table, Tables, curve, draw, faded, on
from interp.harmonics import addition, multiplication, take_rows
from interp.measures import neuron_frequencies
from interp.networks.neuron_tables import neuron_tables
from interp.networks.one_layer import forward
from interp.observing.analysis import find_analyses
from interp.reporting import Panel, page
from interp.reporting.compare import compare
from interp.reporting.write import panels
from interp.tasks.modular import ModularTask

pytestmark = pytest.mark.browser


# Pairs of boxes that cross, and boxes that reach out of their parents or of the window.
OVERLAPS = """() => {
    const found = [];
    const seen = (e) => [e, e.getBoundingClientRect()];
    const boxes = (selector) => [...document.querySelectorAll(selector)].map(seen).filter(([, b]) => b.width && b.height);
    const shared = (low, high) => Math.min(...high) - Math.max(...low) > 1;
    const cross = (a, b) => shared([a.left, b.left], [a.right, b.right]) && shared([a.top, b.top], [a.bottom, b.bottom]);
    const groups = [
        ".panel", ".panel > .text, .panel > .view", ".cell", ".milestone", ".transport > *", ".readout > div", ".item",
    ];
    for (const selector of groups) {
        boxes(selector).forEach(([e, a], i, all) => all.slice(i + 1).forEach(([f, b]) => {
            if (!e.contains(f) && cross(a, b)) found.push([selector, e.className + e.id, f.className + f.id]);
        }));
    }
    for (const [cell, box] of boxes(".cell")) {
        const drawn = [...cell.querySelectorAll(".main-svg")].map((e) => e.getBoundingClientRect().right);
        if (Math.max(...drawn) > box.right + 1) found.push(["wide", cell.className]);
    }
    for (const [e, box] of boxes(".panel, .cell, .milestone, .transport > *")) {
        if (box.right > innerWidth + 1 || box.left < -1) found.push(["outside", e.className + e.id]);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with the neuron explorer."""
    analyses, series = built_in()
    path = tmp_path_factory.mktemp("explored") / "explored.html"
    shown = panels(series, analyses)
    neurons = explorer(STEPS, [neuron_tables(growing(dial)) for dial in DIALS])
    path.write_text(page(series, [*shown, neurons, Panel("turning", "Turning?", "It turns.", turning)]).html, encoding="utf-8")
    return path


def turning(series) -> go.Figure:
    """A spiral that turns, its points joined and coloured by their angle, with gaps; a threshold that stays."""
    angles = np.linspace(0, 2 * np.pi, 40)
    angles[[7, 20]] = np.nan

    def at(i: int) -> list[dict]:
        x, y = np.cos(angles + i / 2) * angles / 7, np.sin(angles + i / 2) * angles / 7
        marker = {"size": 9, "color": angles, "cmin": 0, "cmax": 2 * np.pi, "colorscale": [list(stop) for stop in WHEEL]}
        look = {"mode": "lines+markers", "line": {"color": faded(TRAIN, 0.4), "width": 1}, "marker": marker, "showlegend": False}
        return [{"type": "scatter", "x": x, "y": y, **look, **on(1)}]

    threshold = curve([-1, 1], [0.3, 0.3], name="threshold", colour=TRAIN, dash="dash", legend=False)
    cell = Cell("spiral", square=True, bare=True, x_range=(-1, 1), y_range=(-1, 1))
    return draw(series, [[cell]], heights=(220,), fixed=[threshold], moving=at)


@pytest.fixture(scope="module")
def shared(browser: Browser, report_file: Path) -> Iterator[Visit]:
    """One visit for the tests that leave the page as they found it."""
    seen = visit(browser, report_file)
    yield seen
    seen.page.context.close()


@pytest.fixture
def fresh(shared: Visit) -> Iterator[Visit]:
    """The shared visit, at the last checkpoint; whatever a test does, the page may not complain."""
    shared.page.evaluate("document.activeElement.blur()")
    if shared.step() != STEPS[-1]:
        shared.page.evaluate(f"location.hash = '#step={STEPS[-1]}'")
        shared.wait_for_step(STEPS[-1])
    yield shared
    assert shared.said == []


def test_every_panel_is_drawn_and_the_page_says_and_asks_nothing(shared: Visit) -> None:
    for analysis in built_in()[0]:
        graphs = shared.page.locator(f"#panel-{analysis.name} .graph")
        assert graphs.count() >= 1
        for graph in graphs.all():
            assert graph.locator(".main-svg").count() >= 1
            assert graph.locator(".scatterlayer .trace, .barlayer .trace, .heatmaplayer .hm").count() >= 1
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
    box = fresh.page.locator("#slider").bounding_box()
    y = box["y"] + box["height"] / 2
    fresh.page.mouse.move(box["x"] + box["width"] - 9, y)
    fresh.page.mouse.down()
    fresh.page.mouse.move(box["x"] + box["width"] * 0.41, y, steps=6)
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
SKETCHED = ["embedding_spectrum", "logit_spectrum", "neuron", "turning"]


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
        assert same < other / 2 or name == "neuron", name  # whose map has long been the same
    assert seen.said == []
    blank.close()
    seen.page.context.close()


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
    seen.page.context.close()


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
    assert not [b.inner_text() for b in shared.page.locator("button, a").all() if "share" in b.inner_text().lower()]


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


# Brightness of the pixel in a lower corner of a picture.
EDGE = """async ([data, atRight]) => {
    const image = new Image();
    image.src = "data:image/png;base64," + data;
    await image.decode();
    const pen = Object.assign(document.createElement("canvas"), {width: image.width, height: image.height}).getContext("2d");
    pen.drawImage(image, 0, 0);
    return pen.getImageData(atRight ? image.width - 2 : 1, image.height - 4, 1, 1).data[0];
}"""


def test_nothing_overlaps_and_nothing_scrolls_sideways(fresh: Visit) -> None:
    for width in (400, 768, 1920, 1280):
        fresh.page.set_viewport_size({"width": width, "height": 900})
        column = "document.querySelector('#panel-loss_curves .plot').clientWidth"
        until(fresh.page, f"() => Math.abs(document.querySelector('#panel-loss_curves .graph').layout.width - {column}) < 2")
        fresh.page.wait_for_timeout(300)
        assert fresh.page.evaluate("document.documentElement.scrollWidth") <= width
        assert fresh.page.evaluate(OVERLAPS) == [], width


# Readings that reach out of the bar or of their own boxes, or lie on each other, with the longest numbers there are.
CLIPPED = """() => {
    const bar = document.querySelector(".transport").getBoundingClientRect();
    const all = [...document.querySelectorAll(".readout > div")];
    for (const { lastChild } of all) lastChild.textContent = "> 99.9 %";
    const out = ({ left, right, top, bottom }) => left < 0 || right > innerWidth || top < bar.top || bottom > bar.bottom;
    const clipped = (e) => {
        const [box, around] = [e.getBoundingClientRect(), e.parentElement.getBoundingClientRect()];
        return out(box) || box.right > around.right + 1 || e.scrollWidth > e.clientWidth + 1;
    };
    return all.filter(clipped).map((e) => e.textContent);
}"""


def test_no_reading_is_cut_at_any_width(browser: Browser, report_file: Path) -> None:
    seen = visit(browser, report_file)
    for width in (320, 360, 400, 460, 461, 600, 760, 761, 844, 1020, 1021, 1280):
        seen.page.set_viewport_size({"width": width, "height": 900})
        seen.page.wait_for_timeout(600)
        assert seen.page.evaluate(CLIPPED) == [], width
        assert seen.page.evaluate(OVERLAPS) == [], width
    seen.page.context.close()


def test_a_table_that_goes_on_sideways_has_a_shade_where_it_does(browser: Browser, tmp_path: Path) -> None:
    header = ("", *(f"column {i}" for i in range(12)))
    table = Table("Many", header, (("row", *["0.123456789"] * 12),))
    made = page(built_in()[1], [Panel("many", "Many?", "", lambda _: Tables((), (table,)), kind="tables")])
    path = tmp_path / "wide.html"
    path.write_text(made.html, encoding="utf-8")
    seen = visit(browser, path, width=400)
    blank = browser.new_page()
    box = seen.page.locator("#panel-many .scroll")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth + 100")

    def dark(at_right: bool) -> bool:
        data = base64.b64encode(box.screenshot()).decode()
        return blank.evaluate(EDGE, [data, at_right]) < 230

    assert (dark(False), dark(True)) == (False, True)
    box.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    assert (dark(False), dark(True)) == (True, False)
    blank.close()
    seen.page.context.close()


def test_plots_of_a_row_stand_side_by_side_where_they_fit(fresh: Visit) -> None:
    for width in (1277, 1280):  # the text takes a fraction of a pixel
        fresh.page.set_viewport_size({"width": width, "height": 900})
        fresh.page.wait_for_timeout(400)
        for name in ("progress_measures", "embedding_spectrum", "attention_patterns"):
            tops = f"[...document.querySelector('#panel-{name} .line:last-child').children].map((cell) => cell.offsetTop)"
            assert len(set(fresh.page.evaluate(tops))) == 1, (name, width)


def test_theme_follows_the_system_and_can_be_chosen(browser: Browser, report_file: Path) -> None:
    seen = visit(browser, report_file, theme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    figure = "getComputedStyle(document.querySelector('#panel-loss_curves .main-svg')).backgroundColor"
    ink = "document.querySelector('#panel-loss_curves .graph')._fullLayout.font.color"
    dark = seen.page.evaluate(f"[{paper}, {ink}]")
    seen.page.emulate_media(color_scheme="light")
    until(seen.page, f"before => {ink} !== before", arg=dark[1])
    light = seen.page.evaluate(f"[{paper}, {ink}]")
    assert dark[0] != light[0]
    seen.page.click("#theme")
    assert seen.page.text_content("#theme") == "light"
    seen.page.click("#theme")
    assert seen.page.text_content("#theme") == "dark"
    until(seen.page, f"wanted => {ink} === wanted", arg=dark[1])
    assert seen.page.evaluate(paper) == dark[0]
    assert seen.page.evaluate(figure)
    colours = "[...document.querySelector('#panel-loss_curves .graph').data].map(t => t.line.color)"
    assert seen.page.evaluate(colours) == ["#0072b2", "#d55e00"]
    assert seen.said == []
    seen.page.context.close()


def test_steps_and_losses_can_be_logarithmic_or_linear(fresh: Visit) -> None:
    kind = "document.querySelector('#panel-loss_curves .graph').layout"
    fresh.page.click("#stepscale")
    until(fresh.page, f"{kind}.xaxis.type === 'log'")
    assert fresh.page.evaluate(f"{kind}.yaxis.type") == "log"
    fresh.page.click("#panel-loss_curves [data-tool=log]")
    until(fresh.page, f"{kind}.yaxis.type === 'linear'")
    fresh.page.click("#stepscale")
    until(fresh.page, f"{kind}.xaxis.type === 'linear'")
    fresh.page.click("#panel-loss_curves [data-tool=log]")
    fresh.page.click("#stepscale")
    fresh.page.focus("#slider")
    fresh.page.keyboard.press("Home")  # step 0 has no place on a logarithmic axis; nothing may break
    fresh.wait_for_step(0)
    fresh.page.click("#stepscale")


def test_a_name_in_the_legend_switches_its_curves(fresh: Visit) -> None:
    item = fresh.page.locator("#panel-loss_curves .legend .item").first
    item.click()
    until(fresh.page, "document.querySelectorAll('#panel-loss_curves .graph')[1].data[0].visible === false")
    assert item.get_attribute("aria-pressed") == "false"
    item.click()
    until(fresh.page, "document.querySelectorAll('#panel-loss_curves .graph')[1].data[0].visible === true")


def test_numbers_at_a_step_and_the_table_to_take_away_are_those_measured(fresh: Visit) -> None:
    series = built_in()[1]
    fresh.page.click("#panel-progress_measures .numbers summary")
    cell = fresh.page.locator("#panel-progress_measures .numbers tr", has=fresh.page.locator("th", has_text="gini_W_E")).locator(
        "td"
    )
    assert float(cell.inner_text()) == pytest.approx(float(series["gini_W_E"][-1]), rel=1e-4)
    with fresh.page.expect_download() as download:
        fresh.page.click("#panel-progress_measures [data-tool=csv]")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [int(row["step"]) for row in rows] == STEPS
    found = [float(row["restricted_loss"]) for row in rows]
    assert found == pytest.approx(series["restricted_loss"].values.tolist(), rel=1e-6)
    assert "excluded_loss_single[key_frequency=2]" in rows[0]
    with fresh.page.expect_download() as download:
        fresh.page.click("[data-table=run-history][data-tool=csv]")
    assert len(Path(download.value.path()).read_text().splitlines()) == 1 + len(STEPS)


def test_on_paper_everything_is_there_and_nothing_is_cut(fresh: Visit) -> None:
    fresh.page.emulate_media(media="print")
    assert not fresh.page.is_visible(".transport")
    pdf = fresh.page.pdf(format="A4")
    assert len(pdf) > 20_000
    assert len(re.findall(rb"/Type /Page\b", pdf)) <= 16  # 24 when every panel began a page of its own
    fresh.page.emulate_media(media="screen")


def test_paper_says_the_step_and_leaves_out_what_cannot_be_pressed(browser: Browser, explored: Path) -> None:
    seen = visit(browser, explored, fragment=f"#step={STEPS[3]}")
    assert not seen.page.is_visible("#panel-embedding_circles .at")
    seen.page.emulate_media(media="print")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    for name in ("embedding_circles", "attention_patterns", "neuron_frequencies"):
        assert seen.page.inner_text(f"#panel-{name} .at") == f"At step {STEPS[3]}"
    assert seen.page.inner_text("#panel-loss_curves .at") == ""  # its axis says it
    assert seen.page.inner_text("#panel-neuron_explorer .at") == "Neuron 0"
    assert seen.page.inner_text("#panel-neuron_explorer .about").startswith(f"at step {STEPS[3]}:")
    shown = [element for element in seen.page.locator("button:not(.legend .item), input").all() if element.is_visible()]
    assert shown == []
    breaks = "(selector) => getComputedStyle(document.querySelector(selector)).breakAfter"
    for selector in (".panel .text", ".panel h2", ".panel .legend", ".panel .at"):
        assert seen.page.evaluate(breaks, selector) == "avoid", selector
    seen.page.emulate_media(media="screen")
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not seen.page.is_visible("#panel-embedding_circles .at")
    until(seen.page, "document.querySelector('#panel-loss_curves .graph').layout.width !== 850")
    assert seen.said == []
    seen.page.context.close()


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(hostile_page().html, encoding="utf-8")
    seen = visit(browser, path)
    assert seen.page.evaluate("window.hacked") is None
    assert "</script>" in seen.page.inner_text(".kicker")
    seen.page.locator("#panel-drawn .nsewdrag").first.hover()
    seen.page.wait_for_timeout(300)
    assert seen.page.evaluate("window.hacked") is None
    assert not [url for url in seen.asked if "example.invalid" in url and not url.startswith("http://example.invalid/x.png")]
    assert all("Content Security Policy" in line and "example.invalid" in line for line in seen.said)
    seen.page.context.close()


def test_every_kind_of_array_is_decoded_as_it_was_stored(browser: Browser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    steps = built_in()[1].step.values
    rough = rng.normal(size=(len(steps), 30, 40)).cumsum(axis=0)  # 16-bit steps
    rough[1, 2, 3] = np.nan
    a, b = rng.normal(size=(2, len(steps), 40)) * 3
    smooth = np.exp(a)[:, :, None] / (np.exp(a)[:, :, None] + np.exp(b)[:, None, :] + 1)  # factors
    counts = rng.integers(-400, 70_000, size=(len(steps), 50))  # integers

    def figure(series) -> go.Figure:
        def at(i):
            return [{"type": "heatmap", "z": rough[i]}, {"type": "heatmap", "z": smooth[i]}, {"type": "bar", "y": counts[i]}]

        return go.Figure(data=at(-1), frames=[{"name": str(step), "data": at(i)} for i, step in enumerate(steps)])

    made = page(built_in()[1], [Panel("arrays", "All?", "All.", figure)])
    assert all(f'"codec":"{codec}"' in made.html for codec in ("q2", "odds", "i4"))
    path = tmp_path / "arrays.html"
    path.write_text(made.html, encoding="utf-8")
    seen = visit(browser, path, fragment=f"#step={steps[1]}")
    maps, bars = seen.values("arrays", "z"), seen.values("arrays", "y")
    found = np.array([[np.nan if v is None else v for v in row] for row in maps[0]], dtype=float)
    assert np.allclose(found, rough[1], atol=1e-4 * np.ptp(np.nan_to_num(rough)), equal_nan=True)
    assert np.allclose(np.array(maps[1]), smooth[1], atol=3e-3)
    assert bars[2] == counts[1].tolist()
    seen.page.context.close()


def test_a_users_own_figure_has_the_slider_too(browser: Browser, tmp_path: Path) -> None:
    def figure(series) -> go.Figure:
        def at(i):
            return [{"type": "bar", "x": ["a", "b"], "y": [i, 10 * i]}]

        frames = [{"name": str(int(step)), "data": at(i)} for i, step in enumerate(series.step.values)]
        return go.Figure(data=at(len(frames) - 1), frames=frames, layout={"height": 300})

    path = tmp_path / "own.html"
    path.write_text(page(built_in()[1], [Panel("own", "Mine?", "Mine.", figure)]).html, encoding="utf-8")
    seen = visit(browser, path)
    assert seen.values("own", "y") == [[5, 50]]
    seen.page.keyboard.press("ArrowLeft")
    until(seen.page, "document.querySelector('.graph').data[0].y[1] === 40")
    assert seen.said == []
    seen.page.context.close()


def test_a_run_with_one_checkpoint_and_no_phases_is_shown(browser: Browser, tmp_path: Path) -> None:
    analyses, series = built_in()
    one = series.isel(step=[0], history_step=[0])
    one = retold(one, phases="{}", outcome="unknown")
    path = tmp_path / "one.html"
    path.write_text(page(one, panels(one, analyses)).html, encoding="utf-8")
    seen = visit(browser, path)
    assert seen.said == []
    assert seen.page.get_attribute("html", "data-failed") is None
    seen.page.context.close()


@pytest.mark.parametrize("last", [1, 5, 7, 8])
def test_a_short_run_has_every_step_at_most_once_on_its_axes(browser: Browser, tmp_path: Path, last: int) -> None:
    analyses, series = built_in()
    two = series.isel(step=[0, 1], history_step=[0, 1]).assign_coords(step=[0, last], history_step=[0, last])
    two = retold(two, phases="{}", outcome="unknown")
    path = tmp_path / "two.html"
    path.write_text(page(two, panels(two, analyses)).html, encoding="utf-8")
    seen = visit(browser, path)
    for name in ("loss_curves", "embedding_spectrum"):
        ticks = [tick.text_content() for tick in seen.page.locator(f"#panel-{name} .graph").first.locator(".xtick").all()]
        assert len(ticks) >= 2
        assert len(set(ticks)) == len(ticks)
        assert all(tick.isdigit() for tick in ticks)
    assert seen.said == []
    seen.page.context.close()


def shown_map(seen: Visit, place: int) -> np.ndarray:
    return np.array(seen.values("neuron_explorer", "z")[place])


def test_a_neuron_is_chosen_by_click_and_its_map_is_what_the_model_computes_at_every_step(
    browser: Browser, explored: Path
) -> None:
    seen = visit(browser, explored)
    dots = seen.page.locator("#panel-neuron_frequencies .graph .scatterlayer .points path")
    dots.first.wait_for(state="attached")
    dots.nth(30).scroll_into_view_if_needed()
    dots.nth(30).click(force=True)
    until(seen.page, "document.querySelector('#panel-neuron_explorer input').value !== '0'")
    chosen = int(seen.page.input_value("#panel-neuron_explorer input"))
    for neuron in (chosen, 40):
        seen.page.fill("#panel-neuron_explorer input", str(neuron))
        seen.page.press("#panel-neuron_explorer input", "Enter")
        for step, dial in zip(STEPS[1:], DIALS[1:], strict=True):
            seen.page.evaluate(f"location.hash = '#step={step}'")
            until(seen.page, f"document.querySelector('#panel-neuron_explorer .about').textContent.startsWith('at step {step}:')")
            until(seen.page, AT_INDEX, arg=STEPS.index(step))
            assert_neuron(seen, neuron, dial)
    assert seen.said == []
    seen.page.context.close()


def assert_neuron(seen: Visit, neuron: int, dial: float) -> None:
    """The maps and what is said of them are right for this neuron of this model."""
    activations = forward(growing(dial), ModularTask(P).pairs).neurons.reshape(P, P, -1).numpy()
    expected = activations[..., neuron]
    assert np.abs(shown_map(seen, 0) - expected).max() < 0.05 * activations.max()
    found = neuron_frequencies(torch.from_numpy(activations.reshape(P * P, -1)), harmonics=addition(P))
    frequency, share = int(found.frequency[neuron]), float(found.share[neuron])
    if frequency and expected.max() > 0.2 * activations.max():
        about = seen.page.inner_text("#panel-neuron_explorer .about")
        assert f"frequency {frequency} explains" in about
        assert float(about.split("explains ")[1].split(" %")[0]) == pytest.approx(100 * share, abs=3)
        fit = shown_map(seen, 1)
        energy = ((fit - fit.mean()) ** 2).sum() / ((expected - expected.mean()) ** 2).sum()
        assert energy == pytest.approx(share, abs=0.05)


def test_a_neuron_of_multiplication_is_fitted_over_exponents(browser: Browser, tmp_path: Path) -> None:
    waves = multiplication(P)
    weights = random_weights(P, dtype=torch.float32, seed=1)
    series, path = built_in()[1], tmp_path / "multiply.html"
    neurons = explorer(STEPS, [neuron_tables(weights)] * len(STEPS), order=waves.classes.tolist())
    html = page(series, [neurons]).html
    assert "counted by their exponents to a primitive root (modulo 6)" in html
    path.write_text(html, encoding="utf-8")
    activations = forward(weights, ModularTask(P, "multiply").pairs).neurons.reshape(P, P, -1).numpy()
    seen, alive = visit(browser, path), 0
    for neuron in range(weights.d_mlp):
        seen.page.fill("#panel-neuron_explorer input", str(neuron))
        seen.page.press("#panel-neuron_explorer input", "Enter")
        shown, fit = (shown_map(seen, place).astype(float) for place in (0, 1))
        assert np.abs(shown - activations[..., neuron]).max() < 0.1 * activations.max()
        found = neuron_frequencies(take_rows(waves, torch.from_numpy(shown.reshape(P * P, 1))), harmonics=waves)
        if bool(found.dead[0]):
            continue
        alive += 1
        about = seen.page.inner_text("#panel-neuron_explorer .about")
        assert f"frequency {int(found.frequency[0])} explains {100 * float(found.share[0]):.1f} %" in about
        assert np.isnan(fit[0]).all()
        assert np.isnan(fit[:, 0]).all()
        inner, fitted = shown[1:, 1:], fit[1:, 1:]
        residual = ((inner - fitted) ** 2).sum() / ((inner - inner.mean()) ** 2).sum()
        assert residual == pytest.approx(1 - float(found.share[0]), abs=1e-3)
    assert alive > 5
    assert seen.said == []
    seen.page.context.close()


def test_a_neuron_of_a_model_without_the_equals_sign_is_what_the_model_computes(browser: Browser, tmp_path: Path) -> None:
    p, path = 20, tmp_path / "without.html"
    models = [random_weights(p, dtype=torch.float32, equals_sign=False, seed=seed) for seed in range(len(STEPS))]
    neurons = explorer(STEPS, [neuron_tables(model) for model in models])
    html = page(built_in()[1], [neurons]).html
    assert '"codec":"q2"' not in html
    path.write_text(html, encoding="utf-8")
    seen = visit(browser, path, fragment=f"#step={STEPS[2]}")
    activations = forward(models[2], ModularTask(p, equals_sign=False).pairs).neurons.reshape(p, p, -1).numpy()
    for neuron in (0, 3):
        seen.page.fill("#panel-neuron_explorer input", str(neuron))
        seen.page.press("#panel-neuron_explorer input", "Enter")
        assert np.abs(shown_map(seen, 0) - activations[..., neuron]).max() < 0.1 * activations.max()
    assert seen.said == []
    seen.page.context.close()


def test_a_number_beyond_the_last_neuron_is_the_last_neuron(browser: Browser, explored: Path) -> None:
    seen = visit(browser, explored, fragment=f"#step={STEPS[0]}")
    seen.page.fill("#panel-neuron_explorer input", "999999")
    seen.page.press("#panel-neuron_explorer input", "Enter")
    assert int(seen.page.input_value("#panel-neuron_explorer input")) == growing(1.0).d_mlp - 1
    assert "at step 0:" in seen.page.inner_text("#panel-neuron_explorer .about")
    assert seen.said == []
    seen.page.context.close()


def test_many_runs_with_long_names_fit_a_narrow_window(browser: Browser, tmp_path: Path) -> None:
    series = [retold(one, run="a_name_without_any_space_" * 4 + str(i)) for i, one in enumerate(runs() * 3)]
    path = tmp_path / "many.html"
    path.write_text(compare(series).html, encoding="utf-8")
    seen = visit(browser, path, width=400)
    for width in (400, 1280):
        seen.page.set_viewport_size({"width": width, "height": 900})
        seen.page.wait_for_timeout(400)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.evaluate(OVERLAPS) == [], width
    assert seen.said == []
    seen.page.context.close()


def test_compared_runs_are_drawn(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "compared.html"
    path.write_text(compare(runs()).html, encoding="utf-8")
    seen = visit(browser, path, width=400)
    assert seen.page.locator(".graph .scatterlayer .trace").count() >= 12
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert seen.said == []
    seen.page.context.close()
