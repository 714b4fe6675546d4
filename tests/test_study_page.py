"""The page of a study as text: its headline, what it counts, what it holds, and how it is written from files."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_study import BUDGET, planted_curves, planted_row, planted_rows, planted_source, unseen_row
from small_study import in_turn, small_study

from interp import Study, open_study
from interp.cli import main
from interp.errors import UsageError
from interp.figures.cell_numbers import answer, questions
from interp.figures.study_table import StudyTable
from interp.reporting.blocks import Blocks
from interp.reporting.study_curves import KINDS, thin_curve
from interp.reporting.study_page import StudySource, study_page
from interp.reporting.study_source import measured_of, source_of, study_report
from interp.reporting.study_story import study_story
from interp.studies.survival import kaplan_meier
from interp.studies.timed import timed

FRACTION: dict[str, list[Any]] = {"split.fraction": [0.3, 0.4]}


def data_of(html: str) -> dict[str, Any]:
    """What the page's script is given."""
    packed = re.search(r'<script type="text/plain" id="page">(.*?)</script>', html, re.DOTALL)
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def story(rows: list[dict[str, Any]], axes: dict[str, list[Any]] = FRACTION) -> str:
    return str(study_story(StudyTable.of("s", [(field,) for field in axes], rows)))


def rows_at(fraction: float, *steps: int | None) -> list[dict[str, Any]]:
    return [planted_row({"split.fraction": fraction}, i, grokked=step, name=f"{fraction}-{i}") for i, step in enumerate(steps)]


# ---- The headline ----


@pytest.mark.parametrize(
    ("steps", "headline"),
    [
        ((500, 600, None), "2 of 3 runs grokked within 12,000 steps."),
        ((500, 600, 700), "All 3 runs grokked within 12,000 steps."),
        ((500, 600), "Both runs grokked within 12,000 steps."),
        ((None, None, None), "None of 3 runs grokked within 12,000 steps."),
        ((None,), "The one finished run did not grok within 12,000 steps."),
        ((500,), "The one finished run grokked within 12,000 steps."),
    ],
)
def test_the_headline_counts_what_was_seen(steps: tuple[int | None, ...], headline: str) -> None:
    assert story(rows_at(0.4, *steps)).startswith(headline)


def test_runs_that_were_not_seen_to_grok_are_not_said_not_to_grok() -> None:
    told = story(rows_at(0.4, 500, None, None))
    assert "2 runs did not within 12,000 steps: they are neither left out nor counted" in told
    assert "did not grok" not in told
    assert "never" not in told


def test_every_other_end_is_counted_and_explained() -> None:
    rows = rows_at(0.4, *[500] * 12)
    rows[0] |= {"status": "stopped", "why": "non-finite"}
    rows[1] |= {"status": "unfinished"}
    ends = [unseen_row({"split.fraction": 0.4}, 20, name="f", status="failed"), unseen_row({"split.fraction": 0.4}, 21, name="m")]
    told = story([*rows, *ends])
    assert told.startswith("All 10 runs grokked")
    assert "1 broke off (their loss was not finite), 1 failed" in told
    assert "1 unfinished (begun, and not at their end) and 1 missing (not begun yet): no number here is drawn from them" in told
    assert story([unseen_row({"split.fraction": 0.4}, 0, name="m")]).startswith("No run is finished yet.")


def test_few_seeds_and_what_a_seed_sets_are_said() -> None:
    told = story(rows_at(0.3, 1, 2, 3) + rows_at(0.4, *range(1, 12)))
    assert "1 cell of 2 has fewer than 10 finished runs (3)" in told
    assert "A seed sets initial weights and split together." in told
    assert "fewer than" not in story(rows_at(0.4, *range(1, 12)))
    split = StudyTable.of("s", [("split.fraction",)], rows_at(0.4, 5), seeds_are="split")
    assert "A seed sets the split alone" in str(study_story(split))


def test_budgets_that_differ_are_not_one_number() -> None:
    rows = rows_at(0.4, 500, 600)
    rows[0]["budget"] = 6000
    assert story(rows).startswith("Both runs grokked within their budget.")


