"""How the page looks in a real browser: nothing overlaps or is cut, themes, scales, numbers, paper."""

from __future__ import annotations

import base64
import csv
import io
import re
from pathlib import Path

import pytest
from growing import STEPS, built_in
from playwright.sync_api import Browser
from visiting import Visit, until, visit

from interp.figures import Table, Tables
from interp.reporting import Panel, page

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
        fresh.resize(width)
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
        seen.resize(width)
        assert seen.page.evaluate(CLIPPED) == [], width
        assert seen.page.evaluate(OVERLAPS) == [], width
    seen.leave()


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
    seen.leave()


def test_plots_of_a_row_stand_side_by_side_where_they_fit(fresh: Visit) -> None:
    for width in (1277, 1280):  # the text takes a fraction of a pixel
        fresh.resize(width)
        for name in ("progress_measures", "embedding_spectrum", "attention_patterns"):
            lines = f"[...document.querySelectorAll('#panel-{name} .cells > .line')]"
            tops = f"[...{lines}.at(-1).children].map((cell) => cell.offsetTop)"
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
    seen.leave()


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
    assert len(re.findall(rb"/Type /Page\b", pdf)) <= 21  # more where every panel begins one
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
    seen.leave()
