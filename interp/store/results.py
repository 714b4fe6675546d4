"""What analyses measured, kept beside the run: one file per analysis, trusted only for the content it was computed from, and only
while its own hash fits."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from interp.errors import DataError
from interp.process import give_back_memory
from interp.reading import read_file
from interp.store.durable import write_atomically
from interp.store.installation import say_elsewhere
from interp.store.kept import make_results, next_order, prune
from interp.store.manifest import RESULTS
from interp.store.noted import kept_if_possible
from interp.store.packed import pack_arrays, unpack_arrays
from interp.store.sealed import check_header, pack_measured, unpack_measured

log = logging.getLogger("interp")


@dataclass(frozen=True, eq=False)
class Row:
    """What one analysis measured at one step: arrays, and what their axes are, as JSON."""

    values: dict[str, np.ndarray]
    labels: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, measured: Mapping[str, xr.DataArray | float]) -> Row:
        """Take values apart: between processes arrays and lists are sent many times as fast as labelled arrays.

        Raises:
            DataError: if a value is not numeric, or has a dimension ``step``.
        """
        values, labels = {}, {}
        for variable, value in measured.items():
            array = value if isinstance(value, xr.DataArray) else np.asarray(value)
            if array.dtype.kind not in "fiub":
                raise DataError(f"{variable}: given values of type {array.dtype}, expected numbers (a float or a DataArray)")
            labels[variable] = _labels(array)
            if "step" in labels[variable]["dims"]:
                raise DataError(f"{variable}: has a dimension 'step'; measure one checkpoint, steps are added for you")
            values[variable] = np.array(array, order="C")
        return cls(values, labels)


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
            self._path, where = None, f"{run}: the series of {name}"
            arrays, header = unpack_arrays(kept, where=where)
            check_header(arrays, header, where=where)
            self._take(arrays, header)
        elif self._path is not None and self._path.is_file():
            self._load(self._path)

    def __bool__(self) -> bool:
        """Whether anything was measured."""
        return bool(self._rows)

    def only(self, hashes: Mapping[int, str]) -> bool:
        """Leave out other steps than these, and checkpoints with other hashes; whether all of these were measured."""
        self._rows = {step: row for step, row in self._rows.items() if hashes.get(step) == row[0]}
        return self._rows.keys() == hashes.keys()

    def has(self, step: int, sha256: str) -> bool:
        """Whether this step was measured, on a checkpoint with this hash."""
        return step in self._rows and self._rows[step][0] == sha256

    def add(self, step: int, sha256: str, measured: Mapping[str, xr.DataArray | float] | Row) -> None:
        """Take what was measured at one step.

        Raises:
            DataError: if a value is not numeric, if its coordinates are neither numbers nor texts, or if its dimensions or
                coordinates differ from those of earlier steps.
        """
        row = measured if isinstance(measured, Row) else Row.of(measured)
        if self._labels and row.labels != self._labels:
            raise DataError(
                f"{self._difference(row.labels)}; every checkpoint must give the same variables, dimensions and coordinates"
            )
        if not self._labels:
            _check_writable(row.labels)
        self._labels = row.labels
        self._rows[step] = (sha256, row.values)
        self._stacked = ([], {})
        self._changed = True

    def take_kept(self) -> None:
        """Take what another process has kept meanwhile under the same key, so that `save` loses nothing of it."""
        mine = dict(self._rows)
        if self._path is not None and self._path.is_file():
            self._load(self._path)
        self._rows.update(mine)
        self._stacked = ([], {})

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
        give_back_memory()  # the rows', of which the stacked ones are copies, before the file's bytes take as much again
        header = self._header(steps)
        with kept_if_possible(self._path.parent):
            make_results(self._path.parent)
            told = {"key": self._key, "order": next_order(self._path), **header}
            write_atomically(self._path, pack_measured(arrays, told))
            prune(self._path)
        self._changed = False

    def _load(self, path: Path) -> None:
        """Read the file if it is there and ours; if it is damaged, that is said, and everything is measured anew."""
        try:
            found = unpack_measured(read_file(path, inside=path.parents[1]), where=f"{path}")
        except OSError:
            return
        except DataError as error:
            log.warning("%s; it is measured anew", error)
            return
        if found.header["key"] == self._key:
            self._take(found.arrays, found.header)
            if found.origin != "here":
                say_elsewhere(path.parents[1])

    def _take(self, arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> None:
        """Rows from arrays over steps."""
        for i, (step, sha256) in enumerate(zip(header["steps"], header["sha256"], strict=True)):
            self._rows[step] = (sha256, {name: array[i] for name, array in arrays.items()})
        self._labels = dict(header["labels"])
        self._stacked = (list(header["steps"]), dict(arrays))

    def _difference(self, labels: dict[str, dict[str, Any]]) -> str:
        if labels.keys() != self._labels.keys():
            return f"variables {sorted(labels)} differ from {sorted(self._labels)} of earlier checkpoints"
        name = next(n for n in labels if labels[n] != self._labels[n])
        return f"{name}: dimensions or coordinates differ from those of earlier checkpoints"


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
