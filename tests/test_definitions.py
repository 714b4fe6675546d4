"""Definitions come with analyses: a user's file brings its own, names refer to built-in ones, and the page shows them."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from planted_run import saved
from random_models import random_weights

import interp
from interp.errors import UsageError
from interp.observing.analysis import Analysis, built_in_definitions, definitions_of, find_analyses, load_analysis
from interp.reporting import Panel, page
from interp.store.run import Run

OWN = '''"""How large is the largest logit?

Measured: the largest of all.
"""

import plotly.graph_objects as go

from interp import Analysis, Definition, Source

LARGEST = Definition(
    "largest-logit", "Largest logit", "The largest of all logits.", (("m =", "max_{a, b, c} l_{abc}"),), "all p^2 pairs",
    Source("Nobody 2031", "https://arxiv.org/abs/9999.99999", "section 1"),
)


def measure(view):
    return {"largest": float(view.logits.max())}


ANALYSIS = Analysis(
    "largest_logit", question=__doc__, measure=measure, figure=lambda series: go.Figure(), definitions=(LARGEST, "gini")
)
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    import torch

    weights = random_weights(7, dtype=torch.float32)
    return saved(tmp_path_factory.mktemp("runs") / "run", [weights, weights])


@pytest.fixture
def own(tmp_path) -> Path:
    path = tmp_path / "largest_logit.py"
    path.write_text(OWN)
    return path


def test_a_users_definition_stands_on_the_page_of_their_analysis(run, own, tmp_path) -> None:
    made = interp.report(run, tmp_path / "page.html", files=[own])
    assert made.failures == {}
    html = made.html
    assert html.count('id="formula-largest-logit"') == html.count('id="formula-gini"') == 1
    panel = html[html.index('id="panel-largest_logit"') :]
    assert '<a href="#formula-largest-logit">Largest logit</a>, <a href="#formula-gini">' in panel[: panel.index("</section>")]
    entry = html[html.index('id="formula-largest-logit"') :]
    entry = unescape(entry[: entry.index("</article>")])
    for told in ("The largest of all logits.", "https://arxiv.org/abs/9999.99999", "section 1", 'href="#panel-largest_logit"'):
        assert told in entry


def test_definitions_are_those_that_are_linked_and_the_glossarys(run, own, tmp_path) -> None:
    html = interp.report(run, tmp_path / "page.html", analyses=["weight_norms"], files=[own]).html
    shown = {name for name in built_in_definitions() if f'id="formula-{name}"' in html}
    assert shown == {"sum-of-squares", "gini", "restricted-loss", "excluded-loss", "key-frequencies", "phases"}


def test_a_name_that_nobody_brings_is_refused_with_the_nearest(own) -> None:
    own.write_text(OWN.replace('"gini")', '"ginni")'))
    with pytest.raises(UsageError, match=r"analysis largest_logit: .*did you mean 'gini'"):
        find_analyses(files=[own])


def test_a_name_that_a_built_in_analysis_has_given_cannot_be_given_again(own) -> None:
    own.write_text(OWN.replace('"largest-logit", ', '"gini", '))
    with pytest.raises(UsageError, match=r"definition 'gini': a built-in analysis brings another one of this name"):
        definitions_of(load_analysis(own))


def test_every_definition_is_brought_once_and_is_the_same_for_all() -> None:
    from interp.observing.analysis import builtin_names

    brought = [one for a in find_analyses(builtin_names()) for one in a.definitions if not isinstance(one, str)]
    assert len({one.name for one in brought}) == len(brought) == len(built_in_definitions()) - 2  # phases and groups


def test_paragraphs_of_waves_are_told_where_there_are_waves() -> None:
    question = "Asked?\n\nAlways.\n\nWaves: Sometimes.\n\nMeasured: so.\n\nWaves: Measured: and so."
    analysis = Analysis("own", question, dict, lambda series: None)
    assert analysis.caption == "Always.\n\nSometimes.\n\nMeasured: so.\n\nMeasured: and so."
    assert analysis.caption_for(has_waves=False) == "Always.\n\nMeasured: so."


def test_panels_may_name_definitions_or_bring_them(own) -> None:
    from growing import built_in

    [brought, _] = load_analysis(own).definitions
    panel = Panel("mine", "Mine?", "Mine.", lambda _: interp.figures.Tables((), ()), definitions=(brought, "loss"), kind="tables")
    html = page(built_in()[1], [panel]).html
    assert 'href="#formula-largest-logit"' in html
    assert 'href="#formula-loss"' in html
