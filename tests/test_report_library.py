"""The library in a page: the small bundle where it draws all there is, the whole otherwise; both checked in a real browser."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest
from growing import built_in
from playwright.sync_api import Browser
from plotly.offline import get_plotlyjs, get_plotlyjs_version
from visiting import Visit, visit

from interp.reporting import Panel, library, page
from interp.reporting.library import SMALL_DRAWS, SMALL_VERSION, library_for

# Of the file in the npm package that plotlyjs/README.md names.
SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"


def test_the_bundle_is_the_published_one_and_of_the_version_that_figures_are_made_for() -> None:
    folder = Path(library.__file__).parent / "plotlyjs"
    assert hashlib.sha256((folder / "plotly-cartesian.min.js").read_bytes()).hexdigest() == SHA256
    assert get_plotlyjs_version() == SMALL_VERSION, "renew the bundle: see interp/reporting/plotlyjs/README.md"
    assert f"plotly.js-cartesian-dist-min@{SMALL_VERSION}" in (folder / "README.md").read_text()


def test_the_small_bundle_is_taken_where_it_draws_everything() -> None:
    small, whole = library_for({"scatter", "heatmap"}), library_for({"scatter", "scatterpolar"})
    assert f"v{SMALL_VERSION}" in small.notice
    assert "MIT license" in small.notice
    assert whole.script == get_plotlyjs().replace("\r\n", "\n")
    assert 2.5 * len(small.packed) < len(whole.packed)


@pytest.mark.parametrize(("version", "name"), [("4.1.9", "cartesian"), ("4.2.0", "whole"), ("5.1.1", "whole")])
def test_figures_made_for_another_version_are_drawn_by_it(version: str, name: str, monkeypatch) -> None:
    monkeypatch.setattr("plotly.offline.get_plotlyjs_version", lambda: version)
    assert library_for({"scatter"}).name == name


def polar(series) -> go.Figure:
    return go.Figure(go.Scatterpolar(r=[1, 2, 3], theta=[0, 90, 200]))


def opened(browser: Browser, path: Path, figure) -> Visit:
    path.write_text(page(built_in()[1], [Panel("own", "Mine?", "Mine.", figure)]).html, encoding="utf-8")
    return visit(browser, path)


@pytest.mark.browser
def test_the_small_bundle_draws_what_it_is_said_to_draw(browser: Browser, tmp_path: Path) -> None:
    seen = opened(browser, tmp_path / "small.html", lambda series: go.Figure(go.Bar(x=[1], y=[2])))
    assert set(seen.page.evaluate("Object.keys(Plotly.PlotSchema.get().traces)")) == SMALL_DRAWS
    assert seen.page.evaluate("Plotly.version") == SMALL_VERSION
    assert seen.page.locator(".barlayer .point").count() == 1
    assert seen.said == []
    seen.page.context.close()


@pytest.mark.browser
def test_a_users_figure_of_another_kind_is_drawn_by_the_whole(browser: Browser, tmp_path: Path) -> None:
    seen = opened(browser, tmp_path / "whole.html", polar)
    assert seen.page.locator(".polarlayer .scatterlayer .trace").count() == 1
    assert seen.said == []
    assert re.search(r"plotly\.js v", seen.page.content())
    seen.page.context.close()
