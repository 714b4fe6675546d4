"""Visiting a report in a real, offline Chromium: an open page, and everything it said or asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from growing import STEPS
from playwright.sync_api import Browser, Page

READ = """([name, attribute]) => {
    const plain = (key, value) => (ArrayBuffer.isView(value) ? [...value] : value);
    const traces = [...document.querySelectorAll(`#panel-${name} .graph`)].flatMap((graph) => graph.data);
    return traces.map((trace) => JSON.parse(JSON.stringify(trace[attribute] ?? null, plain)));
}"""

AT_INDEX = """(index) => [...document.querySelectorAll(".graph")].every(
    (graph) => String(graph.layout.datarevision).split(" ")[0] === String(index) || !graph.dataset.moves)"""


def until(page: Page, expression: str, arg: object = None, *, seconds: float = 60) -> None:
    """Wait for an expression, or a function of `arg`, to hold. (Playwright's own waiting calls eval, which the page forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"waited {seconds} s in vain for {expression}"
        page.wait_for_timeout(20)


@dataclass
class Visit:
    """An open page and everything it said or asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def step(self) -> int:
        return int(self.page.text_content("#now").replace(",", ""))

    def wait_for_step(self, step: int) -> None:
        """Until the readout and every figure show this step."""
        until(self.page, "step => document.querySelector('#now').textContent.replace(',', '') === String(step)", arg=step)
        until(self.page, AT_INDEX, arg=STEPS.index(step))
        until(self.page, "step => location.hash === `#step=${step}`", arg=step)

    def values(self, name: str, attribute: str) -> list:
        """An attribute of all traces of a panel, as numbers."""
        return self.page.evaluate(READ, [name, attribute])


def visit(browser: Browser, path: Path, *, fragment: str = "", width: int = 1280, theme: str = "light", **options) -> Visit:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, offline=True, **options)
    context.set_default_timeout(60_000)
    seen = Visit(context.new_page())
    seen.page.on("console", lambda message: seen.said.append(f"{message.type}: {message.text}"))
    seen.page.on("pageerror", lambda error: seen.said.append(f"error: {error}"))
    seen.page.on("dialog", lambda dialog: seen.said.append(f"dialog: {dialog.message}"))
    seen.page.on("request", lambda request: seen.asked.append(request.url))
    seen.page.goto(path.as_uri() + fragment)
    seen.page.wait_for_selector("html[data-ready]")
    return seen
