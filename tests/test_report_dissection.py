"""The report's dissection of the last checkpoint: what it shows, beside what, and that nothing in it can do harm."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace

import pytest
import torch
from growing import built_in, growing
from planted_run import saved
from random_models import random_weights

import interp
from interp.anatomy import anatomy
from interp.anatomy.published import MAINLINE
from interp.config.run_config import CheckpointConfig, ModelConfig
from interp.figures import Table, Tables
from interp.observing.analysis import builtin_directory
from interp.reporting import Panel, page
from interp.synthetic import clock_weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.wording import number

dissected = runpy.run_path(str(builtin_directory() / "dissection.py"))["dissected"]


@pytest.fixture(scope="module")
def found() -> dict:
    split = SplitConfig(fraction=0.5, seed=0).draw(ModularTask(11))
    return anatomy(clock_weights(11, [2, 5], amplitude=9.0), split=split, controls=2)


def rows(section: Tables, title: str) -> dict[str, tuple[str, ...]]:
    (table,) = [table for table in section.tables if table.title == title]
    return {row[0]: row[1:] for row in table.rows}


def test_the_section_says_what_was_found(found):
    section = dissected(found, step=300)
    assert section.paragraphs[0] == "The last checkpoint, step 300, taken apart."
    assert rows(section, "The circuit")["key frequencies"] == ("2, 5",)
    assert rows(section, "Which algorithm")["algorithm"] == ("clock",)
    assert rows(section, "Losses and accuracy")["accuracy"] == ("1", "1", "1")
    ablations = rows(section, "Loss after each ablation")
    assert ablations.keys() == found["ablations"].keys()
    controls = found["ablations"]["head 0: zero"]["controls"]
    assert ablations["head 0: zero"][0] == number(found["ablations"]["head 0: zero"]["loss"])
    assert ablations["head 0: zero"][1].startswith(f"{number(controls['median'])} (")
    assert ablations["nothing"][1] == "-"
    formulas = rows(section, "Share of the variance that the formulas explain")
    assert formulas["logits"] == ("1", number(found["algorithm"]["formulas"]["pizza"]))
    assert list(formulas) == ["logits", *(f"logits made of frequency {k} of W_E alone" for k in (2, 5))]


def test_an_ablation_without_controls_says_why_and_no_number_is_broken_in_its_exponent() -> None:
    """Of a modulus of 2 there is one frequency: nothing else can be taken out."""
    section = dissected(anatomy(random_weights(p=2), controls=2, keys=[1]), step=1)
    ablations = rows(section, "Loss after each ablation")
    assert ablations["logits: without 1"][1] == "none: too few other frequencies"
    assert ablations["nothing"][1] == "-"
    assert " to " not in rows(section, "The circuit")["attention explained by one frequency"][0]
    assert number(1.5e-7) == "1.5e\u22127"
    assert not [value for table in section.tables for row in table.rows for value in row if "e-0" in value]


def test_the_papers_figures_stand_in_a_column_of_their_own(found):
    section = dissected(found, step=0, paper=MAINLINE)
    assert rows(section, "The circuit")["key frequencies"] == ("2, 5", "14, 35, 41, 42, 52")
    assert rows(section, "The circuit")["Gini coefficient of W_E, W_L"][1] == ""
    assert rows(section, "Loss after each ablation")["all heads: zero"][-1] == "24.3"
    shown = {value for table in section.tables for row in table.rows for value in row}
    missing = {path for path, text in MAINLINE.items() if text.removeprefix("fve ").replace("e-0", "e\u2212") not in shown}
    assert not missing
    assert not any("not known" in paragraph for paragraph in section.paragraphs)
    labelled = dissected(found, step=0, paper=MAINLINE, note="paper's mainline: weight decay 1; not known")
    assert "Paper's mainline: weight decay 1; not known." in labelled.paragraphs


@pytest.mark.parametrize(("p", "operation"), [(2, "add"), (6, "multiply"), (5, "multiply"), (4, "x2xyy2"), (7, "subtract")])
def test_any_model_has_a_section(p, operation):
    section = dissected(anatomy(random_weights(p=p), task=ModularTask(p, operation), controls=1), step=1)
    assert all(len(row) == len(table.header) for table in section.tables for row in table.rows)
    assert any("No reordering" in text for text in section.paragraphs) == (
        operation == "x2xyy2" or (p, operation) == (6, "multiply")
    )


def test_what_is_in_a_section_is_escaped():
    hostile = "<script>alert(1)</script>"
    table = Table(hostile, ("", hostile), ((hostile, hostile),))
    panel = Panel("dissection", hostile, "", lambda _: Tables((hostile,), (table,)), kind="tables")
    html = page(built_in()[1], [panel]).html
    assert hostile not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 8  # also in the contents


def test_the_report_has_the_section_of_its_last_checkpoint(tmp_path):
    config = replace(
        interp.recipe("demo"), task=ModularTask(7), model=ModelConfig(d_model=8, n_heads=2, d_mlp=8), steps=20,
        checkpoints=CheckpointConfig(log=0, every=10), threads=1, engine="reference", until_settled=False,
    )  # fmt: skip
    run = interp.record(config, root=tmp_path, name="tiny", progress=False)
    html = interp.report(run, tmp_path / "page.html", analyses=["weight_norms", "dissection"], steps=[0, 10]).html
    assert "The last checkpoint, step 10, taken apart." in html
    assert "3 random controls: median" in html
    assert "Nanda et al. 2023 (arXiv 2301.05217), which has the same architecture" not in html


def test_a_model_that_cannot_be_dissected_says_why(tmp_path):
    weights = clock_weights(7, [1]).to(dtype=torch.float32)
    weights.W_U[0, 0] = torch.nan
    run = saved(tmp_path / "run", [weights, weights])
    made = interp.report(run, tmp_path / "page.html", analyses=["dissection"], key_rule=[1])
    assert "W_U: 1 of 56 weights are NaN or infinite" in made.failures["dissection"]
    assert "<b>dissection</b> could not be shown." in made.html


def test_a_dissection_is_measured_once_and_anew_when_the_run_has_changed(tmp_path, monkeypatch):
    run = saved(tmp_path / "run", [growing(0.0), growing(1.0)])
    called = []
    monkeypatch.setattr("interp.anatomy.table.anatomy", lambda *a, **k: called.append(1) or anatomy(*a, **k))
    monkeypatch.setattr(interp.anatomy, "anatomy", lambda *a, **k: called.append(1) or anatomy(*a, **k))
    first = interp.observe(run, ["dissection"])
    assert interp.observe(run, ["dissection"])["anatomy"].item() == first["anatomy"].item()
    assert called == [1]
    assert first["anatomy"].dims == ()
    json.loads(first["anatomy"].item())
    brief = interp.observe(run, ["dissection"], brief=True)
    assert called == [1, 1]
    assert '"controls": null' in brief["anatomy"].item()
    interp.observe(run, ["dissection"], steps=[0])
    assert len(called) == 3
