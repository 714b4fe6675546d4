"""Results of analyses: labels survive the file, content is what counts, damage is recomputed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from interp.errors import DataError
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
