"""Several runs on one page."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from growing import built_in
from page_parts import HOSTILE, Elements, decoded
from playwright.sync_api import Browser
from retelling import retold, saying
from test_report_export import taken
from test_story_sentences import end_only, told, without
from visiting import until, visit

from interp.errors import UsageError
from interp.figures import CYCLE
from interp.observing.series import about, as_attributes
from interp.reporting import Panel, page
from interp.reporting.blocks import Blocks
from interp.reporting.compare import compare
from interp.reporting.story import run_name, tell


def runs() -> list[xr.Dataset]:
    """One that grokked at 3000, one that grokked at 2000, one that memorized."""
    first = told(run="first", config=json.dumps({"seed": 0, "steps": 3000, "optimizer": {"lr": 0.1}}))
    phases = json.loads(as_attributes(about(first))["phases"]) | {"grokked": {"step": 2000, "earliest": 1900, "latest": 2000}}
    second = told(
        run="second", phases=json.dumps(phases), config=json.dumps({"seed": 1, "steps": 3000, "optimizer": {"lr": 0.1}})
    )
    third = told(
        run="third",
        outcome="memorization",
        phases=without("grokked", "cleanup", "onset"),
        config=as_attributes(about(first))["config"],
    )
    third["history_test_accuracy"][:] = 0.1
    return [first, second, third]


def data_of(html: str) -> dict:
    return json.loads(next(text for attributes, text in Elements(html).scripts if attributes.get("id") == "page"))


def test_headline_counts_the_runs_that_grokked_and_tells_of_each() -> None:
    made = compare(runs())
    assert made.headline.startswith("3 runs compared: 2 grokked, 1 not grokked.")
    for name in ("first", "second", "third"):
        assert f"{name}. This network" in made.headline
    assert compare(runs()[:2]).headline.startswith("2 runs compared: both grokked.")
    assert compare([*runs()[:2], runs()[0]]).headline.startswith("3 runs compared: all grokked.")
    assert made.failures == {}


def test_headline_calls_no_run_grokked_that_generalized_at_once_or_nobody_knows_when() -> None:
    first, _, third = runs()
    at_once = [retold(first, run=name, outcome="comprehension") for name in ("quick", "quicker")]
    assert compare(at_once).headline.startswith("2 runs compared: both generalized without grokking.")
    late = retold(end_only(), run="late")
    mixed = compare([first, *at_once, late, third])
    assert mixed.headline.startswith(
        "5 runs compared: 1 grokked, 2 generalized without grokking, 1 generalized at an unknown step, 1 not grokked."
    )
    assert compare([third, third]).headline.startswith("2 runs compared: neither grokked.")
    assert compare([third, third, third]).headline.startswith("3 runs compared: none grokked.")
    rows = re.findall(r'<th scope="row">(.*?)</th>', compare(at_once).html)
    assert "generalized" in rows
    assert not [row for row in rows if "grokked" in row]
    assert "grokked or generalized" in re.findall(r'<th scope="row">(.*?)</th>', mixed.html)


def test_no_run_of_unknown_outcome_is_called_grokked_or_not() -> None:
    first, _, third = runs()
    since = {"history_step": slice(2, None), "step": slice(2, None)}
    late = retold(first.isel(since), run="late", outcome="unknown", phases=without("memorized", "onset"))
    assert [str(tell(late).milestones[i]) for i in (0, 1)] == ["not known", "not known"]
    bare = saying(xr.Dataset(coords={"step": [0, 10]}), p=5, run="bare")
    made = compare([late, late])
    assert made.headline.startswith("2 runs compared: both generalized and may have grokked.")
    assert "late (1). This network generalized by step 3,000; whether that was grokking is not known." in made.headline
    assert "Its accuracies are known from step 1,000 on, when it already answered most of its training pairs" in made.headline
    rows = re.findall(r'<th scope="row">(.*?)</th>', made.html)
    assert "generalized" in rows
    assert not re.search("grokked at|>grokked", "".join(rows) + made.headline)
    mixed = compare([first, late, third, bare])
    assert mixed.headline.startswith(
        "4 runs compared: 1 grokked, 1 generalized and may have grokked, 1 of unknown outcome, 1 not grokked."
    )
    assert compare([bare, bare]).headline.startswith("2 runs compared: both of unknown outcome.")


def test_table_names_what_differs_in_the_configurations_and_nothing_else() -> None:
    html = compare(runs()).html
    differ = html[html.index("How they differ") :]
    names = re.findall(r'<th scope="row">(.*?)</th>', differ[: differ.index("</table>")])
    assert names == ["seed"]
    same = compare([runs()[0], runs()[0]]).html
    assert "the same" in same[same.index("How they differ") :]


def test_runs_of_the_same_name_are_told_apart() -> None:
    names = [trace.get("name") for trace in data_of(compare([runs()[0], runs()[0]]).html)["panels"][0]["data"]]
    assert {"first (1)", "first (2)"} == set(names)


def test_curves_keep_their_own_steps_and_the_slider_has_those_of_all() -> None:
    first, second = runs()[:2]
    second = second.assign_coords(step=second.step + 7, history_step=second.history_step + 7)
    data = data_of(compare([first, second]).html)
    assert data["steps"] == sorted({*first.step.values.tolist(), *second.step.values.tolist()})
    assert data["last_step"] == 3007


def test_aligned_curves_start_where_grokking_is_zero_and_leave_out_who_did_not_grok() -> None:
    from interp.reporting.compare import _aligned, _together

    series, names = runs(), ["first", "second", "third"]
    figure = _aligned(series, names)(_together(series))
    accuracy = {trace.name: trace for trace in figure.data if trace.xaxis == "x"}
    assert set(accuracy) == {"first", "second"}
    assert np.array_equal(accuracy["second"].x, series[1].history_step.values - 2000)


def test_where_no_run_generalized_nothing_is_aligned() -> None:
    third = runs()[2]
    assert "panel-aligned" not in compare([third, third]).html
    assert "panel-aligned" in compare(runs()).html


def test_a_flat_spectrum_is_not_listed_and_values_are_for_people() -> None:
    flat = retold(
        runs()[2],
        key_frequencies=list(range(1, 30)),
        config=json.dumps({"optimizer": {"lr": 1e10}, "until_settled": True, "steps": 12000}),
    )
    html = compare([runs()[0], flat]).html
    for text in ("none stands out: 29 of 29 pass the rule", "10,000,000,000", "<td>yes</td>", "<td>12,000</td>"):
        assert text in html


def test_each_run_is_told_of_in_a_line_of_its_own() -> None:
    assert compare(runs()).html.count('<p class="lede">') == 3


def test_runs_without_measures_or_names_can_be_compared() -> None:
    bare = saying(xr.Dataset(coords={"step": [0, 10]}), p=5)
    made = compare([bare, bare, built_in()[1]])
    assert made.failures == {}


def test_hostile_names_of_compared_runs_stay_text() -> None:
    series = [retold(one, run=HOSTILE, config=json.dumps({HOSTILE: i})) for i, one in enumerate(runs())]
    elements = Elements(compare(series).html)
    assert len(elements.scripts) == 4
    assert not [tag for tag, _ in elements.tags if tag == "img"]


def test_marks_that_turn_the_direction_of_writing_are_not_shown() -> None:
    series = [retold(one, run=f"run {i}\u202e\x00\n") for i, one in enumerate(runs())]
    made = compare(series)
    assert "\u202e" not in made.html
    assert "run 1\ufffd\ufffd\ufffd: this network" in made.html


def test_the_page_speaks_of_several_runs_and_names_the_one_that_grokked() -> None:
    found = runs()
    html = compare(found).html
    assert "The story of these runs" in html
    assert "repeat this run" not in html
    alone = [found[0], retold(found[0], phases="{}", outcome="unknown", run="late")]
    text = compare(alone).html
    [panel] = [one for one in data_of(text)["panels"] if "steps from test accuracy 99 %" in json.dumps(one["layout"])]
    assert panel["layout"]["showlegend"]
    assert {trace["name"] for trace in panel["data"]} == {about(found[0]).run}


def test_the_page_explains_its_own_colours_and_no_bands_that_it_does_not_have() -> None:
    made, single = compare(runs()).html, page(runs()[0], []).html
    for words, of_one in (("orange</b>", True), ("inted", True), ("each colour is a run", False)):
        assert (words in text_of(single)) is of_one
        assert (words in text_of(made)) is not of_one
    assert data_of(made)["bands"] == []


def text_of(html: str) -> str:
    """The page without scripts and styles."""
    return html[html.index("<body") : html.index('<script type="application/json"')]


@pytest.mark.browser
def test_no_word_has_a_colour_that_means_something_else_where_runs_are_compared(browser: Browser, tmp_path: Path) -> None:
    colours = "[...document.querySelectorAll('b.test')].map((e) => getComputedStyle(e).color)"
    for name, html, differ in (("many", compare(runs()).html, False), ("one", page(runs()[0], []).html, True)):
        path = tmp_path / f"{name}.html"
        path.write_text(html, encoding="utf-8")
        seen = visit(browser, path)
        ink = seen.page.evaluate("getComputedStyle(document.body).color")
        assert (set(seen.page.evaluate(colours)) != {ink}) is differ
        seen.leave()


def test_many_runs_are_told_of_in_the_table() -> None:
    made = compare([*runs(), *runs()])
    assert "The table says when" in made.html
    assert "first (4). This network" in made.headline


@pytest.mark.browser
def test_curves_of_all_runs_can_be_taken_away_each_at_its_own_steps(browser: Browser, tmp_path: Path) -> None:
    compared = runs()
    path = tmp_path / "compared.html"
    path.write_text(compare(compared).html, encoding="utf-8")
    seen = visit(browser, path)
    for button, variable, axis in (
        ("#panel-inside [data-tool=csv]", "restricted_loss", "step"),
        ("#panel-facts [data-tool=csv]", "history_test_accuracy", "history_step"),
    ):
        rows = list(csv.DictReader(io.StringIO(taken(seen, button)[1].decode())))
        assert [int(row["step"]) for row in rows] == sorted({int(step) for series in compared for step in series[axis].values})
        for series in compared:
            column = f"{variable.removeprefix('history_')}[run={run_name(series)}]"
            given_ = {int(row["step"]): float(row[column]) for row in rows if row[column]}
            values = series[variable].values
            expected = {int(s): float(v) for s, v in zip(series[axis].values, values, strict=True) if np.isfinite(v)}
            assert given_ == expected
    assert seen.said == []
    seen.leave()


@pytest.mark.browser
def test_the_readout_says_the_test_accuracy_of_every_run_at_the_step_shown(browser: Browser, tmp_path: Path) -> None:
    first, second, third = runs()
    second["history_test_accuracy"][:] = [0, 0.11, 0.25, 0.5, 0.75]
    third = retold(third, run="third " + "long " * 30).isel(step=slice(4), history_step=slice(4))
    path = tmp_path / "compared.html"
    path.write_text(compare([first, second, third]).html, encoding="utf-8")
    for width in (400, 900, 1280):
        seen = visit(browser, path, width=width, fragment="#step=1000")
        for step, said in ((1000, ["3.0 %", "25 %", "10 %"]), (3000, ["100 %", "75 %", "\u2013"])):
            seen.page.evaluate(f"() => {{ location.hash = '#step={step}'; }}")
            until(seen.page, f"document.querySelector('#now').textContent.replace(',', '') === '{step}'")
            names = [text.strip() for text in seen.page.locator("#readout dt").all_text_contents()]
            assert names == [run_name(one).strip() for one in (first, second, third)]
            assert seen.page.locator("#readout dd").all_text_contents() == said
            spoken = seen.page.get_attribute("#slider", "aria-valuetext")
            words = [f"{name} {value}".replace("\u2013", "not measured") for name, value in zip(names, said, strict=True)]
            assert " ".join(spoken.split()) == f"step {step}, test accuracy: {', '.join(words)}"
        whole = "[...document.querySelectorAll('#readout dd')].every((e) => { const [a, b] = [e, readout].map((x) => \
            x.getBoundingClientRect()); return a.right <= b.right + 1 && a.bottom <= innerHeight && a.width > 0; })"
        assert seen.page.evaluate(whole)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        colours = [path.get_attribute("stroke") for path in seen.page.locator("#spark path").all()]
        assert colours == [line.get_attribute("stroke") for line in seen.page.locator("#readout line").all()] == list(CYCLE[:3])
        assert seen.said == []
        seen.leave()


def test_many_runs_are_summed_up_in_the_readout_and_all_are_sketched() -> None:
    shown = runs()
    shown[1]["history_test_accuracy"][:] = [0, 0.11, 0.25, 0.5, 0.75]
    html = compare(shown * 2).html
    [blocks] = [text for attributes, text in Elements(html).scripts if attributes.get("id") == "blocks"]
    data = data_of(html)
    readout = data["readout"]
    assert readout["title"] == "test accuracy"
    assert [bool(one["sketch"]) for one in readout["readings"]] == [True] * 6 + [False] * 3
    assert [one["look"]["colour"] for one in readout["readings"][:6]] == list(CYCLE[:6])
    values = {one["label"]: unpacked(blocks, data["blocks"][one["block"]]) for one in readout["readings"] if one["said"]}
    lowest, median, highest = [0, 0.02, 0.03, 0.1, 0.1], [0, 0.1, 0.1, 0.5, 0.75], [0.1, 0.11, 0.25, 0.6, 1]
    for label, expected in (("lowest", lowest), ("median", median), ("highest", highest)):
        assert values[label] == pytest.approx(expected, abs=1e-6)


def unpacked(payload: str, entry: dict) -> np.ndarray:
    """A block of the page, by the same second description of the codecs that the blocks themselves are tested with."""
    blocks = Blocks()
    blocks._entries, blocks._data = [entry], bytearray(gzip.decompress(base64.b64decode(payload)))
    return decoded(blocks, 0)


@pytest.mark.browser
def test_own_figures_show_the_numbers_of_their_own_run_at_its_last_step_before_the_one_chosen(
    browser: Browser, tmp_path: Path
) -> None:
    first, second = runs()[:2]
    second = second.assign_coords(step=second.step + 7, history_step=second.history_step + 7)
    second["restricted_loss"] = second.restricted_loss * 2

    def figure(series: xr.Dataset) -> go.Figure:
        frames = [
            go.Frame(name=str(step), data=[go.Bar(x=["loss"], y=[value])])
            for step, value in zip(series.step.values, series.restricted_loss.values, strict=True)
        ]
        return go.Figure(go.Bar(x=["loss"], y=[0.0]), frames=frames)

    def broken(series: xr.Dataset) -> go.Figure:
        return figure(series) if series is first else 1 / 0

    own = [[Panel("bars", "How large?", "Look.", figure), Panel("frail", "Is it?", "", broken)] for _ in range(2)]
    made = compare([first, second], own=own)
    assert list(made.failures) == ["frail-2"]
    path = tmp_path / "own.html"
    path.write_text(made.html, encoding="utf-8")
    for step, of_first, of_second in ((1007, 1.0, 2.0), (1000, 1.0, 6.0), (0, 4.0, 8.0)):
        seen = visit(browser, path, fragment=f"#step={step}")
        shown = [seen.page.evaluate(f"document.querySelector('#panel-bars-{i} .graph').data[0].y[0]") for i in (1, 2)]
        assert shown == [of_first, of_second]
        assert seen.page.text_content("#title-bars-2") == "How large? (second)"
        seen.leave()


def test_one_run_is_nothing_to_compare() -> None:
    with pytest.raises(UsageError, match="at least two"):
        compare(runs()[:1])
