"""A run that was recorded: its config, checkpoints, history and split, each checked against its hash when it is read."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from interp.config.run_config import RunConfig
from interp.errors import DataError, UsageError
from interp.networks.one_layer import Weights
from interp.store import history
from interp.store.durable import is_locked
from interp.store.manifest import (
    HISTORY,
    MANIFEST,
    RECORD,
    SPLIT,
    Manifest,
    Status,
    check_format,
    checkpoint_name,
    parse_json,
    read_checked,
)
from interp.store.missing import nearest_step, no_run, no_step, run_names
from interp.store.tensors import unpack, unpack_weights
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split
from interp.tasks.task import TableTask
from interp.wording import checkpoints

if TYPE_CHECKING:
    import xarray as xr

    from interp.store.checking import Problem

log = logging.getLogger("interp")


def open_run(path: str | Path) -> Run:
    """Open a run that was recorded or imported; what it holds is as of this moment.

    Raises:
        UsageError: if there is no run at this path, with the nearest name that is one.
        DataError: if its run.json or manifest.json is damaged.

    >>> open_run("nowhere/nanda")
    Traceback (most recent call last):
    interp.errors.UsageError: no run at nowhere/nanda (nothing is there): unknown run 'nanda'. Known: none
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        raise no_run(path)
    manifest = Manifest.from_dict(
        parse_json((path / MANIFEST).read_bytes(), where=f"{path / MANIFEST}"), where=f"{path / MANIFEST}"
    )
    record = parse_json(read_checked(path, RECORD, manifest), where=f"{path / RECORD}")
    check_format(record, where=f"{path / RECORD}")
    return Run(path, manifest, record)


