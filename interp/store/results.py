"""What analyses measured, kept beside the run: one file per analysis, trusted only for the content it was computed from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from interp.errors import DataError
from interp.reading import check_file, parsed_json
from interp.store.durable import write_atomically
from interp.store.kept import KEY, make_results, next_order, prune
from interp.store.manifest import RESULTS
from interp.store.packed import pack_arrays, unpack_arrays

# What reading a file raises whose content does not fit together.
_ODD = (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)


class Results:
    """One analysis' results over checkpoints.

    Args:
        run: the run's directory; results lie in its ``results`` folder.
        name: the analysis.
        key: hash of all that the results depend on besides the checkpoint; None means that nothing is kept.
        kept: the series that is part of the run, in place of what lies beside it: its checkpoints are gone.
    """

    def __init__(self, run: Path, name: str, *, key: str | None, kept: bytes | None = None) -> None:
        self.name = name
        self._key = key
        self._path = run / RESULTS / f"{name}-{key[:16]}.safetensors" if key else None
        self._rows: dict[int, tuple[str, dict[str, np.ndarray]]] = {}
        # Every variable over these steps; rows are parts of it, so that nothing is in memory twice.
        self._stacked: tuple[list[int], dict[str, np.ndarray]] = ([], {})
        self._labels: dict[str, dict[str, Any]] = {}
        self._changed = False
        if kept is not None:
            self._path = None
            where = f"{run}: the series of {name}"
            try:
                self._take(*unpack_arrays(kept, where=where))
            except _ODD as error:
                raise DataError(f"{where}: not what was measured ({type(error).__name__}: {error!s:.200})") from error
        elif self._path is not None and self._path.is_file():
            self._load(self._path)

    def __bool__(self) -> bool:
        """Whether anything was measured."""
        return bool(self._rows)

    def has(self, step: int, sha256: str) -> bool:
        """Whether this step was measured, on a checkpoint with this hash."""
        return step in self._rows and self._rows[step][0] == sha256

    def add(self, step: int, sha256: str, measured: Mapping[str, xr.DataArray | float]) -> None:
        """Take what was measured at one step.

        Raises:
            DataError: if a value is not numeric, if its coordinates are neither numbers nor texts, or if its dimensions or
                coordinates differ from those of earlier steps.
        """
        row, labels = {}, {}
        for variable, value in measured.items():
            array = value if isinstance(value, xr.DataArray) else np.asarray(value)
            if array.dtype.kind not in "fiub":
                raise DataError(f"{variable}: given values of type {array.dtype}, expected numbers (a float or a DataArray)")
            labels[variable] = _labels(array)
            if "step" in labels[variable]["dims"]:
                raise DataError(f"{variable}: has a dimension 'step'; measure one checkpoint, steps are added for you")
            row[variable] = np.array(array, order="C")
        if self._labels and labels != self._labels:
            raise DataError(
                f"{self._difference(labels)}; every checkpoint must give the same variables, dimensions and coordinates"
            )
        if not self._labels:
            _check_writable(labels)
        self._labels = labels
        self._rows[step] = (sha256, row)
        self._stacked = ([], {})
        self._changed = True

    def series(self, steps: list[int]) -> dict[str, xr.DataArray]:
        """Every variable over the given steps, NaN at those that were not measured."""
        known, arrays = self._stack()
        place = {step: row for row, step in enumerate(known)}
        rows = [place[step] for step in steps if step in place]
        is_known = np.array([step in place for step in steps])
        found = {}
        for variable, labels in self._labels.items():
            values = arrays[variable] if steps == known else arrays[variable][rows]
            if not is_known.all():
                some, values = values, np.full((len(steps), *values.shape[1:]), np.nan)
                values[is_known] = some
            coords = {"step": steps, **{dim: np.asarray(c) for dim, c in labels["coords"].items()}}
            found[variable] = xr.DataArray(values, dims=("step", *labels["dims"]), coords=coords, attrs=labels["attrs"])
        return found

    def _stack(self) -> tuple[list[int], dict[str, np.ndarray]]:
        """All steps, ascending, and every variable over them."""
        if len(self._stacked[0]) != len(self._rows):
            steps, arrays = sorted(self._rows), {}
            for name in self._labels:
                arrays[name] = np.stack([self._rows[step][1][name] for step in steps])
                for i, step in enumerate(steps):
                    self._rows[step][1][name] = arrays[name][i]
            self._stacked = (steps, arrays)
        return self._stacked

    def packed(self, facts: Mapping[str, object]) -> bytes:
        """Everything that was measured as the bytes of a file, with facts about it: what `kept` takes."""
        steps, arrays = self._stack()
        return pack_arrays(arrays, {**facts, **self._header(steps)})

    def _header(self, steps: list[int]) -> dict[str, Any]:
        return {"steps": steps, "sha256": [self._rows[step][0] for step in steps], "labels": self._labels}

    def save(self) -> None:
        """Write what is new, atomically. If that cannot be written (a disk that is full or read-only), they are not kept."""
        if self._path is None or not self._changed:
            return
        steps, arrays = self._stack()
        header = self._header(steps)
        with suppress(OSError):
            make_results(self._path.parent)
            told = {"key": self._key, "order": next_order(self._path), **header}
            write_atomically(self._path, save(arrays, metadata={KEY: json.dumps(told)}))
            prune(self._path)
        self._changed = False

    def _load(self, path: Path) -> None:
        """Read the file if it is sound and ours; a damaged cache is recomputed."""
        with suppress(SafetensorError, OSError, *_ODD):
            check_file(path, inside=path.parents[1])
            with safe_open(path, framework="np") as file:
                header = parsed_json(file.metadata()[KEY])
                if header["key"] != self._key:
                    return
                self._take({name: file.get_tensor(name) for name in file.keys()}, header)  # noqa: SIM118  no mapping

    def _take(self, arrays: dict[str, np.ndarray], header: Mapping[str, Any]) -> None:
        """Rows from arrays over steps; nothing is taken of what does not fit together."""
        steps, hashes, labels = header["steps"], header["sha256"], header["labels"]
        _check_fit(steps, hashes, labels, arrays)
        for i, (step, sha256) in enumerate(zip(steps, hashes, strict=True)):
            self._rows[step] = (sha256, {name: array[i] for name, array in arrays.items()})
        self._labels = labels
        self._stacked = (list(steps), arrays)

    def _difference(self, labels: dict[str, dict[str, Any]]) -> str:
        if labels.keys() != self._labels.keys():
            return f"variables {sorted(labels)} differ from {sorted(self._labels)} of earlier checkpoints"
        name = next(n for n in labels if labels[n] != self._labels[n])
        return f"{name}: dimensions or coordinates differ from those of earlier checkpoints"


def _check_fit(steps: Any, hashes: Any, labels: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Error unless steps ascend, and each array has the shape, the dimensions and the coordinates of its labels.

    Raises:
        ValueError, TypeError, KeyError: whatever does not fit first.
    """
    is_step = all(type(step) is int for step in steps)
    if not is_step or list(steps) != sorted(set(steps)) or len(hashes) != len(steps) or labels.keys() != arrays.keys():
        raise ValueError("its steps, hashes and variables do not fit together")
    for name, array in arrays.items():
        dims, shape, coords = labels[name]["dims"], labels[name]["shape"], labels[name]["coords"]
        if array.dtype.kind not in "fiub" or array.shape != (len(steps), *shape) or len({*dims, "step"}) != 1 + len(shape):
            raise ValueError(f"{name}: an array of shape {array.shape}, expected {len(steps)} steps of {shape}")
        if not all(isinstance(dim, str) for dim in dims) or not isinstance(labels[name]["attrs"], dict):
            raise TypeError(f"{name}: its labels are none")
        sizes = dict(zip(dims, shape, strict=True))
        if any(np.asarray(values).shape != (sizes[dim],) for dim, values in coords.items()):
            raise ValueError(f"{name}: its coordinates do not fit its shape")


def _check_writable(labels: dict[str, dict[str, Any]]) -> None:
    for variable, of_variable in labels.items():
        try:
            json.dumps(of_variable)
        except TypeError as error:
            raise DataError(f"{variable}: its coordinates cannot be kept ({error}); expected numbers or texts") from error


def _labels(array: xr.DataArray | np.ndarray) -> dict[str, Any]:
    """Dimensions, sizes, coordinates and attributes of an array, as JSON."""
    if not isinstance(array, xr.DataArray):
        return {"dims": [], "shape": [], "coords": {}, "attrs": {}} if array.ndim == 0 else _labels(xr.DataArray(array))
    return {
        "dims": [str(dim) for dim in array.dims],
        "shape": list(array.shape),
        "coords": {str(dim): array.coords[dim].values.tolist() for dim in array.dims if dim in array.coords},
        "attrs": json.loads(json.dumps(array.attrs)) if array.attrs else {},
    }
