"""Exports: files that others read, whole or not there at all, with everything that was measured in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from random_models import architectures, assert_same, random_weights

from interp.errors import DataError, UsageError
from interp.interop import export_series, export_weights, load_run, load_weights
from interp.interop.export import tidy
from interp.networks.one_layer import Weights, forward


@pytest.fixture
def series() -> xr.Dataset:
    """A series like a run's: numbers per step, per step and frequency, one without steps, text and truth values, nested facts."""
    return xr.Dataset(
        {
            "gini": ("step", [0.25, np.nan, 1e-30], {"formula": "G(c)", "unit": None}),
            "norms": (("step", "frequency"), np.arange(6.0).reshape(3, 2)),
            "dead": (("step", "neuron"), np.array([[True, False]] * 3)),
            "clusters": ("frequency", np.array([3, 4])),
            "verdict": ("step", np.array(["clock", "pizza", "neither"])),
            "total": ((), 7.5),
        },
        coords={"step": [0, 100, 2000], "frequency": [5, 9]},
        attrs={"key_frequencies": [5, 9], "run": "demo", "phases": {"onset": None}, "settled": True, "rate": np.float32(0.5)},
    )


@given(weights=architectures())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_safetensors_round_trip(weights: Weights, tmp_path: Path) -> None:
    assert_same(load_weights(export_weights(weights, tmp_path / "m.safetensors")), weights)


def test_files_have_the_modes_the_umask_says(tmp_path: Path, series: xr.Dataset) -> None:
    before = os.umask(0o027)
    try:
        paths = [export_series(series, tmp_path / f"s{suffix}") for suffix in (".nc", ".parquet", ".csv")]
        paths += [export_weights(random_weights(), tmp_path / "m.safetensors")]
        paths += [export_weights(random_weights(), tmp_path / "m.pt", "transformer-lens")]
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o640}
    assert len([*tmp_path.iterdir()]) == 5  # nothing half-written is left beside them


def test_netcdf_keeps_the_whole_series(tmp_path: Path, series: xr.Dataset) -> None:
    with xr.open_dataset(export_series(series, tmp_path / "s.nc"), engine="scipy") as found:
        found.load()
    for name, variable in series.variables.items():
        np.testing.assert_array_equal(found[name].values, variable.values)
        assert found[name].dims == variable.dims
    assert found["dead"].dtype == bool
    assert found.attrs["key_frequencies"] == "[5, 9]"
    assert found.attrs["phases"] == '{"onset": null}'
    assert found.attrs["run"] == "demo"
    assert found.attrs["settled"] == "true"
    assert found.attrs["rate"] == "0.5"
    assert found["gini"].attrs["unit"] == "null"
    assert series.attrs["key_frequencies"] == [5, 9]  # the caller's series is untouched


def test_parquet_has_one_row_per_number(tmp_path: Path, series: xr.Dataset) -> None:
    table = pd.read_parquet(export_series(series, tmp_path / "s.parquet"))
    assert list(table.columns) == ["variable", "step", "frequency", "neuron", "value", "text"]
    assert len(table) == 3 + 6 + 6 + 2 + 3 + 1
    norms = table[table.variable == "norms"]
    assert norms[["step", "frequency", "value"]].astype(float).to_numpy().tolist() == [
        [0, 5, 0], [0, 9, 1], [100, 5, 2], [100, 9, 3], [2000, 5, 4], [2000, 9, 5],
    ]  # fmt: skip
    gini = table[table.variable == "gini"]
    np.testing.assert_array_equal(gini.value, [0.25, np.nan, 1e-30])
    assert gini.frequency.isna().all()
    assert table[table.variable == "verdict"].text.tolist() == ["clock", "pizza", "neither"]
    assert table[table.variable == "dead"].value.tolist() == [1.0, 0.0] * 3
    assert table[table.variable == "dead"].neuron.tolist() == [0, 1] * 3  # an axis without coordinates is numbered
    assert table[table.variable == "total"].value.tolist() == [7.5]
    assert table.attrs["key_frequencies"] == "[5, 9]"
    assert table.attrs["run"] == "demo"


def test_csv_is_the_same_table(tmp_path: Path, series: xr.Dataset) -> None:
    table = pd.read_csv(export_series(series, tmp_path / "s.csv"), dtype={"value": str})  # whose own reader rounds before 3
    np.testing.assert_array_equal(table.value.astype(float), tidy(series).value)
    assert table.variable.tolist() == tidy(series).variable.tolist()
    assert "100,,,," not in (tmp_path / "s.csv").read_text().splitlines()[1]
    assert (tmp_path / "s.csv").read_text().splitlines()[1] == "gini,0,,,0.25,"


def test_an_empty_series_is_an_empty_table(tmp_path: Path) -> None:
    assert len(tidy(xr.Dataset(coords={"step": [1, 2]}))) == 0
    table = pd.read_parquet(export_series(xr.Dataset(coords={"step": [1, 2]}), tmp_path / "e.parquet"))
    assert list(table.columns) == ["variable", "step", "value", "text"]


