"""The experiments of the documentation with ten paired seeds: every table is what the rows beside it give."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "experiments"
DONE = sorted(path.stem for path in FOLDER.glob("*.csv"))


@pytest.fixture(scope="module")
def seeds() -> dict:
    """What trains the pairs and writes the pages."""
    return runpy.run_path(str(FOLDER / "ten_seeds.py"))


@pytest.mark.parametrize("name", DONE)
def test_a_page_is_as_its_rows_say(name: str, seeds: dict) -> None:
    pages = [page.read_text(encoding="utf-8") for page in FOLDER.glob("*.md")]
    (text,) = (page for page in pages if f"<!-- ten seeds: {name} -->" in page)
    assert seeds["written"](text) == text, "run python docs/experiments/ten_seeds.py write"
    start = text.index(f"<!-- ten seeds: {name} -->\n") + len(f"<!-- ten seeds: {name} -->\n")
    changed = text[:start] + "| 1 |\n" + text[start:]
    assert seeds["written"](changed) == text


@pytest.mark.parametrize("name", DONE)
def test_every_arm_has_all_ten_seeds(name: str, seeds: dict) -> None:
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    arms = tuple(dict.fromkeys(row["arm"] for row in rows))
    assert arms == seeds["ARMS"][name]
    assert len(rows) == 10 * len(arms)
    for arm in arms:
        assert {row["pair"] for row in rows if row["arm"] == arm} == {str(seed) for seed in range(10)}
    assert name in seeds["EXPERIMENTS"]
    assert seeds["CONTROLS"].get(name, arms[0]) in arms


def test_every_experiment_has_been_done(seeds: dict) -> None:
    assert seeds["EXPERIMENTS"].keys() == seeds["ARMS"].keys() == set(DONE)


def test_arms_are_compared_with_their_control_as_pairs(seeds: dict) -> None:
    nan = float("nan")
    rows = pd.DataFrame(
        {
            "pair": [*range(4), *range(4)],
            "arm": ["nothing"] * 4 + ["transplant"] * 4,
            "memorized": [100.0] * 8,
            "grokked": [800.0, 900.0, nan, nan, 400.0, 500.0, 600.0, nan],
            "test_accuracy": [1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0, 0.25],
        }
    )
    head, _, control, arm = seeds["table"]("transplant", rows).splitlines()
    assert head == "| arm | grokked | median step, 95 % | before the control | p | test accuracy, median |"
    assert control.startswith("| nothing | 2 of 4 | 900 (")
    assert control.endswith(" | - | - | 0.75 |")
    # Three pairs are decided, in all of them the transplant was first: 2 / 2^3. The fourth had it in neither run.
    assert arm.startswith("| transplant | 3 of 4 | 500 (")
    assert arm.endswith(" | 3 of 3 | 0.25 | 1 |")


def test_a_delay_times_its_decay_is_compared_within_a_pair(seeds: dict) -> None:
    rows = pd.DataFrame(
        {
            "pair": [0, 0, 1, 1],
            "arm": ["1", "2"] * 2,
            "grokked": [4000.0, 3000.0, 9000.0, 4500.0],
            "last_step": [9000] * 4,
            "delay x decay": [3000.0, 4000.0, 8000.0, 7000.0],
        }
    )
    end = seeds["table"]("decay", rows).splitlines()[-1]
    ratio = (4 / 3 + 8 / 7) / 2
    assert f"is {ratio:.2f} times its smallest (median of 2 pairs; at most 1.33 times)" in end
    assert end.endswith("from 3,500 to 7,500.")


def test_numbers_without_a_control_have_their_range(seeds: dict) -> None:
    nan = float("nan")
    rows = pd.DataFrame({"pair": [0, 1, 2], "arm": ["back"] * 3, "step": [4000.0, nan, 5000.0], "test_accuracy": [1, 0.5, 0.75]})
    assert (
        seeds["table"]("ungrok", rows).splitlines()[-1] == "| back | 4,500 (4,000 to 5,000), in 2 of 3 | 0.750 (0.500 to 1.000) |"
    )
    assert seeds["table"]("ungrok", rows[1:2]).splitlines()[-1] == "| back | never | 0.500 (0.500 to 0.500) |"
