"""A run with many key frequencies and many heads: every title and name stays inside its figure, on any width and on paper."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import xarray as xr
from exploring import explorer
from playwright.sync_api import Browser
from random_models import random_weights
from retelling import retold, saying
from visiting import Visit, until, visit

from interp.figures import CYCLE, IN_TITLE, Cell, curve, draw
from interp.networks.neuron_tables import neuron_tables
from interp.networks.one_layer import Weights, forward
from interp.observing.analysis import find_analyses
from interp.observing.view import View
from interp.reporting import Panel, page
from interp.reporting.write import panels
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

P, KEYS, STEPS = 31, tuple(range(2, 16)), [0, 50, 400]
TASK = ModularTask(P)
SPLIT = SplitConfig(fraction=0.5, seed=3).draw(TASK)
NAMES = ["progress_measures", "embedding_circles", "neuron_frequencies", "neuron_logit_map", "attention_patterns"]

# Titles, names of phases and names in legends that are not wholly inside what they belong to, or lie on each other.
MISPLACED = """() => {
    const found = [];
    const box = (e) => e.getBoundingClientRect();
    const out = (a, b) => a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
    for (const cell of document.querySelectorAll(".cell")) {
        const notes = [...cell.querySelectorAll(".annotation-text")];
        const texts = notes.map((e) => [e.textContent, box(e)]).filter(([, b]) => b.width);
        for (const [text, b] of texts) if (out(b, box(cell))) found.push(["outside", text]);
        texts.forEach(([one, a], i) => texts.slice(i + 1).forEach(([other, b]) => {
            const apart = a.right < b.left || b.right < a.left || a.bottom < b.top + 1 || b.bottom < a.top + 1;
            if (!apart) found.push(["on each other", one, other]);
        }));
    }
    for (const item of document.querySelectorAll(".item")) {
        if (out(box(item), box(item.closest(".plot")))) found.push(["legend", item.textContent]);
    }
    for (const head of document.querySelectorAll("th")) {
        if (head.scrollWidth > head.clientWidth) found.push(["cut", head.textContent]);
    }
    return found;
}"""
# Names of phases and how far below the top of their plot they reach.
ON_CURVES = """() => [...document.querySelectorAll(".cell")].flatMap((cell) => {
    const plot = cell.querySelector(".nsewdrag")?.getBoundingClientRect();
    const notes = [...cell.querySelectorAll(".annotation-text")];
    const names = notes.filter((e) => ["circuit formation", "cleanup"].includes(e.textContent));
    return names.map((e) => [e.textContent, e.getBoundingClientRect().bottom - plot.top]);
})"""


def weights_with_a_dead_neuron() -> Weights:
    weights = random_weights(P, n_heads=8, d_mlp=12, dtype=torch.float32, seed=5)
    tensors = weights.tensors()
    dead = tensors["W_in"].clone()
    dead[:, 3] = 0
    bias = tensors["b_in"].clone()
    bias[3] = -1
    return Weights.from_tensors({**tensors, "W_in": dead, "b_in": bias})


def many() -> tuple[list, xr.Dataset, Weights]:
    analyses, weights = find_analyses(NAMES), weights_with_a_dead_neuron()
    models = [random_weights(P, n_heads=8, d_mlp=12, dtype=torch.float32, seed=seed) for seed in (1, 2)]
    series = xr.Dataset(coords={"step": STEPS})
    for analysis in analyses:
        found = [analysis.measure(View(0, model, TASK, SPLIT, KEYS, {})) for model in (*models, weights)]
        for name in found[0]:
            rows = [one[name] if isinstance(one[name], xr.DataArray) else xr.DataArray(np.asarray(one[name])) for one in found]
            series[name] = xr.concat(rows, dim="step").assign_attrs(analysis=analysis.name)
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        series[f"history_{name}"] = xr.DataArray([0.1, 0.5, 0.9], dims="history_step", coords={"history_step": STEPS})
    phases = {
        name: {"step": at, "earliest": at, "latest": at} for name, at in (("onset", 40), ("cleanup", 200), ("grokked", 390))
    }
    config = {"optimizer": {"an_extraordinarily_long_name_of_a_field": {"perpendicularly": 1}}}
    series = saying(
        series, run="many", p=P, key_frequencies=list(KEYS), key_rule="explicit", key_step=400,
        phases=json.dumps(phases), outcome="grokking", config=json.dumps(config),
    )  # fmt: skip
    return analyses, series, weights


def long_titles(series: xr.Dataset) -> go.Figure:
    """Two plots side by side under titles as long as they come."""
    lines = [curve(STEPS, STEPS, name="x", colour=CYCLE[0], cell=cell) for cell in (1, 2)]
    return draw(series, [[Cell("Generalizer since step 12,345 (11,950 to 12,300)", time=True)] * 2], heights=(150,), fixed=lines)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    analyses, series, weights = many()
    neurons = explorer(STEPS, [neuron_tables(weights)] * len(STEPS))
    shown = [*panels(series, analyses), neurons, Panel("long", "Long?", "Its titles are long.", long_titles)]
    made = tmp_path_factory.mktemp("many") / "many.html"
    made.write_text(page(series, shown).html, encoding="utf-8")
    return made


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_titles_and_legends_of_many_frequencies_are_whole(browser: Browser, path: Path, width: int) -> None:
    seen = visit(browser, path, width=width)
    assert seen.page.evaluate(MISPLACED) == []
    assert seen.page.locator("#panel-embedding_circles .cell").count() == len(KEYS)
    names = {text.strip() for text in seen.page.locator("#panel-progress_measures .item").all_inner_texts()}
    assert {f"without {k}" for k in KEYS} <= names
    reach = seen.page.evaluate(ON_CURVES)
    assert len(reach) >= 4
    assert all(below <= 1 for _, below in reach)
    assert seen.said == []
    seen.leave()


@pytest.mark.browser
@pytest.mark.parametrize("which", ["many", "built in"])
def test_nothing_is_cut_on_paper_and_closed_texts_are_open(browser: Browser, path: Path, report_file: Path, which: str) -> None:
    seen = visit(browser, path if which == "many" else report_file, width=690)
    assert not seen.page.locator("details.measured p").first.is_visible()
    seen.page.emulate_media(media="print")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    seen.page.wait_for_timeout(1_500)
    assert seen.page.evaluate(MISPLACED) == []
    assert all(text.is_visible() for text in seen.page.locator("details.measured p, .sentences").all())
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 690
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    seen.page.emulate_media(media="screen")
    assert not seen.page.locator("details.measured p").first.is_visible()
    seen.leave()


@pytest.mark.browser
def test_the_frequency_of_every_head_is_said_over_its_map(browser: Browser, path: Path) -> None:
    _, series, _ = many()
    seen = visit(browser, path)
    seen.page.evaluate("document.getElementById('panel-attention_patterns').scrollIntoView()")
    seen.page.wait_for_timeout(500)
    assert_titles(seen, series.isel(step=-1))
    seen.page.evaluate("() => { window.rest = window.setTimeout; window.setTimeout = () => 0; }")  # it never comes to rest ...
    seen.page.evaluate("() => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    canvases = "document.querySelectorAll('#panel-attention_patterns canvas.swift:not([hidden])').length === 8"
    until(seen.page, canvases)
    assert_titles(seen, series.isel(step=0))
    seen.page.evaluate("() => { window.setTimeout = window.rest; }")  # ... and now it may
    seen.page.evaluate("() => { slider.value = 1; slider.dispatchEvent(new Event('input')); }")
    until(seen.page, "document.querySelectorAll('.covered').length === 0 && location.hash === '#step=50'")
    assert_titles(seen, series.isel(step=1))
    assert seen.said == []
    seen.leave()


def assert_titles(seen: Visit, found: xr.Dataset) -> None:
    titles = seen.page.locator("#panel-attention_patterns .annotation-text").all_text_contents()
    for head, (k, fve) in enumerate(zip(found.head_frequency.values, found.head_fve.values, strict=True)):
        [title] = [text for text in titles if text.startswith(f"head {head}")]
        assert f": k = {k}," in title
        assert float(title.rpartition(",")[2].removesuffix("%")) == pytest.approx(100 * fve, abs=0.6)


@pytest.mark.browser
def test_the_map_of_a_dead_neuron_says_that_it_is_dead(browser: Browser, path: Path) -> None:
    seen = visit(browser, path)
    words = seen.page.locator("#panel-neuron_explorer .word")
    activity = forward(weights_with_a_dead_neuron(), TASK.pairs).neurons
    alive = [neuron for neuron in range(12) if activity[:, neuron].std() > 0.01]
    assert 3 not in alive
    for neuron in (alive[0], 3, alive[-1]):
        seen.page.fill("#panel-neuron_explorer input", str(neuron))
        seen.page.press("#panel-neuron_explorer input", "Enter")
        said = [word.inner_text() for word in words.all() if word.is_visible()]
        assert said == (["dead at this step: 0 for every pair"] * 2 if neuron == 3 else [])
    seen.leave()


REMARK = """map => {
    const panel = Object.create(Explorer.prototype);
    Object.assign(panel, { tables: { p: 3, order: [1, 2] }, made: { frequency: 0, map } });
    return panel.remark;
}"""


@pytest.mark.browser
def test_a_dead_neuron_of_a_multiplication_says_what_it_is_without_the_pairs_that_are_not_fitted(
    browser: Browser, path: Path
) -> None:
    seen = visit(browser, path)
    map_ = [9, 9, 9, 9, 0, 0, 9, 0, 0]  # pairs with 0 are 9, all others 0
    assert seen.page.evaluate(REMARK, map_) == "dead at this step: 0 for every pair without 0"
    seen.leave()


def test_frequencies_of_the_same_colour_have_other_lines() -> None:
    analyses, series, _ = many()
    figure = analyses[0].figure(series)
    looks = [(trace.line.color, trace.line.dash) for trace in figure.data if (trace.name or "").startswith("without")]
    assert len(set(looks)) == len(looks) == len(KEYS) > len(CYCLE)


def test_a_figure_by_itself_has_room_for_its_legend() -> None:
    analyses, series, _ = many()
    few = series.sel(key_frequency=list(KEYS[:IN_TITLE]))
    few = retold(few, key_frequencies=list(KEYS[:IN_TITLE]))
    large, small = (analyses[0].figure(one) for one in (series, few))
    assert large.layout.margin.t >= small.layout.margin.t + 19
    assert large.layout.height - large.layout.margin.t == small.layout.height - small.layout.margin.t


def test_a_table_that_is_too_wide_for_the_page_is_named() -> None:
    _, series, _ = many()
    series["everything"] = xr.DataArray(np.zeros((len(STEPS), 3_000)), dims=("step", "one"), attrs={"analysis": "wide"})
    [analysis] = find_analyses(["embedding_circles"])
    wide = type(analysis)("wide", "Wide?", analysis.measure, analysis.figure)
    html = page(series, panels(series, [wide])).html
    assert "<code>everything</code>" in html
    assert 'data-table="wide"' not in html
