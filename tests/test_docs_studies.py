"""The studies of the documentation: every table and law is what the outcomes beside it give."""

from __future__ import annotations

import csv
import re
import runpy
from pathlib import Path

import pytest

from interp.studies.plan_files import read_plan

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "studies"
STUDIES = sorted(path.stem for path in FOLDER.glob("*.csv"))


@pytest.fixture(scope="module")
def generate() -> dict:
    """What writes the pages."""
    return runpy.run_path(str(FOLDER / "generate.py"))


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_is_as_its_outcomes_say(name: str, generate: dict) -> None:
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert f"<!-- study: {name} -->" in text
    assert generate["written"](text) == text, "run python docs/studies/generate.py"
    rows = generate["read_rows"](FOLDER / f"{name}.csv")
    for row in rows:
        row["grokked_first"] = row["grokked"] = None
    assert "not reached" in generate["table"](generate["study_of"](read_plan(ROOT / f"studies/{name}.toml"), name, "x"), rows)


@pytest.mark.parametrize("name", STUDIES)
def test_the_outcomes_are_those_of_the_plan(name: str) -> None:
    """Each run of the plan has its row, under the name that its configuration has now."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    points = read_plan(ROOT / "studies" / f"{name}.toml").points()
    assert [row["run"] for row in rows] == [point.name for point in points]
    for row, point in zip(rows, points, strict=True):
        assert int(row["seed"]) == point.seed
        assert all(
            row[field] == value if isinstance(value, str) else float(row[field]) == value for field, value in point.values.items()
        )


def test_every_study_and_plan_is_listed() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in STUDIES:
        runs = len(read_plan(ROOT / "studies" / f"{name}.toml").points())
        assert re.search(rf"\[{name}\]\({name}\.md\).*\| {runs:,} \|", text)
    for path in (ROOT / "studies").glob("*.toml"):
        assert path.stem in text
