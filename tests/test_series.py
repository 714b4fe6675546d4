"""What a series says of itself: one value, unchanged as text, and an error that helps where it is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr
from growing import built_in
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp.errors import DataError, UsageError
from interp.measures import Boundary, LeadTime, Phases, Since
from interp.observing.series import About, as_attributes, from_attributes

STEPS = st.integers(0, 10**6)
NAMES = st.text(max_size=8)
BOUNDARIES = st.builds(Boundary, STEPS, STEPS, STEPS)
MAYBE = st.none() | BOUNDARIES
NUMBERS = st.none() | st.integers(-(10**6), 10**6)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
NESTED = st.dictionaries(NAMES, PLAIN, max_size=3)
ABOUTS = st.builds(
    About,
    run=NAMES,
    task=NAMES,
    operation=NAMES,
    p=st.integers(0, 400),
    n_frequencies=st.integers(0, 200),
    key_frequencies=st.none() | st.lists(st.integers(1, 200) | NAMES, max_size=4).map(tuple),
    key_rule=NAMES,
    key_step=st.none() | STEPS,
    failures=st.dictionaries(NAMES, NAMES, max_size=2),
    left_out=st.dictionaries(NAMES, NAMES, max_size=2),
    phases=st.none()
    | st.builds(
        Phases, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE, st.sampled_from(["grokking", "comprehension", "confusion", "unknown"])
    ),
    verdicts=st.dictionaries(st.sampled_from(["algorithm", "generalization"]), st.builds(Since, NAMES, BOUNDARIES), max_size=2),
    lead=st.none() | st.builds(LeadTime, MAYBE, MAYBE, NUMBERS, NUMBERS, NUMBERS),
    config=NESTED,
    facts=NESTED,
)


@given(ABOUTS)
def test_what_became_text_says_the_same_when_it_is_read(about: About) -> None:
    assert from_attributes(as_attributes(about)) == about


def test_files_keep_what_a_series_says_and_it_can_be_read_from_them(tmp_path: Path) -> None:
    series = built_in()[1].drop_dims("place", errors="ignore")
    interp.export_series(series[["restricted_loss"]], tmp_path / "x.nc")
    interp.export_series(series[["restricted_loss"]], tmp_path / "x.parquet")
    with xr.open_dataset(tmp_path / "x.nc", engine="scipy") as read:
        assert from_attributes(read.attrs) == interp.about(series)
        with pytest.raises(UsageError, match=r"text, as files have them; interp\.observing\.series\.from_attributes reads them"):
            interp.about(read)
    assert from_attributes(pd.read_parquet(tmp_path / "x.parquet").attrs) == interp.about(series)


def test_files_have_the_names_and_texts_that_they_always_had() -> None:
    found = as_attributes(interp.about(built_in()[1]))
    assert {"run", "p", "operation", "key_frequencies", "key_rule", "key_step", "phases", "outcome", "verdicts", "config",
            "facts", "failures"} <= found.keys()  # fmt: skip
    assert found["key_frequencies"] == [2, 3]
    assert found["phases"].startswith('{"memorized": {"step": 10, "earliest": 0, "latest": 10}, "onset": null, "cleanup": ')
    assert found["verdicts"] == found["failures"] == "{}"
    assert found["config"] == '{\n  "split": {\n    "fraction": 0.5\n  },\n  "seed": 0\n}\n'


@pytest.mark.parametrize(
    "attributes",
    [{"phases": "{"}, {"phases": '{"onset": {"step": 1}}'}, {"lead": "[1]"}, {"p": "many"}, {"key_frequencies": "7"}],
)
def test_a_text_that_cannot_be_read_says_so(attributes: dict) -> None:
    with pytest.raises(DataError, match=r"attributes of a series: .*expected those that export_series writes"):
        from_attributes(attributes)


def test_a_dataset_that_says_nothing_of_itself_is_refused_with_what_to_do() -> None:
    series = built_in()[1]
    with pytest.raises(UsageError, match=r'none in attrs\["about"\].*assign_attrs\(about=interp\.about\(series\)\)'):
        interp.about(xr.Dataset({"restricted_loss": series["restricted_loss"]}))
    assert interp.about(series.isel(step=[0])) is interp.about(series)


def test_an_outcome_is_that_of_the_phases_and_unknown_without_them() -> None:
    about = interp.about(built_in()[1])
    assert about.outcome == about.phases.outcome
    assert replace(about, phases=None).outcome == "unknown"


def test_attributes_are_read_and_written_in_one_place() -> None:
    """Nobody else reads a series' attributes, or decodes them."""
    root = Path(interp.__file__).parent
    rooms = [path for room in ("observing", "reporting", "figures", "live", "cli") for path in (root / room).rglob("*.py")]
    sources = {path.name: path.read_text(encoding="utf-8") for path in [*rooms, *(root.parent / "analyses").glob("*.py")]}
    reading = {name for name, text in sources.items() if re.search(r"json\.loads|series\.attrs\[", text)}
    assert reading <= {"series.py", "dissection.py"}  # a dissection is one text, a variable of its series
