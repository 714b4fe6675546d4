"""Exports: a model as safetensors or for either TransformerLens, a measured series as netCDF, parquet or CSV."""

from __future__ import annotations

import io
import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from interp.errors import DataError, UsageError, unknown
from interp.interop.transformer_lens import legacy_state
from interp.interop.zip_comment import with_comment
from interp.networks.bridge import bridge_facts
from interp.networks.bridge import to_bridge as to_bridge  # noqa: PLC0414  the stub of this room names it
from interp.networks.layered import Layered
from interp.networks.layered_bridge import layered_facts, layered_legacy_state, layered_to_bridge
from interp.networks.network import Network
from interp.networks.one_layer import Weights
from interp.networks.two_embeddings import TwoEmbeddings
from interp.networks.weights_given import as_network, as_weights
from interp.observing.series import ABOUT, about, as_attributes
from interp.store.durable import write_output
from interp.store.tensors import pack_network

if TYPE_CHECKING:
    import pandas as pd

    from interp.store.checkpoint import Checkpoint

WeightsFormat = Literal["safetensors", "transformer-lens", "bridge"]
_WEIGHTS_SUFFIXES: dict[str, WeightsFormat] = {
    ".safetensors": "safetensors",
    ".pt": "transformer-lens",
    ".pth": "transformer-lens",
}
_SERIES_SUFFIXES = (".nc", ".parquet", ".csv")
# Of a table, beside the axes of a series.
_COLUMNS = ("variable", "value", "text")
_EXACT = 2**53  # integers up to it are exact in double precision


def export_weights(
    weights: Weights | Layered | TwoEmbeddings | Checkpoint,
    path: str | Path,
    format: WeightsFormat | None = None,
    *,
    step: int | None = None,
) -> Path:
    """Write one model to a file, whole or not at all; its mode follows the umask.

    Args:
        weights: the model, or a checkpoint of it. Of other networks than the one-layer transformer, what TransformerLens has:
            transformers of any depth, with LayerNorm before attention and MLP, or without.
        path: the file: ``.safetensors``, or ``.pt`` or ``.pth`` for a format that ``torch.load`` reads.
        format: ``safetensors``, this toolkit's own checkpoint, which loses nothing; ``transformer-lens``, the state dict of a
            HookedTransformer (`legacy_state`), for ``torch.load``; ``bridge``, for TransformerLens 4: a dict with the
            ``state_dict`` of a TransformerBridge, the ``config`` to boot it with, and the ``epoch``. (`to_bridge` makes the
            object.) By default what the suffix says: ``safetensors``, or ``transformer-lens`` for ``.pt`` and ``.pth``.
        step: number of updates the model has had; a checkpoint's own by default, else 0. A HookedTransformer's state dict has
            no place for it, nor for the activation: they are in the comment of the file's zip archive, and the state dict is
            as TransformerLens expects it.

    Raises:
        UsageError: for an unknown format, a suffix that is not the format's, or a model the format cannot hold.
        DataError: if the file cannot be written.
    """
    path = Path(path)
    format, given = _format_of(path, format), weights
    network = as_network(given)
    step = int(getattr(given, "step", 0)) if step is None else step
    if format == "safetensors":
        return write_output(path, pack_network(step, network))
    buffer = io.BytesIO()
    content = _for_transformer_lens(network, format, step)
    torch.save(content, buffer)
    activation = network.layout.activation if isinstance(network, Layered) else as_weights(network).activation
    return write_output(path, with_comment(buffer.getvalue(), {"step": step, "act_fn": activation}))


def _for_transformer_lens(network: Network, format: WeightsFormat, step: int) -> dict[str, object]:
    """What is saved for either TransformerLens."""
    if isinstance(network, TwoEmbeddings):
        raise UsageError(
            f"format: given {format} for a network of kind {network.kind!r}, which TransformerLens does not have; export it as "
            "safetensors"
        )
    if format == "transformer-lens":
        return dict(_on_cpu(layered_legacy_state(network) if isinstance(network, Layered) else legacy_state(as_weights(network))))
    bridge = layered_to_bridge(network) if isinstance(network, Layered) else to_bridge(as_weights(network))
    facts = layered_facts(network) if isinstance(network, Layered) else bridge_facts(as_weights(network))
    state = _on_cpu({name: tensor.detach() for name, tensor in bridge.state_dict().items()})
    return {"state_dict": state, "config": facts, "epoch": step}


