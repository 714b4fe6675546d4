"""The report of a run that is being trained, in a real Chromium: it grows in place, and readers keep their place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from growing import STEPS
from growing_run import Growing, Served, a_growing_run, served
from playwright.sync_api import Browser, Error, Page
from visiting import hear, leave_tab, open_tab, until

from interp.live import follower as following

pytestmark = pytest.mark.browser

ANALYSES = ("loss_curves", "progress_measures", "embedding_circles", "neuron_frequencies", "neuron_explorer", "dissection")
ON_THIS_MACHINE = ("http://127.0.0.1:", "data:", "blob:")


@dataclass
class Tab:
    """An open tab, and everything it said or asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = hear(self.page, self.said, self.asked)

    def leave(self) -> None:
        """End the visit; whoever comes next finds nothing of it."""
        self._stop()
        leave_tab(self.page)

    def until(self, expression: str, arg: object = None) -> None:
        """Wait for something to hold, over reloads."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                return until(self.page, expression, arg, seconds=end - time.monotonic())
            except Error as error:
                if "navigation" not in str(error):
                    raise
        raise AssertionError(f"not within two minutes, over reloads: {expression}")

    def until_version(self, version: int) -> None:
        """Until everything of a version is drawn."""
        self.until("version => typeof shown !== 'undefined' && shown && shown.source.live === version", version)
        self.until("() => document.documentElement.dataset.ready && shown.panels.every(({ shown }) => shown >= 0)")

    def until_told(self, text: str) -> None:
        """Until the bar of the live page says something: what it says comes with the next answer, after what is drawn."""
        self.until("text => document.querySelector('.live').innerText.includes(text)", text)

    def step(self) -> int:
        return int(self.page.text_content("#now").replace(",", ""))

    def checkpoints(self) -> int:
        return int(self.page.get_attribute("#slider", "max")) + 1


@pytest.fixture
def run(tmp_path, monkeypatch) -> Iterator[Growing]:
    monkeypatch.setattr(following, "_BUILD_SECONDS", 0.0)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(following, "FAREWELL_SECONDS", 1.0)
    with a_growing_run(tmp_path / "run") as growing:
        yield growing


@pytest.fixture
def live(run: Growing) -> Iterator[Served]:
    with served(run.path, analyses=ANALYSES) as serving:
        yield serving


def visit(browser: Browser, url: str) -> Tab:
    tab = Tab(open_tab(browser, offline=False))
    tab.page.goto(url)
    return tab


def leave(*tabs: Tab) -> None:
    """Leave tabs; none of them may have complained or asked for anything elsewhere."""
    for tab in tabs:
        assert tab.said == []
        assert [url for url in tab.asked if not url.startswith(ON_THIS_MACHINE)] == []
        tab.leave()


def test_who_waits_gets_the_report_with_the_first_checkpoint(browser: Browser, run: Growing, live: Served) -> None:
    tab = visit(browser, live.url)
    tab.until("document.getElementById('line').textContent.startsWith('Training: step 0 of 400')")
    assert tab.page.inner_text("h1") == "The report begins with the first checkpoint"
    run.grow()
    tab.until_version(1)
    assert tab.checkpoints() == 1
    tab.until_told("Training: step 0 of 400, 1 checkpoint.")
    leave(tab)


def test_the_page_grows_in_place_and_keeps_what_was_chosen(browser: Browser, run: Growing, live: Served) -> None:
    run.grow(2)
    tab = visit(browser, live.url)
    tab.until_version(1)
    page = tab.page
    words = page.inner_text("h1")
    run.grow()  # of a single step beside 0 there is no scale to choose
    tab.until_version(2)
    page.evaluate("window.mark = document.querySelector('#panel-loss_curves .plot').mark = 'the same'")
    page.click("#theme")
    page.click("#theme")
    page.click("#stepscale")
    page.click("#panel-loss_curves [data-tool=log]")
    page.click("#panel-loss_curves .legend .item >> nth=1")
    page.click(".hero details summary >> nth=0")
    page.click("#panel-progress_measures .numbers summary")
    page.fill("#panel-neuron_explorer input", "7")
    page.press("#panel-neuron_explorer input", "Enter")
    page.focus("#slider")
    page.keyboard.press("Home")
    tab.until("location.hash === '#step=0'")
    page.evaluate("scrollTo(0, document.querySelector('#panel-embedding_circles').offsetTop)")
    top = "document.querySelector('#panel-embedding_circles').getBoundingClientRect().top"
    before = page.evaluate(top)
    run.grow(3)
    tab.until_version(3)
    assert page.evaluate("[window.mark, document.querySelector('#panel-loss_curves .plot').mark]") == ["the same", "the same"]
    assert (tab.step(), tab.checkpoints()) == (0, 6)
    assert page.evaluate("location.hash") == "#step=0"
    assert page.evaluate("document.activeElement.id") == "slider"
    assert page.get_attribute("html", "data-theme") == "dark"
    assert abs(page.evaluate(top) - before) < 40
    assert page.inner_text("h1") != words
    assert "generalized" in page.title()
    assert page.get_attribute(".hero details >> nth=0", "open") is not None
    assert page.input_value("#panel-neuron_explorer input") == "7"
    assert page.get_attribute("#panel-loss_curves .legend .item >> nth=1", "aria-pressed") == "false"
    graph = "document.querySelector('#panel-loss_curves .graph')"
    assert page.evaluate(f"[{graph}.layout.xaxis.type, {graph}.layout.yaxis.type]") == ["log", "linear"]
    assert page.evaluate(f"{graph}.data.map(({{ visible }}) => visible !== false)") == [True, False]
    assert page.evaluate(f"Math.max(...{graph}.data[0].x)") == STEPS[5]
    numbers = "document.querySelector('#panel-progress_measures .numbers td').textContent"
    at_0 = page.evaluate(numbers)
    page.focus("#slider")
    page.keyboard.press("End")
    tab.until("document.querySelector('#now').textContent === '400'")
    tab.until(f"before => {numbers} !== before", at_0)
    tab.until("() => shown.panels.every(({ shown }) => shown === 5)")
    leave(tab)


def test_who_looks_at_the_newest_checkpoint_follows_and_a_reload_keeps_the_place(
    browser: Browser, run: Growing, live: Served
) -> None:
    run.grow(3)
    follows, stays = (visit(browser, live.url) for _ in range(2))
    for tab in (follows, stays):
        tab.until_version(1)
        assert tab.step() == STEPS[2]
    stays.page.keyboard.press("ArrowLeft")
    follows.page.keyboard.press("ArrowLeft")
    follows.page.keyboard.press("ArrowRight")  # its address has a step now
    stays.until("location.hash === '#step=10'")
    follows.until("location.hash === '#step=100'")
    run.grow()
    for tab, step in ((follows, STEPS[3]), (stays, 10)):
        tab.until_version(2)
        assert (tab.step(), tab.checkpoints()) == (step, 4)
    for tab in (follows, stays):
        tab.page.keyboard.press("Shift")  # a poll later it has noted where it stands
    run.grow()
    for tab in (follows, stays):
        tab.until_version(3)
    follows.page.wait_for_timeout(1500)  # for both
    for tab in (follows, stays):
        tab.page.reload()
        tab.until_version(3)
    assert (follows.step(), stays.step()) == (STEPS[4], 10)
    run.grow()
    for tab, step in ((follows, STEPS[5]), (stays, 10)):
        tab.until_version(4)
        assert tab.step() == step
    leave(follows, stays)


def test_a_reload_at_the_newest_checkpoint_leads_to_the_newest_though_the_address_names_another(
    browser: Browser, run: Growing, live: Served
) -> None:
    run.grow(2)
    tab = visit(browser, live.url)
    tab.until_version(1)
    for key in ("ArrowLeft", "ArrowRight"):
        tab.page.keyboard.press(key)
    tab.until("location.hash === '#step=10'")
    tab.until("sessionStorage.getItem('interp.place') === 'newest'")
    tab.page.context.set_offline(True)  # it must not take in what is new by itself
    run.grow()
    live.until(lambda: live.version() == 2)
    tab.page.context.set_offline(False)
    tab.page.reload()
    tab.until_version(2)
    tab.until("document.querySelector('#now').textContent === '100'")
    tab.leave()


def test_at_the_end_every_viewer_has_the_last_page_and_can_read_on(
    browser: Browser, run: Growing, live: Served, monkeypatch
) -> None:
    monkeypatch.setattr(following, "FAREWELL_SECONDS", 20.0)
    run.grow(4)
    tabs = [visit(browser, live.url) for _ in range(3)]
    for tab in tabs:
        tab.until_version(1)
    run.grow(2, finish=True)
    for tab in tabs:
        tab.until("document.querySelector('.live').dataset.state === 'ended'")
    live.thread.join(60)
    assert not live.thread.is_alive()  # the server is gone
    asked = [len(tab.asked) for tab in tabs]
    for tab in tabs:
        assert tab.checkpoints() == 6
        tab.until_told("The run is finished: all 400 steps.")
        tab.until_told("no longer updated")
        tab.page.keyboard.press("ArrowLeft")
        tab.until("() => shown.panels.every(({ shown }) => shown === 4)")
    tabs[0].page.wait_for_timeout(2500)  # for all of them
    for tab, before in zip(tabs, asked, strict=True):
        assert [url for url in tab.asked[before:] if url.startswith("http:")] == []
    leave(*tabs)


def test_an_interrupted_run_is_called_so(browser: Browser, run: Growing, live: Served, monkeypatch) -> None:
    monkeypatch.setattr(following, "FAREWELL_SECONDS", 20.0)
    run.grow(3)
    tab = visit(browser, live.url)
    tab.until_version(1)
    live.gone.set()
    tab.until("document.querySelector('.live').dataset.state === 'ended'")
    tab.until_told("The run was interrupted at step 100")
    live.thread.join(60)
    leave(tab)


def test_whoever_is_left_without_a_server_is_told(browser: Browser, run: Growing, live: Served) -> None:
    run.grow(3)
    tab = visit(browser, live.url)
    tab.until_version(1)
    tab.page.context.set_offline(True)
    tab.until("document.querySelector('.live').dataset.state === 'ended'")
    tab.until_told("No longer connected")
    assert all("ERR_INTERNET_DISCONNECTED" in line for line in tab.said)
    tab.leave()


def test_trouble_is_shown_and_passes(browser: Browser, run: Growing, live: Served) -> None:
    run.grow(2)
    tab = visit(browser, live.url)
    tab.until_version(1)
    live.published.tell(trouble="<b>disk</b> on fire")
    tab.until("document.querySelector('.live').dataset.state === 'trouble'")
    tab.until_told("<b>disk</b> on fire")
    run.grow()
    tab.until_version(2)
    tab.until("document.querySelector('.live').dataset.state === 'live'")
    assert "fire" not in tab.page.inner_text(".live")
    leave(tab)


def test_the_page_may_ask_its_own_server_and_nobody_else(browser: Browser, run: Growing, live: Served) -> None:
    run.grow(2)
    tab = visit(browser, live.url)
    tab.until_version(1)
    answer = "url => fetch(url).then(() => 'answered', (error) => error.name)"
    assert tab.page.evaluate(answer, f"{live.url}state") == "answered"
    assert tab.said == []
    for elsewhere in ("http://127.0.0.1:1/", "https://example.invalid/", live.url.replace("127.0.0.1", "localhost")):
        assert tab.page.evaluate(answer, elsewhere) == "TypeError"
    assert len(tab.said) >= 3
    assert all("Content Security Policy" in line for line in tab.said)
    tab.leave()


def test_the_live_bar_fits_and_can_be_read(browser: Browser, run: Growing, live: Served) -> None:
    run.grow(2)
    tab = visit(browser, live.url)
    tab.until_version(1)
    for width in (400, 1920):
        tab.page.set_viewport_size({"width": width, "height": 900})
        tab.page.wait_for_timeout(500)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        box = tab.page.locator(".live").bounding_box()
        assert (box["x"], box["width"]) == (0, width)
    tab.page.emulate_media(media="print")
    assert not tab.page.is_visible(".live")
    tab.page.emulate_media(media="screen")
    leave(tab)
