"""A study's page in a real Chromium while its runs come in: it is renewed in place, and readers keep what they chose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from growing_run import Served
from playwright.sync_api import Browser
from small_study import small_study
from test_live_browser import ON_THIS_MACHINE, Tab, visit
from test_study_live import SETTINGS, at_once, come, served_study, whole  # noqa: F401  fixtures

from interp import Study
from interp.forecasting.early_word import ToldEarly
from interp.reporting import study_source

pytestmark = pytest.mark.browser


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = small_study(tmp_path, **SETTINGS)
    made.save()
    return made


@pytest.fixture
def live(study: Study) -> Iterator[Served]:
    with served_study(study.folder) as serving:
        yield serving


def until_version(tab: Tab, version: int) -> None:
    """Until everything of a version, or a later one, is drawn."""
    tab.until("version => typeof shown !== 'undefined' && shown && shown.source.live >= version", version)
    tab.until("() => document.documentElement.dataset.ready")
    tab.until("() => document.querySelector('#phase-map .place') !== null")


def leave(tab: Tab) -> None:
    assert tab.said == []
    assert [url for url in tab.asked if not url.startswith(ON_THIS_MACHINE)] == []
    tab.leave()


def finished(tab: Tab) -> int:
    return tab.page.evaluate("shown.column('status').values.filter((status) => status === 'finished').length")


def test_runs_come_in_and_what_was_chosen_stays(browser: Browser, study: Study, live: Served, whole: Study) -> None:  # noqa: F811
    come(study, whole, 0, 3)
    tab = visit(browser, live.url)
    until_version(tab, 1)
    page = tab.page
    assert finished(tab) == 2
    tab.until_told("Under way: 2 of 6 runs finished.")
    page.evaluate("window.mark = document.querySelector('#curves').mark = 'the same'")
    page.click("#theme")
    page.click("#theme")
    page.select_option("#choose-question select", "share_grokked")
    page.select_option("#choose-facts select >> nth=1", "test_loss")
    page.click("#phase-map .place >> nth=1")
    page.click("#cell-runs button >> nth=1")
    run = page.text_content("#run-command")
    page.locator("#curves").scroll_into_view_if_needed()
    box = page.locator("#curves .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 90, steps=4)
    page.mouse.up()
    tab.until("document.querySelector('#curves').layout.xaxis.range[0] > 0")
    enlarged = page.evaluate("document.querySelector('#curves').layout.xaxis.range")
    page.fill("#choose-runs input[type=search]", "finished")
    page.click(".hero details summary >> nth=0")
    page.focus("#choose-runs input[type=search]")
    words = page.inner_text(".lede >> nth=0")
    come(study, whole, 1, 4, 5)
    tab.until("() => shown.column('status').values.filter((status) => status === 'finished').length === 5")
    tab.until("() => document.querySelectorAll('#runs tbody tr').length === 5")
    assert page.evaluate("[window.mark, document.querySelector('#curves').mark]") == ["the same", "the same"]
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.input_value("#choose-question select") == "share_grokked"
    assert page.input_value("#choose-facts select >> nth=1") == "test_loss"
    assert page.get_attribute("#phase-map .place >> nth=1", "aria-pressed") == "true"
    assert page.text_content("#run-command") == run
    assert page.evaluate("document.querySelector('#curves').layout.xaxis.range") == enlarged
    assert page.input_value("#choose-runs input[type=search]") == "finished"
    assert page.evaluate("document.activeElement.type") == "search"
    assert page.get_attribute(".hero details >> nth=0", "open") is not None
    assert page.inner_text(".lede >> nth=0") != words
    assert "fitted once no run is under way" in page.text_content("#law-said")
    come(study, whole, 2)
    tab.until("document.querySelector('.live').dataset.state === 'ended'")
    assert finished(tab) == 6
    assert "No law is fitted" in page.text_content("#law-said")
    tab.until_told("The study is finished: 6 runs.")
    leave(tab)


def test_forecasts_come_with_the_last_page(
    browser: Browser,
    study: Study,
    live: Served,
    whole: Study,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(study_source, "foretold", lambda path: ToldEarly(1, "groks", 9, 7.0, 11.0))
    come(study, whole, 0, 1)
    tab = visit(browser, live.url)
    until_version(tab, 1)
    assert not tab.page.is_visible("#panel-told")
    tab.page.focus("#runs thead button >> nth=3")
    come(study, whole, *range(2, 6))
    tab.until("document.querySelector('.live').dataset.state === 'ended'")
    tab.until_told("This page is complete")
    assert tab.page.is_visible("#panel-told")
    assert "A date was named for 6 runs." in tab.page.text_content("#told-said")
    assert tab.page.evaluate("document.querySelector('#told').data[1].x.length") == 6
    assert tab.page.evaluate("document.activeElement === document.querySelectorAll('#runs thead button')[3]")
    assert tab.page.evaluate("document.querySelectorAll('#runs tbody tr').length") == 6
    leave(tab)


def test_a_page_that_could_not_be_drawn_is_not_called_complete(
    browser: Browser,
    study: Study,
    live: Served,
    whole: Study,  # noqa: F811
) -> None:
    come(study, whole, 0)
    tab = visit(browser, live.url)
    until_version(tab, 1)
    tab.page.evaluate("() => { shown.draw = async () => { throw new Error('no room'); }; }")
    come(study, whole, *range(1, 6))
    tab.until_told("The study is finished: 6 runs.")
    tab.until_told("What is new could not be shown: no room.")
    tab.page.wait_for_timeout(2_500)  # it asks twice meanwhile
    assert "complete" not in tab.page.inner_text(".live")
    tab.page.evaluate("() => { delete shown.draw; }")
    tab.until_told("This page is complete")
    assert tab.page.evaluate("document.querySelectorAll('#runs tbody tr').length") == 6
    leave(tab)


def test_the_keyboard_stays_where_it_was(browser: Browser, study: Study, live: Served, whole: Study) -> None:  # noqa: F811
    come(study, whole, 0, 1)
    tab = visit(browser, live.url)
    until_version(tab, 1)
    places = {
        "#phase-map .place >> nth=2": "document.activeElement === document.querySelectorAll('#phase-map .place')[2]",
        "#cell-runs button >> nth=1": "document.activeElement === document.querySelectorAll('#cell-runs button')[1]",
        "#runs thead button >> nth=3": "document.activeElement === document.querySelectorAll('#runs thead button')[3]",
    }
    for number, (place, stays) in enumerate(places.items(), start=2):
        tab.page.focus(place)
        element = tab.page.evaluate_handle("document.activeElement")
        come(study, whole, number)
        tab.until("n => shown.column('status').values.filter((status) => status === 'finished').length === n", number + 1)
        tab.until("old => !old.isConnected", element)  # it was drawn anew
        tab.until(stays)
    leave(tab)


def test_values_that_are_added_appear_and_the_cell_stays(browser: Browser, study: Study, live: Served, whole: Study) -> None:  # noqa: F811
    come(study, whole, 0, 4)
    tab = visit(browser, live.url)
    until_version(tab, 1)
    tab.page.click("#phase-map .place >> nth=2")  # weight decay 2
    tab.until("document.querySelector('#cell-said').textContent.startsWith('weight decay 2:')")
    small_study(Path(study.root), **{**SETTINGS, "vary": {"optimizer.weight_decay": [0.5, 1.0, 2.0, 1.5]}}).save()
    come(study, whole, 1)
    tab.until("document.querySelectorAll('#phase-map .place').length === 4")
    tab.until("document.querySelector('#cell-said').textContent.startsWith('weight decay 2:')")
    assert tab.page.get_attribute("#phase-map .place >> nth=3", "aria-pressed") == "true"
    assert "1.5" in tab.page.text_content("#panel-plan")
    shutil.rmtree(study.folder)
    leave(tab)
