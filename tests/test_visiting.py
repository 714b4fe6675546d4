"""The tabs in which the report's tests visit pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from visiting import visit

PAGE = "<!DOCTYPE html><html data-ready><title>Page</title><body style='height: 3000px'></body></html>"
REMEMBERED = """() => [
    localStorage.length, sessionStorage.length, typeof window.left, matchMedia("print").matches,
    matchMedia("(prefers-color-scheme: dark)").matches, innerWidth, scrollY, document.visibilityState,
]"""


@pytest.mark.browser
def test_whoever_comes_next_finds_nothing_of_a_visit(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    first = visit(browser, path, theme="dark", width=400)
    first.page.evaluate("() => { localStorage.left = sessionStorage.left = window.left = 'this'; scrollTo(0, 1000); }")
    first.page.emulate_media(media="print")
    first.page.evaluate("console.log('told')")
    first.leave()
    assert first.said == ["log: told"]
    second = visit(browser, path)
    assert second.page is first.page
    assert second.page.evaluate(REMEMBERED) == [0, 0, "undefined", False, False, 1280, 0, "visible"]
    second.page.evaluate("console.log('again')")
    assert (first.said, second.said) == (["log: told"], ["log: again"])
    assert [url.partition(":")[0] for url in second.asked] == ["file"]
    second.leave()
