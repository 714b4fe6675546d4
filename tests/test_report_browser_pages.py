"""Other pages in a real browser: hostile names, a user's figure, one checkpoint, many runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from growing import built_in
from page_parts import hostile_page
from playwright.sync_api import Browser
from retelling import retold
from test_report_compare import runs
from visiting import until, visit

from interp.reporting import Panel, page
from interp.reporting.compare import compare
from interp.reporting.write import panels

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
    seen.leave()


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
    seen.leave()


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
    seen.leave()


def test_a_run_with_one_checkpoint_and_no_phases_is_shown(browser: Browser, tmp_path: Path) -> None:
    analyses, series = built_in()
    one = series.isel(step=[0], history_step=[0])
    one = retold(one, phases="{}", outcome="unknown")
    path = tmp_path / "one.html"
    path.write_text(page(one, panels(one, analyses)).html, encoding="utf-8")
    seen = visit(browser, path)
    assert seen.said == []
    assert seen.page.get_attribute("html", "data-failed") is None
    seen.leave()


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
    seen.leave()


def test_many_runs_with_long_names_fit_a_narrow_window(browser: Browser, tmp_path: Path) -> None:
    series = [retold(one, run="a_name_without_any_space_" * 4 + str(i)) for i, one in enumerate(runs() * 3)]
    path = tmp_path / "many.html"
    path.write_text(compare(series).html, encoding="utf-8")
    seen = visit(browser, path, width=400)
    for width in (400, 1280):
        if width != 400:
            seen.resize(width)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.evaluate(OVERLAPS) == [], width
    assert seen.said == []
    seen.leave()


def test_compared_runs_are_drawn(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "compared.html"
    path.write_text(compare(runs()).html, encoding="utf-8")
    seen = visit(browser, path, width=400)
    assert seen.page.locator(".graph .scatterlayer .trace").count() >= 12
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert seen.said == []
    seen.leave()