# ---- What the page holds ----


def test_the_page_has_every_cells_answers_from_python() -> None:
    source = planted_source({"optimizer.weight_decay": [0.3, 1.0, 4.0], "split.fraction": [0.3, 0.5]}, seeds=6)
    data = data_of(study_page(source).html)
    asked = questions(source.table.rows)
    assert [one["name"] for one in data["questions"]] == [one.name for one in asked]
    for cell in data["cells"]:
        rows = source.table.cells[tuple(cell["place"])]
        for (value, low, high, n, events, *quartiles), one in zip(cell["answers"], asked, strict=True):
            told = answer(rows, one)
            assert (value, low, high, n, events) == (told.value, told.low, told.high, told.n, told.events)
            assert len(quartiles) == (2 if one.kind == "time" else 0)
            for mine, share in zip(quartiles, (0.25, 0.75), strict=False):
                expected = kaplan_meier(timed(rows, one.name)).quantile(share)
                assert tuple(mine) == (expected.value, expected.low, expected.high)
        assert [data["columns"][0]["values"][i] for i in cell["rows"]] == [row["run"] for row in rows]
    assert len(data["survival"]) == 6 * (2 + 3)
    assert len(data["laws"]["found"]) == 4 * (2 + 3)
    assert "No law is fitted" in data["laws"]["found"]["grokked|1|0"]["said"]


def test_columns_are_whole_and_know_what_was_not_seen() -> None:
    rows = [*rows_at(0.4, 500, None), unseen_row({"split.fraction": 0.4}, 7, name="m")]
    data = data_of(study_page(planted_source(FRACTION, rows=rows)).html)
    columns = {column["name"]: column for column in data["columns"]}
    assert columns["grokked"] == {"name": "grokked", "kind": "time", "values": [500, None, None]}
    assert columns["status"]["values"] == ["finished", "finished", "missing"]
    assert columns["test_loss"]["kind"] == "number"
    assert columns["split.fraction"]["values"] == [0.4] * 3


def test_curves_come_back_as_they_were_thinned() -> None:
    rows = planted_rows({"split.fraction": [0.4]}, seeds=30)
    thin, blocks = planted_curves(rows), Blocks()
    made = thin.block([row["run"] for row in rows], blocks)
    assert [kind["name"] for kind in made] == [kind.name for kind in KINDS]
    for kind, one in zip(KINDS, made, strict=True):
        lengths = [len(thin.curves[kind.name][row["run"]][0]) for row in rows]
        assert blocks.header[one["ends"]]["shape"] == [len(rows)]
        assert blocks.header[one["steps"]]["shape"] == [sum(lengths)]
        assert sum(lengths) < 60 * len(rows)  # of 480 points each
    assert thin_curve(np.arange(3), np.full(3, np.nan), kind=KINDS[0]) is None
    lost = thin_curve(np.arange(4), np.array([0.0, np.nan, 0.0, 1.0]), kind=KINDS[0])
    assert lost[0].tolist() == [0, 2, 3]


def test_a_page_of_a_thousand_runs_is_small() -> None:
    axes = {
        "optimizer.weight_decay": np.geomspace(0.3, 5, 10).round(2).tolist(),
        "split.fraction": np.linspace(0.25, 0.7, 10).round(3).tolist(),
    }
    made = study_page(planted_source(axes, seeds=10))
    assert len(made.html) < 10e6
    data = data_of(made.html)
    assert len(data["columns"][0]["values"]) == 1000
    assert "48 laws at most" in data["laws"]["found"]["delay_first|1|9"]["said"]


def test_a_study_without_a_finished_run_or_without_axes_has_a_page() -> None:
    missing = [unseen_row({"split.fraction": f}, 0, name=str(f)) for f in (0.3, 0.4)]
    assert study_page(planted_source(FRACTION, rows=missing)).headline.startswith("No run is finished yet.")
    seeds_only = [planted_row({}, seed, grokked=500, name=str(seed)) for seed in range(3)]
    made = study_page(planted_source({}, rows=seeds_only))
    assert made.headline.startswith("All 3 runs grokked within 12,000 steps. Nothing varies but the seed, each with 3 seeds.")


