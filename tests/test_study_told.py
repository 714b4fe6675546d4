"""Forecasts against outcomes on a study's page: planted words, what is counted, and what a recorded run says early on."""

from __future__ import annotations

import re
from dataclasses import replace

from planted_study import planted_row, planted_source
from small_study import in_turn, small_study
from test_study_page import data_of

import interp
from interp import CheckpointConfig, ModularTask, forecast, recipe
from interp.forecasting.early_word import MULTIPLE, ToldEarly
from interp.forecasting.told_early import told_early
from interp.reporting.study_page import study_page
from interp.reporting.study_source import source_of
from interp.reporting.study_told import MOST, chosen, told_findings


def said(at=1000, *, low=None, high=None, step=400):
    low, high = (None, None) if at is None else (0.8 * at if low is None else low, 1.25 * at if high is None else high)
    return ToldEarly(step, "groks" if at else "no progress", at, low, high)


def rows(*grokked):
    return [planted_row({}, i, grokked=step, name=f"run-{i}") for i, step in enumerate(grokked)]


def test_what_was_said_is_held_against_what_happened():
    made = rows(1000, 1200, 3000, None, None, 300)
    told = {"run-0": said(), "run-1": said(), "run-2": said(), "run-3": said(), "run-4": said(None), "run-5": said()}
    found = told_findings(made, told)
    assert [one["row"] for one in found["points"]] == [0, 1, 2, 3]  # the last had grokked before it was said
    assert [one["beyond"] for one in found["points"]] == [False, False, False, True]
    assert found["points"][3]["got"] == made[3]["last_step"]
    assert "A date was named for 4 runs, none for 1 other." in found["said"]
    assert "Of the 3 that grokked later, 2 did so inside" in found["said"]
    assert "wrong by 18 % or less" in found["said"]  # ln(1200 / 1000)
    assert "The one that had not grokked by its last step should have by its interval's upper end." in found["said"]


def test_of_one_run_no_share_is_said():
    assert "The one that grokked later did so inside its interval; its date was wrong by 18 %." in told_words(1200)
    assert "did so outside its interval" in told_words(3000)
    assert told_words(None, at=20_000).endswith(
        "The one that had not grokked by its last step may still do so inside its interval."
    )
    two = told_findings(rows(None, None), {"run-0": said(), "run-1": said()})["said"]
    assert "Of the 2 that had not grokked by their last step, 2 should have" in two


def told_words(grokked, at=1000):
    return told_findings(rows(grokked), {"run-0": said(at)})["said"]


def is_shown(html):
    (panel,) = re.findall(r'<section class="panel" id="panel-told"[^>]*>', html)
    return "hidden" not in panel


def test_nothing_said_is_a_panel_that_is_not_shown():
    assert told_findings(rows(1000, None), {}) == {"points": [], "said": "", "multiple": MULTIPLE}
    assert not is_shown(study_page(planted_source({"split.fraction": [0.3, 0.4]}, seeds=2)).html)


def test_the_page_has_the_panel_and_its_numbers():
    source = planted_source({"split.fraction": [0.3, 0.4]}, seeds=2)
    told = {row["run"]: said(5000) for row in source.table.rows}
    html = study_page(replace(source, told=told)).html
    assert is_shown(html)
    assert len(data_of(html)["told"]["points"]) == len(told)
    assert data_of(html)["told"]["said"] in html.replace("&#39;", "'")


def test_of_very_many_runs_some_are_asked():
    assert chosen(["a", "b"]) == {"a", "b"}
    assert len(chosen([str(i) for i in range(5 * MOST)])) == MOST


def test_a_recorded_run_says_early_what_the_forecast_does(tmp_path):
    demo = recipe("demo")
    config = replace(
        demo,
        task=ModularTask(23),
        split=replace(demo.split, fraction=0.7),
        checkpoints=CheckpointConfig(log=0, every=25),
        steps=450,
        threads=1,
    )
    run = interp.record(config, tmp_path, "run", progress=False)
    early = told_early(run)
    memorized = next(int(s) for s, right in zip(run.columns["step"], run.columns["train_accuracy"], strict=True) if right >= 0.99)
    assert early.step == max(step for step in run.steps if step <= MULTIPLE * memorized)
    same = forecast(run, early.step)
    assert (early.verdict, early.at, early.low, early.high) == (same.verdict, same.at, same.low, same.high)
    assert told_early(run, multiple=1000) is None  # it has not come so far


def test_a_study_without_the_measures_has_no_forecasts(tmp_path):
    study = small_study(tmp_path)
    study.run(executor=in_turn, progress=False)
    assert source_of(study).told == {}


def test_a_run_that_never_memorized_says_nothing(tmp_path):
    demo = recipe("demo")
    run = interp.record(replace(demo, task=ModularTask(23), steps=30, threads=1), tmp_path, "young", progress=False)
    assert run.columns["train_accuracy"][-1] < 0.99
    assert told_early(run) is None