def _format_of(path: Path, format: str | None) -> WeightsFormat:
    """The format that is meant, by its name or by the suffix of the file, which must not contradict each other."""
    if format is not None and format not in get_args(WeightsFormat):
        raise unknown("format", format, get_args(WeightsFormat))
    suffix = path.suffix.lower()
    if suffix not in _WEIGHTS_SUFFIXES:
        raise UsageError(
            f"{path}: given suffix {path.suffix!r}, expected .safetensors, or .pt or .pth for a state dict as TransformerLens "
            "names it; nothing else is written"
        )
    by_suffix = _WEIGHTS_SUFFIXES[suffix]
    if format is None:
        return by_suffix
    if (format == "safetensors") != (by_suffix == "safetensors"):
        right = ".safetensors" if format == "safetensors" else ".pt or .pth"
        raise UsageError(f"{path}: given suffix {path.suffix!r} with format {format}, expected {right}")
    return cast("WeightsFormat", format)


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def export_series(series: xr.Dataset, path: str | Path) -> Path:
    """Write a measured series, by the file's suffix: ``.nc`` keeps it as it is, ``.parquet`` and ``.csv`` have its `tidy` table.

    netCDF is version 3, which every reader knows: integers become 32-bit, where they fit. Attributes become text, what is nested
    in them JSON; parquet keeps the series' attributes (``table.attrs`` in pandas), CSV has none.

    Raises:
        UsageError: for another suffix, and for a series that no such file can hold: complex numbers, and in a table axes with the
            name of a column or numbers that are not exact in double precision.
        DataError: if the file cannot be written, or netCDF cannot hold a value.
    """
    if not isinstance(series, xr.Dataset):
        raise UsageError(f"series: given {type(series).__name__}, expected what interp.observe(run) returns")
    path = Path(path)
    if path.suffix not in _SERIES_SUFFIXES:
        raise UsageError(f"{path}: given suffix {path.suffix!r}, expected one of {', '.join(_SERIES_SUFFIXES)}")
    if of_complex := [str(name) for name, array in series.variables.items() if array.dtype.kind == "c"]:
        raise UsageError(
            f"series: given complex numbers in {', '.join(of_complex)}, for which none of {', '.join(_SERIES_SUFFIXES)} has a "
            "place; measure their real and imaginary parts as two variables"
        )
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

    Raises:
        UsageError: for an axis that has the name of one of these columns, and numbers that double precision does not hold.

    >>> tidy(xr.Dataset({"gini": ("step", [0.25])}, coords={"step": [100]})).to_dict("records")
    [{'variable': 'gini', 'step': 100, 'value': 0.25, 'text': None}]
    """
    import pandas as pd

    dimensions = [str(name) for name in series.sizes]
    if clashing := [name for name in dimensions if name in _COLUMNS]:
        raise UsageError(
            f"series: given an axis {clashing[0]!r}, which is a column of every table ({', '.join(_COLUMNS)}); call it otherwise "
            "where it is measured, or export the series as .nc"
        )
    tables = []
    for name, array in series.data_vars.items():
        if array.ndim:
            frame = array.rename("value").reset_coords(drop=True).to_dataframe().reset_index()
        else:
            frame = pd.DataFrame({"value": [np.nan]})
        is_text = array.dtype.kind in "OSUMm"
        texts = map(_text, array.values.ravel()) if is_text else [None] * array.size
        frame["value"] = np.nan if is_text else _numbers(str(name), array.values.ravel())
        frame["text"] = pd.Series([*texts], dtype=object)
        frame.insert(0, "variable", str(name))
        tables.append(frame)
    if not tables:
        return pd.DataFrame(columns=["variable", *dimensions, "value", "text"])
    table = pd.concat(tables, ignore_index=True)
    for name in dimensions:
        if name in table and series[name].dtype.kind in "iu":
            table[name] = table[name].astype("Int64")
    return table[["variable", *(name for name in dimensions if name in table), "value", "text"]]


def _numbers(name: str, values: np.ndarray) -> np.ndarray:
    """Numbers and truth values in double precision.

    Raises:
        UsageError: for integers that it does not hold.
    """
    if values.dtype.kind in "iu":
        long = values[(values > _EXACT) | (values < -_EXACT)].tolist()
        if lost := [value for value in long if int(float(value)) != value]:
            raise UsageError(
                f"series: given {lost[0]} in {name}, expected integers that double precision holds (those up to 2^53 are exact); "
                "measure them as texts"
            )
    return values.astype(np.float64)


def _text(value: object) -> str | None:
    """A value as text, None where it is missing."""
    if value is None or (isinstance(value, float | np.generic) and bool(value != value)):  # noqa: PLR0124  NaN, or no time
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


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
