"""Results of analyses: labels survive the file, content is what counts, damage is recomputed."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import xarray as xr
from safetensors import safe_open
from safetensors.numpy import save

from interp.errors import DataError
from interp.store import kept
from interp.store.results import Results


def measured(scale: float = 1.0) -> dict[str, xr.DataArray | float]:
    array = xr.DataArray(scale * np.arange(6.0).reshape(2, 3), dims=("head", "pos"), coords={"pos": ["a", "b", "="]})
    return {"norms": array.assign_attrs(unit="nats"), "total": scale}


def test_labels_and_values_survive_the_file(tmp_path):
    first = Results(tmp_path, "mine", key="k" * 64)
    first.add(5, "hash5", measured(2.0))
    first.add(0, "hash0", measured())
    first.save()
    again = Results(tmp_path, "mine", key="k" * 64)
    assert again.has(0, "hash0")
    assert again.has(5, "hash5")
    series = again.series([0, 5])
    assert series["norms"].dims == ("step", "head", "pos")
    assert series["norms"].sel(step=5, pos="=").values.tolist() == [4.0, 10.0]
    assert series["norms"].attrs == {"unit": "nats"}
    assert series["total"].values.tolist() == [1.0, 2.0]


def test_content_decides_what_is_known(tmp_path):
    first = Results(tmp_path, "mine", key="k" * 64)
    first.add(0, "hash0", measured())
    first.save()
    assert not Results(tmp_path, "mine", key="k" * 64).has(0, "another checkpoint")
    assert not Results(tmp_path, "mine", key="another analysis" * 4).has(0, "hash0")
    # The same first 16 letters name the same file; the whole key is compared.
    assert not Results(tmp_path, "mine", key="k" * 63 + "x").has(0, "hash0")


def test_without_a_key_nothing_is_kept(tmp_path):
    result = Results(tmp_path, "mine", key=None)
    result.add(0, "hash0", measured())
    result.save()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_file_is_computed_anew(tmp_path, damage):
    first = Results(tmp_path, "mine", key="k" * 64)
    first.add(0, "hash0", measured())
    first.save()
    path = next((tmp_path / "results").iterdir())
    path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)
    assert not Results(tmp_path, "mine", key="k" * 64).has(0, "hash0")


def test_old_variants_are_pruned(tmp_path):
    for variant in "abcdefg":
        result = Results(tmp_path, "mine", key=variant * 64)
        result.add(0, "hash0", measured())
        result.save()
    kept = [path.name[5] for path in (tmp_path / "results").iterdir()]
    assert len(kept) == 4
    assert "g" in kept


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"norms": measured()["norms"]}, "variables"),
        ({**measured(), "norms": xr.DataArray(np.zeros((2, 4)), dims=("head", "pos"))}, "norms: dimensions"),
        ({**measured(), "total": xr.DataArray(["text"], dims="x")}, "expected numbers"),
        ({**measured(), "total": xr.DataArray([1.0], dims="step")}, "dimension 'step'"),
    ],
)
def test_what_cannot_be_stacked_over_steps_is_refused(tmp_path, second, message):
    result = Results(tmp_path, "mine", key=None)
    result.add(0, "hash0", measured())
    with pytest.raises(DataError, match=message):
        result.add(1, "hash1", second)
    assert result.series([0])["total"].values.tolist() == [1.0]


def test_coordinates_that_cannot_be_kept_are_refused_at_once(tmp_path):
    odd = xr.DataArray([1.0], dims="day", coords={"day": np.array(["2020-01-01"], dtype="datetime64[D]")})
    with pytest.raises(DataError, match=r"odd: its coordinates cannot be kept .* expected numbers or texts"):
        Results(tmp_path, "mine", key="k" * 64).add(0, "hash0", {"odd": odd})


def test_rows_are_parts_of_the_series_and_not_copies_of_them(tmp_path):
    result = Results(tmp_path, "mine", key="k" * 64)
    for step in (5, 0, 10):
        result.add(step, f"hash{step}", measured(step))
    result.save()
    for one in (result, Results(tmp_path, "mine", key="k" * 64)):
        series = one.series([0, 5, 10])["norms"]
        assert series.values[:, 0, 1].tolist() == [0, 5, 10]
        assert all(np.shares_memory(series.values, row["norms"]) for _, row in one._rows.values())
        assert one.series([0, 10])["norms"].values[:, 0, 1].tolist() == [0, 10]
    result.add(7, "hash7", measured(7))
    assert result.series([0, 5, 7, 10])["norms"].values[:, 0, 1].tolist() == [0, 5, 7, 10]


@pytest.mark.parametrize("clock", [[0, 0, 0], [4_000_000_000, 2_000_000_000, 1], [1, 2_000_000_000, 4_000_000_000]])
def test_what_was_written_first_goes_first_whatever_the_clock_says(tmp_path, clock):
    for number, time in enumerate(clock):
        kept.keep(tmp_path, "fact", number, key=f"{number:064x}"[::-1])
        path = next((tmp_path / "results").glob(f"fact-{number!s}*"))
        os.utime(path, (time, time))
    for number in range(len(clock), 2 + kept.KEEP):
        kept.keep(tmp_path, "fact", number, key=f"{number:064x}"[::-1])
        os.utime(next((tmp_path / "results").glob(f"fact-{number}*")), (1, 1))
    there = [number for number in range(2 + kept.KEEP) if kept.recall(tmp_path, "fact", key=f"{number:064x}"[::-1]) is not None]
    assert there == list(range(2, 2 + kept.KEEP))


def test_results_that_were_written_first_go_first_whatever_the_clock_says(tmp_path):
    made = []
    for number in range(2 + kept.KEEP):
        results = Results(tmp_path, "mine", key=f"{number:064x}"[::-1])
        results.add(0, "a" * 64, {"a": float(number)})
        results.save()
        (path,) = (tmp_path / "results").glob(f"mine-{number}*")
        os.utime(path, (10_000_000 - number, 10_000_000 - number))  # the clock goes back
        made.append(path)
    assert [path.exists() for path in made] == [False] * 2 + [True] * kept.KEEP


def test_a_file_that_says_an_odd_order_is_older_than_all_that_say_one(tmp_path):
    kept.keep(tmp_path, "fact", 0, key="0" * 64)
    (tmp_path / "results" / "fact-1111111111111111.json").write_text('{"order": true}')
    (tmp_path / "results" / "fact-2222222222222222.json").write_text("[" * 100_000)
    (tmp_path / "results" / "fact-3333333333333333.json").mkdir()
    for number in (4, 5, 6, 7):
        kept.keep(tmp_path, "fact", number, key=str(number) * 64)
    names = sorted(path.name for path in (tmp_path / "results").iterdir() if path.is_file())
    assert names == [f"fact-{str(number) * 16}.json" for number in (4, 5, 6, 7)]


@pytest.mark.parametrize(
    "wrong",
    [{"steps": [3, 0]}, {"steps": ["0", "3"]}, {"sha256": ["a"]}, {"labels": {}}, {"labels": {"a": 5}}, {"labels": None},
     {"labels": {"a": {"dims": ["step"], "shape": [], "coords": {}, "attrs": {}}}},
     {"labels": {"a": {"dims": [], "shape": [2], "coords": {}, "attrs": {}}}},
     {"labels": {"a": {"dims": [], "shape": [], "coords": {"x": [1]}, "attrs": {}}}},
     {"labels": {"a": {"dims": [], "shape": [], "coords": {}, "attrs": []}}}],
)  # fmt: skip
def test_results_that_do_not_fit_together_are_worked_out_again(tmp_path, wrong):
    results = Results(tmp_path, "mine", key="0" * 64)
    for step in (0, 3):
        results.add(step, "a" * 64, {"a": float(step)})
    results.save()
    (path,) = (tmp_path / "results").glob("mine-*")
    with safe_open(path, framework="np") as file:
        header, array = json.loads(file.metadata()["interp"]), file.get_tensor("a")
    path.write_bytes(save({"a": array}, metadata={"interp": json.dumps(header)}))
    assert Results(tmp_path, "mine", key="0" * 64).has(3, "a" * 64)
    path.write_bytes(save({"a": array}, metadata={"interp": json.dumps(header | wrong)}))
    assert not Results(tmp_path, "mine", key="0" * 64)
