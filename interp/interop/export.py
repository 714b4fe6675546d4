"""Exports: a model as safetensors or for either TransformerLens, a measured series as netCDF, parquet or CSV."""

from __future__ import annotations

import io
import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from interp.errors import DataError, UsageError, unknown
from interp.interop.transformer_lens import legacy_state
from interp.interop.zip_comment import with_comment
from interp.networks.bridge import bridge_facts
from interp.networks.bridge import to_bridge as to_bridge  # noqa: PLC0414  the stub of this room names it
from interp.networks.one_layer import Weights
from interp.observing.series import ABOUT, about, as_attributes
from interp.store.durable import write_output
from interp.store.tensors import pack_network

if TYPE_CHECKING:
    import pandas as pd

WeightsFormat = Literal["safetensors", "transformer-lens", "bridge"]
_SERIES_SUFFIXES = (".nc", ".parquet", ".csv")


def export_weights(weights: Weights, path: str | Path, format: WeightsFormat = "safetensors", *, step: int = 0) -> Path:
    """Write one model to a file, whole or not at all; its mode follows the umask.

    Args:
        format: ``safetensors``, this toolkit's own checkpoint, which loses nothing; ``transformer-lens``, the state dict of a
            HookedTransformer (`legacy_state`), for ``torch.load``; ``bridge``, for TransformerLens 4: a dict with the
            ``state_dict`` of a TransformerBridge, the ``config`` to boot it with, and the ``epoch``. (`to_bridge` makes the
            object.)
        step: number of updates the model has had. A HookedTransformer's state dict has no place for it, nor for the activation:
            they are in the comment of the file's zip archive, and the state dict is as TransformerLens expects it.

    Raises:
        UsageError: for an unknown format, or a model the format cannot hold.
        DataError: if the file cannot be written.
    """
    if format not in get_args(WeightsFormat):
        raise unknown("format", format, get_args(WeightsFormat))
    if format == "safetensors":
        return write_output(Path(path), pack_network(step, weights))
    buffer = io.BytesIO()
    content: dict[str, object] = dict(_on_cpu(legacy_state(weights)))
    if format == "bridge":
        bridge = to_bridge(weights)
        state = _on_cpu({name: tensor.detach() for name, tensor in bridge.state_dict().items()})
        content = {"state_dict": state, "config": bridge_facts(weights), "epoch": step}
    torch.save(content, buffer)
    return write_output(Path(path), with_comment(buffer.getvalue(), {"step": step, "act_fn": weights.activation}))


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def export_series(series: xr.Dataset, path: str | Path) -> Path:
    """Write a measured series, by the file's suffix: ``.nc`` keeps it as it is, ``.parquet`` and ``.csv`` have its `tidy` table.

    netCDF is version 3, which every reader knows: integers become 32-bit, where they fit. Attributes become text, what is nested
    in them JSON; parquet keeps the series' attributes (``table.attrs`` in pandas), CSV has none.

    Raises:
        UsageError: for another suffix.
        DataError: if the file cannot be written, or netCDF cannot hold a value.
    """
    path = Path(path)
    if path.suffix not in _SERIES_SUFFIXES:
        raise UsageError(f"{path}: given suffix {path.suffix!r}, expected one of {', '.join(_SERIES_SUFFIXES)}")
    if path.suffix == ".nc":
        return write_output(path, _netcdf(series))
    table, buffer = tidy(series), io.BytesIO()
    table.attrs = _attributes(series)
    if path.suffix == ".parquet":
        table.to_parquet(buffer, index=False)
    else:
        table.to_csv(buffer, index=False)
    return write_output(path, buffer.getvalue())


def tidy(series: xr.Dataset) -> pd.DataFrame:
    """One row per number: ``variable``, the coordinates it has (empty where it does not have that axis), ``value``, ``text``.

    Variables with different axes share one table without being multiplied out. Text has its own column; truth values are 0 and 1.

    >>> tidy(xr.Dataset({"gini": ("step", [0.25])}, coords={"step": [100]})).to_dict("records")
    [{'variable': 'gini', 'step': 100, 'value': 0.25, 'text': None}]
    """
    import pandas as pd

    dimensions = [str(name) for name in series.sizes]
    tables = []
    for name, array in series.data_vars.items():
        frame = array.rename("value").reset_coords(drop=True).to_dataframe().reset_index() if array.ndim else None
        if frame is None:
            frame = pd.DataFrame({"value": [array.values[()]]})
        is_text = array.dtype.kind in "OSU"
        text = frame["value"].map(lambda value: None if value is None else str(value)).astype(object) if is_text else None
        frame["text"] = text if is_text else pd.Series([None] * len(frame), dtype=object)
        frame["value"] = np.nan if is_text else frame["value"].astype(np.float64)
        frame.insert(0, "variable", str(name))
        tables.append(frame)
    if not tables:
        return pd.DataFrame(columns=["variable", *dimensions, "value", "text"])
    table = pd.concat(tables, ignore_index=True)
    for name in dimensions:
        if name in table and series[name].dtype.kind in "iu":
            table[name] = table[name].astype("Int64")
    return table[["variable", *(name for name in dimensions if name in table), "value", "text"]]


def _netcdf(series: xr.Dataset) -> bytes:
    plain = series.copy()
    plain.attrs = _attributes(series)
    for variable in series.variables:
        plain[variable].attrs = {str(name): _attribute(value) for name, value in series[variable].attrs.items()}
    try:
        return bytes(plain.to_netcdf(engine="scipy"))
    except (ValueError, TypeError) as error:
        raise DataError(f"netCDF cannot hold this series ({error}); export it as .parquet") from error


def _attributes(series: xr.Dataset) -> dict[Hashable | None, object]:
    """Those of a file: what the series says of itself, and what else its owner has put there."""
    own = {name: value for name, value in series.attrs.items() if name != ABOUT}
    told = as_attributes(about(series)) if ABOUT in series.attrs else {}
    return {str(name): _attribute(value) for name, value in (told | own).items()}


def _attribute(value: object) -> object:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if plain else json.dumps(value.tolist() if isinstance(value, np.ndarray | np.generic) else value, default=str)
