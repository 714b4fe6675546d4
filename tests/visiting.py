"""Visiting a report in a real, offline Chromium: an open page, and everything it said or asked for.

Whoever leaves a page gives its tab to the next visitor, blank and with nothing remembered. In a new one plotly would be compiled
anew, which takes the processor longer than all else that happens on most pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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

# Counts how often the page has been drawn anew as a whole.
COUNT = """() => {
    if (shown.redraws !== undefined) return;
    const redraw = shown.redraw;
    shown.redraws = 0;
    shown.redraw = async () => { await redraw.call(shown); shown.redraws += 1; };
}"""


def until(page: Page, expression: str, arg: object = None, *, seconds: float = 60) -> None:
    """Wait for an expression, or a function of `arg`, to hold. (Playwright's own waiting calls eval, which the page forbids.)"""
    end = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"waited {seconds} s in vain for {expression}"
        page.wait_for_timeout(20)


# Tabs that nobody is in, of each browser.
IDLE: dict[Browser, list[Page]] = {}


def open_tab(browser: Browser, *, width: int = 1280, theme: str = "light", offline: bool = True) -> Page:
    """A blank tab."""
    idle = IDLE.setdefault(browser, [])
    page = idle.pop() if idle else browser.new_context().new_page()
    page.context.set_default_timeout(60_000)
    page.context.set_offline(offline)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media="null", color_scheme=theme)
    return page


def leave_tab(page: Page) -> None:
    """Make a tab blank for the next visitor."""
    page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
    page.mouse.move(0, 0)
    page.goto("about:blank")
    IDLE[page.context.browser].append(page)


def hear(page: Page, said: list[str], asked: list[str]) -> Callable[[], None]:
    """Write down what a page says and asks for; returns what ends that."""
    heard = {
        "console": lambda message: said.append(f"{message.type}: {message.text}"),
        "pageerror": lambda error: said.append(f"error: {error}"),
        "dialog": lambda dialog: said.append(f"dialog: {dialog.message}"),
        "request": lambda request: asked.append(request.url),
    }
    for event, note in heard.items():
        page.on(event, note)

    def stop() -> None:
        for event, note in heard.items():
            page.remove_listener(event, note)

    return stop


@dataclass
class Visit:
    """An open page and everything it said or asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = hear(self.page, self.said, self.asked)

    def leave(self) -> None:
        """End the visit; whoever comes next finds nothing of it."""
        self._stop()
        leave_tab(self.page)

    def step(self) -> int:
        return int(self.page.text_content("#now").replace(",", ""))

    def wait_for_step(self, step: int) -> None:
        """Until the readout and every figure show this step."""
        until(self.page, "step => document.querySelector('#now').textContent.replace(',', '') === String(step)", arg=step)
        until(self.page, AT_INDEX, arg=STEPS.index(step))
        until(self.page, "step => location.hash === `#step=${step}`", arg=step)

    def resize(self, width: int) -> None:
        """Give the window another width, and wait until the page has drawn itself in it."""
        self.page.evaluate(COUNT)
        before = self.page.evaluate("shown.redraws")
        self.page.set_viewport_size({"width": width, "height": 900})
        until(self.page, "before => shown.redraws > before", before)

    def values(self, name: str, attribute: str) -> list:
        """An attribute of all traces of a panel, as numbers."""
        return self.page.evaluate(READ, [name, attribute])


def visit(browser: Browser, path: Path, *, fragment: str = "", width: int = 1280, theme: str = "light") -> Visit:
    """Open a page and wait until it is ready."""
    seen = Visit(open_tab(browser, width=width, theme=theme))
    seen.page.goto(path.as_uri() + fragment)
    seen.page.wait_for_selector("html[data-ready]")
    return seen