def test_integers_too_long_for_netcdf_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"netCDF cannot hold this series .*export it as \.parquet"):
        export_series(xr.Dataset({"x": ("step", np.array([2**40]))}), tmp_path / "s.nc")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["value", "variable", "text"])
def test_an_axis_with_the_name_of_a_column_is_refused(tmp_path: Path, name: str) -> None:
    series = xr.Dataset({"x": (("step", name), [[1.0, 2.0]])}, coords={"step": [0], name: [3, 4]})
    for suffix in (".csv", ".parquet"):
        with pytest.raises(UsageError, match=f"given an axis '{name}', which is a column of every table"):
            export_series(series, tmp_path / f"s{suffix}")
    assert not [*tmp_path.iterdir()]
    with xr.open_dataset(export_series(series, tmp_path / "s.nc"), engine="scipy") as found:
        assert found[name].values.tolist() == [3, 4]


@pytest.mark.parametrize("suffix", [".nc", ".parquet", ".csv"])
def test_complex_numbers_are_refused(tmp_path: Path, suffix: str) -> None:
    series = xr.Dataset({"wave": ("step", [1 + 2j]), "loss": ("step", [0.5])}, coords={"step": [0]})
    with pytest.raises(UsageError, match=r"complex numbers in wave.* real and imaginary parts"):
        export_series(series, tmp_path / f"s{suffix}")
    assert not [*tmp_path.iterdir()]


def test_a_missing_text_is_missing_and_no_integer_is_rounded(tmp_path: Path) -> None:
    texts = np.array([["a", None], [b"b", float("nan")]], dtype=object)
    dates = np.array(["2025-01-02", "NaT"], dtype="M8[ns]")
    series = xr.Dataset(
        {"note": (("step", "part"), texts), "date": ("step", dates), "n": ("step", [2**53, -(2**60)])}, {"step": [0, 1]}
    )
    table = pd.read_parquet(export_series(series, tmp_path / "s.parquet")).set_index("variable")
    assert [None if pd.isna(text) else text for text in table.text["note"]] == ["a", None, "b", None]
    assert table.text["date"].iloc[0].startswith("2025-01-02")
    assert pd.isna(table.text["date"].iloc[1])
    assert table.value["n"].tolist() == [2**53, -(2**60)]
    with pytest.raises(UsageError, match="given 9007199254740993 in n, expected integers that double precision holds"):
        export_series(xr.Dataset({"n": ("step", [2**53 + 1])}), tmp_path / "t.csv")


def test_bad_targets_are_refused(tmp_path: Path, series: xr.Dataset) -> None:
    with pytest.raises(UsageError, match=r"given suffix '\.xlsx', expected one of \.nc, \.parquet, \.csv"):
        export_series(series, tmp_path / "s.xlsx")
    with pytest.raises(UsageError, match="unknown format 'safetensor'; did you mean 'safetensors'"):
        export_weights(random_weights(), tmp_path / "m", "safetensor")
    with pytest.raises(DataError, match=r"nowhere.*cannot be written"):
        export_weights(random_weights(), tmp_path / "nowhere" / "m.safetensors")
    with pytest.raises(DataError, match="cannot be written"):
        export_series(series, tmp_path / "nowhere" / "s.csv")


@pytest.mark.parametrize("biases", [["b_in", "b_out"], []])
def test_a_bridge_file_boots_a_bridge_and_comes_back(tmp_path: Path, biases: list[str]) -> None:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot

    weights = random_weights(biases=biases, d_head=5, dtype=torch.float32)
    path = export_weights(weights, tmp_path / "m.pt", "bridge", step=7)
    content = torch.load(path, weights_only=True)
    bridge = boot(TransformerBridgeConfig(**content["config"]))
    bridge.load_state_dict(content["state_dict"])
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    inputs = torch.cat([pairs, torch.full((49, 1), 7)], dim=1)
    torch.testing.assert_close(bridge(inputs)[:, -1], forward(weights, pairs).all_logits, rtol=1e-4, atol=1e-5)
    back = load_run(path)
    assert (back.format, back.checkpoints[0][0]) == ("bridge", 7)
    for name, tensor in back.weights.tensors().items():
        assert torch.equal(tensor, weights.tensors().get(name, torch.zeros_like(tensor))), name
    with pytest.raises(UsageError, match="expected 1"):
        export_weights(random_weights(attention_rate=0.0), tmp_path / "no.pt", "bridge")
    assert not (tmp_path / "no.pt").exists()


def test_exports_do_not_alias_the_model(tmp_path: Path) -> None:
    weights = random_weights().map(lambda tensor: tensor.requires_grad_())
    path = export_weights(weights, tmp_path / "m.pt", "transformer-lens")
    state = torch.load(path, weights_only=True)
    assert not any(tensor.requires_grad for tensor in state.values())
    assert path.stat().st_size < 4 * weights.n_parameters * 8  # no storage larger than its tensor came along
