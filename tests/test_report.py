"""The report without a browser: arrays in and out of blocks, figures taken apart, the page as text, the file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest
from growing import STEPS, built_in
from hypothesis import given
from hypothesis import strategies as st
from page_parts import HOSTILE, Elements, hostile_page, links_of
from retelling import retold

from interp.errors import UsageError
from interp.observing.analysis import Analysis, definitions_of, find_analyses
from interp.reporting import Page, Panel, page
from interp.reporting.maths import typeset
from interp.reporting.write import panels
from interp.tasks.modular import IN_SIGNS, ModularTask
from interp.wording import percent


@given(st.floats(0, 1))
def test_percentages_never_claim_all_or_nothing(share: float) -> None:
    assert (percent(share) == "100 %") == (share == 1)
    assert (percent(share) == "0 %") == (share == 0)


@pytest.fixture(scope="module")
def built() -> Page:
    analyses, series = built_in()
    return page(series, panels(series, analyses))


def test_page_has_a_panel_for_every_analysis_and_no_failure(built: Page) -> None:
    ids = {attributes.get("id") for tag, attributes in Elements(built.html).tags if tag == "section"}
    assert {f"panel-{analysis.name}" for analysis in built_in()[0]} <= ids
    assert built.failures == {}
    assert len(built.html) < 6_000_000


def test_every_built_in_panel_links_to_its_formulas_and_they_link_back(built: Page) -> None:
    ids, inside = links_of(built.html)
    assert {link for links in inside.values() for link in links if not link.startswith("step=")} <= ids
    for analysis in built_in()[0]:
        linked = [link for link in inside[f"panel-{analysis.name}"] if link.startswith("formula-")]
        assert linked == [f"formula-{one.name}" for one in definitions_of(analysis)] != []
        assert all(f"panel-{analysis.name}" in inside[formula] for formula in linked)
    for one in {one for analysis in built_in()[0] for one in definitions_of(analysis)}:
        assert str(typeset(one.formula[0][1])) in built.html


def test_the_glossary_says_what_chance_is_and_names_every_paper_that_is_used(built: Page) -> None:
    assert "ln 7 = 1.95 if all p answers are equally likely" in built.html
    assert "The Clock and the Pizza" in built.html
    assert "The Clock and the Pizza" not in page(built_in()[1], []).html


def test_a_panel_without_definitions_has_no_link_and_an_unknown_one_is_refused() -> None:
    _, series = built_in()
    html = page(series, [Panel("own", "Mine?", "Mine.", lambda series: go.Figure())]).html
    ids, inside = links_of(html)
    assert "panel-own" not in inside
    assert {"formula-restricted-loss", "formula-phases"} <= ids  # the glossary's
    assert "formula-gini" not in ids
    with pytest.raises(UsageError, match=r"analysis own: .*definition.*gini"):
        find_analyses([Analysis("own", "Mine?", dict, go.Figure, definitions=("ginni",))])


@pytest.mark.parametrize(("operation", "told"), [("add", False), ("multiply", True)])
def test_other_operations_are_told_how_they_are_read_as_addition(operation: str, told: bool) -> None:
    series = retold(built_in()[1], operation=operation, task=ModularTask(7, operation).name)
    html = page(series, []).html
    ids, _ = links_of(html)
    assert ("formula-groups" in ids) == told
    assert ("A group that is not cyclic has representations" in html) == told
    assert f"{IN_SIGNS[operation]} modulo p is the right answer" in html


def test_formulas_are_escaped() -> None:
    assert "<img" not in typeset("a < <img src=x onerror=alert(1)> x_{<b>}")


def test_policy_allows_exactly_the_pages_own_scripts(built: Page) -> None:
    elements = Elements(built.html)
    policy = next(a["content"] for tag, a in elements.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    sources = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert sources["default-src"] == "'none'"
    assert "unsafe" not in sources["script-src"]
    running = [text for attributes, text in elements.scripts if "type" not in attributes]
    library = next(text for attributes, text in elements.scripts if attributes.get("id") == "plotly")
    running.append(gzip.decompress(base64.b64decode(library)).decode())
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in running}
    assert hashes == set(sources["script-src"].split())


def test_page_loads_nothing_from_anywhere(built: Page) -> None:
    loading = {"src", "srcset", "data", "poster", "action", "formaction", "background", "manifest"}
    for tag, attributes in Elements(built.html).tags:
        assert not loading & set(attributes), (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base")
        if tag == "a":
            assert attributes["href"].startswith(("#", "https://arxiv.org/"))
    style = re.search(r"<style>(.*?)</style>", built.html, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_names_stay_text() -> None:
    made = hostile_page()
    elements = Elements(made.html)
    assert len(elements.scripts) == 4
    assert not [tag for tag, _ in elements.tags if tag == "img"]
    assert not [attributes for _, attributes in elements.tags if any(name.startswith("on") for name in attributes)]
    data = next(text for attributes, text in elements.scripts if attributes.get("id") == "page")
    assert json.loads(data)["run"] == HOSTILE


def test_an_analysis_that_failed_says_why_and_the_others_are_shown() -> None:
    made = hostile_page()
    assert set(made.failures) == {"failed", "raising"}
    assert "ValueError" in made.failures["raising"]
    visible = re.sub(r"<script.*?</script>", "", made.html, flags=re.DOTALL)
    assert "its figure raised ValueError" in visible
    assert 'data-panel="0"' in visible


def test_page_says_nothing_about_the_machine_it_was_made_on(built: Page) -> None:
    assert "/secret/place" not in built.html
    assert os.getcwd() not in built.html


def test_the_same_series_gives_the_same_bytes(built: Page) -> None:
    analyses, series = built_in()
    assert page(series, panels(series, analyses)).html == built.html


def test_page_of_a_series_without_checkpoints_is_refused() -> None:
    with pytest.raises(UsageError, match="without checkpoints"):
        page(built_in()[1].isel(step=[]), [])


def test_numbers_that_are_not_finite_are_no_syntax_error() -> None:
    series = built_in()[1].copy(deep=True)
    for name in series.data_vars:
        if series[name].dtype.kind == "f" and not str(name).startswith("history_"):
            series[name][1] = np.nan
    made = page(series, panels(series, built_in()[0]))
    data = next(text for attributes, text in Elements(made.html).scripts if attributes.get("id") == "page")
    assert len(json.loads(data)["steps"]) == len(STEPS)


def test_page_is_built_without_torch() -> None:
    code = (
        "import sys, xarray as xr; from interp.reporting import page; from interp.observing.series import About;"
        "page(xr.Dataset(coords={'step': [0]}, attrs={'about': About(p=5)}), []); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
