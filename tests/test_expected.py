"""What the demo recipe says of itself is true of every run that was kept, and its page is written from them."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from interp.config.recipes import RECIPES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def expected():
    spec = spec_from_file_location("expected", ROOT / "benchmarks" / "expected.py")
    module = module_from_spec(spec)
    sys.modules["expected"] = module
    spec.loader.exec_module(module)
    return module


def said() -> dict[str, tuple[int, int]]:
    """The ranges in the recipe's docstring."""
    text = " ".join(RECIPES["demo"].__doc__.split())
    found = {}
    for name, words in (("memorized", r"memorized .*?at step"), ("grokked", r"grokked .*?at step"), ("settled", r"settled at")):
        first, last = re.search(rf"{words} ([\d,]+) to ([\d,]+)", text).groups()
        found[name] = int(first.replace(",", "")), int(last.replace(",", ""))
    return found


def test_the_page_is_written_from_what_is_kept(expected):
    assert expected.PAGE.read_text() == expected.page(expected.kept())


def test_every_run_that_was_kept_falls_into_what_the_recipe_says(expected):
    runs = expected.kept()
    assert len({(run["seed"], run["threads"]) for run in runs}) == len(runs) >= 10
    assert len({run["threads"] for run in runs}) > 1
    for run in runs:
        for name, (first, last) in said().items():
            assert first <= run[name] <= last, (run, name)
        assert run["test_loss"] < 1e-2


def test_a_range_is_that_of_the_runs_which_have_a_date(expected):
    one = {"memorized": 10, "grokked": None, "settled": None}
    other = {"memorized": 30, "grokked": 500, "settled": None}
    assert expected.spans([one, other]) == {"memorized": (10, 30), "grokked": (500, 500)}