# ---- From files ----


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studies")
    small_study(root).run(executor=in_turn, progress=False)
    return root


def test_curves_and_last_measurements_are_those_of_the_runs(folder: Path) -> None:
    study = open_study(folder / "small")
    source = source_of(study)
    row, run = source.table.rows[3], study[study.points[3].name]
    known = np.isfinite(run.columns["test_accuracy"])
    measured = measured_of(run.path)
    assert measured.curves["test_accuracy"][0].tolist() == run.columns["step"][known].tolist()
    assert measured.curves["test_accuracy"][1].tolist() == run.columns["test_accuracy"][known].tolist()
    expected = study.series("restricted_loss").sel(run=run.name)
    steps, values = measured.curves["restricted_loss"]
    assert values.tolist() == expected.sel(step=steps).values.tolist()
    assert row["restricted_loss"] == values[-1]
    assert len(source.curves.curves["restricted_loss"]) == 8


def test_runs_that_keep_all_checkpoints_are_measured_for_the_page(folder: Path, tmp_path: Path) -> None:
    thinned = open_study(folder / "small")
    study = small_study(tmp_path, keep="all", seeds=range(1))
    study.run(executor=in_turn, progress=False)
    assert "restricted_loss" not in source_of(study, brief=True).curves.curves
    source = source_of(study)
    theirs = source_of(thinned)
    for point in study.points:
        mine, expected = (one.curves.curves["restricted_loss"][point.name] for one in (source, theirs))
        assert mine[0].tolist() == expected[0].tolist()
        np.testing.assert_allclose(mine[1], expected[1], rtol=1e-5)
    rows = {row["run"]: row for row in theirs.table.rows}
    for row in source.table.rows:
        assert row["restricted_loss"] == pytest.approx(rows[row["run"]]["restricted_loss"], rel=1e-5)
        assert row.keys() == rows[row["run"]].keys()


def test_the_command_writes_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "page.html"
    with pytest.raises(SystemExit, match="0"):
        main(["study", "report", "small", "-o", str(out), "--root", str(folder)])
    said = capsys.readouterr().out
    assert "None of 8 runs grokked within 12 steps." in said
    data = data_of(out.read_text())
    assert data["command"] == f"interp report {folder / 'small' / 'runs' / 'RUN'} -o RUN.html"
    with pytest.raises(UsageError, match="does not exist; create it"):
        study_report(folder / "small", folder / "nowhere" / "x.html")
    with pytest.raises(UsageError, match="no study at"):
        study_report(folder / "other", out)


def test_the_guides_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    guide = (Path(__file__).parents[1] / "docs" / "studies.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    smaller = example.replace("steps=12_000", "steps=12, engine='reference', task=interp.ModularTask(p=7)").replace(
        "range(10)", "range(2)"
    )
    assert smaller.count("12") == 1
    monkeypatch.chdir(tmp_path)
    run = Study.run
    monkeypatch.setattr(Study, "run", lambda study: run(study, executor=in_turn, progress=False))
    exec(compile(smaller, "studies.md", "exec"), {"__name__": "__main__"})  # what a reader would type
    assert "optimizer.weight_decay" in capsys.readouterr().out
    assert (tmp_path / "share.html").is_file()


def test_a_damaged_run_takes_no_other_along(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "small", tmp_path / "small")
    study = open_study(tmp_path / "small")
    (study.path_of(study.points[0].name) / "history.jsonl").write_bytes(b"\0")
    (study.folder / "outcomes.json").unlink(missing_ok=True)
    made = study_report(study, tmp_path / "x.html")
    assert "1 failed (they could not be trained or read)" in made.headline
    assert len(source_of(study).curves.curves["test_accuracy"]) == 7


def test_a_page_needs_no_more_than_its_table() -> None:
    rows = rows_at(0.4, 500, None)
    assert f"{BUDGET:,}" in study_page(StudySource(StudyTable.of("s", [("split.fraction",)], rows))).html