def list_runs(root: str | Path = "checkpoints") -> list[Run]:
    """Every run in a directory, by name. A run that cannot be opened is left out, with a warning that says why.

    Raises:
        UsageError: if the directory does not exist.
    """
    root, found = Path(root), []
    if not root.is_dir():
        raise UsageError(
            f"directory {root} does not exist; `interp demo` and `interp train` make it, or name another with --root"
        )
    for name in run_names(root):
        try:
            found.append(open_run(root / name))
        except DataError as error:
            log.warning("%s", error)
    return found


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One saved step.

    Attributes:
        step: number of updates applied.
        weights: the model, on the CPU.
        losses: this step's line of the history: train_loss, test_loss, train_accuracy, test_accuracy, sum_squared_weights;
            None where not measured.
        sha256: hash of the checkpoint's file.
        path: where the file is.
    """

    step: int
    weights: Weights
    losses: Mapping[str, float | None]
    sha256: str
    path: Path


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run on disk, as of when it was opened. ``run[step]`` is a `Checkpoint`; iterating gives all of them in order.

    Attributes:
        path: its directory.
        manifest: what it holds, hash by hash.
        record: the content of run.json.
    """

    path: Path
    manifest: Manifest
    record: Mapping[str, Any]

    def __getitem__(self, step: int) -> Checkpoint:
        """The checkpoint of a step, its file checked against its hash.

        Raises:
            UsageError: if that step was not saved; `nearest` gives the nearest one that was.
            DataError: if the file is missing, damaged or foreign.
        """
        expected, name = self.sha256(step), checkpoint_name(step)
        found, weights = unpack_weights(self.read(name), where=f"{self.path / name}")
        if found != step:
            check = f"interp verify {shlex.quote(str(self.path))}"
            raise DataError(f"{self.path / name}: holds step {found}, expected {step}; `{check}` checks every file")
        return Checkpoint(step, weights, self._losses(step), expected, self.path / name)

    def __iter__(self) -> Iterator[Checkpoint]:
        return (self[step] for step in self.steps)

    def __len__(self) -> int:
        """Number of checkpoints."""
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.status}, {checkpoints(self.steps)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the run's headline and small curves, from its history alone."""
        from interp.reporting.card import card

        return card(self)

    @property
    def name(self) -> str:
        """Name of the run, that of its directory."""
        return self.path.resolve().name

    @cached_property
    def config(self) -> RunConfig:
        """What the run was made from. What `auto` and `none` became is in `engine` and `threads`."""
        try:
            return RunConfig.from_json(json.dumps(self.record["config"]))
        except (UsageError, KeyError, ValueError) as error:
            raise DataError(f"{self.path / RECORD}: its config cannot be read here: {error}") from error

    @property
    def task(self) -> ModularTask | TableTask:
        """What is learned."""
        return self.config.task

    @property
    def engine(self) -> str:
        """Name of the engine that computed the updates."""
        return str(self.record["engine"])

    @property
    def threads(self) -> int | None:
        """Number of CPU threads it was computed with; None where unknown (imported)."""
        return self.record["threads"]

    @property
    def n_parameters(self) -> int:
        """Number of scalars in a checkpoint."""
        return int(self.record["n_parameters"])

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Versions of the libraries, the platform and processor it was begun with, or where it was imported from."""
        return self.record["provenance"]

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The steps that were saved, ascending."""
        return self.manifest.steps

    @property
    def status(self) -> Status:
        """``running`` if a process is writing it now, ``interrupted``, ``finished``, or ``stopped`` (see `reason`)."""
        if self.manifest.final:
            return self.manifest.status
        return "running" if is_locked(self.path) else "interrupted"

    @property
    def reason(self) -> str | None:
        """Why it is finished (``budget``, ``settled``, ``imported``) or stopped (``non-finite``)."""
        return self.manifest.reason

    def nearest(self, step: int) -> Checkpoint:
        """The checkpoint nearest to a step, the earlier one of two.

        Raises:
            UsageError: if there are none yet.
        """
        if not self.steps:
            raise UsageError(f"run {self.path} has no checkpoints yet")
        return self[nearest_step(self.steps, step)]

    def sha256(self, step: int) -> str:
        """Hash of a checkpoint's file, from the manifest."""
        if step not in self.steps:
            raise no_step(self.path, self.steps, step)
        return self.manifest.files[checkpoint_name(step)].sha256

    @cached_property
    def split(self) -> Split:
        """Row indices of the train and test pairs."""
        tensors, _ = unpack(self.read(SPLIT), where=f"{self.path / SPLIT}")
        try:
            return Split(train=tensors["train"].numpy(), test=tensors["test"].numpy())
        except (KeyError, ValueError) as error:
            raise DataError(f"{self.path / SPLIT}: not a split ({error})") from error

    @property
    def history(self) -> xr.Dataset:
        """Every step's train loss, and what was measured at evaluation steps, over ``step``; NaN where not measured."""
        import xarray as xr

        columns = dict(self._columns)
        step = columns.pop("step")
        return xr.Dataset({name: ("step", values) for name, values in columns.items()}, coords={"step": step})

    def verify(self) -> tuple[Problem, ...]:
        """Check every file: hashes, shapes, steps. Empty if the run is sound."""
        from interp.store.checking import check

        return check(self)

    def facts(self) -> dict[str, Any]:
        """What the run is, in plain values: status, task, split, steps, sizes, engine, when and with what it was begun."""
        from interp.store.run_facts import facts

        return facts(self)

    def read(self, name: str) -> bytes:
        """The bytes of one of the run's files, checked against the manifest.

        Raises:
            DataError: if the file is missing or its bytes are not those that were saved.
        """
        return read_checked(self.path, name, self.manifest)

    @cached_property
    def _columns(self) -> dict[str, Shaped[np.ndarray, " step"]]:
        return history.decode(self.read(HISTORY) if HISTORY in self.manifest.files else b"", where=f"{self.path / HISTORY}")

    def _losses(self, step: int) -> dict[str, float | None]:
        row = int(np.searchsorted(self._columns["step"], step))
        if row == len(self._columns["step"]) or self._columns["step"][row] != step:
            return dict.fromkeys(history.COLUMNS)
        values = {name: float(self._columns[name][row]) for name in history.COLUMNS}
        return {name: None if np.isnan(value) else value for name, value in values.items()}
