"""A run that was recorded: its config, checkpoints, history and split, each checked against its hash when it is read.

Only what gives tensors imports torch, so that a run can be listed, shown and verified at once.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from operator import index
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from jaxtyping import Shaped

from interp.config.run_config import RunConfig
from interp.cores import check_threads
from interp.errors import DataError, UsageError
from interp.networks.layered_shapes import OWN_KINDS
from interp.networks.shapes import KIND as ONE_LAYER
from interp.store import history
from interp.store.journal import read_manifest
from interp.store.locking import is_locked
from interp.store.manifest import (
    HISTORY,
    IMPORTED,
    LOOP,
    RECORD,
    SPLIT,
    TASK,
    Manifest,
    Status,
    checkpoint_name,
    moments_name,
    parse_json,
    read_checked,
)
from interp.store.missing import last_step, nearest_step, no_step, run_names, thinned_out
from interp.store.packed import unpack_arrays
from interp.store.record_values import check_record, with_extension
from interp.store.recorded_sizes import check_pairs
from interp.store.run_paths import ROOT, find_path
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split
from interp.tasks.task import TableTask
from interp.wording import checkpoints, knows_step

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from interp.networks.stored_network import NetworkMakers
    from interp.store.checkpoint import Checkpoint
    from interp.store.findings import Examined, Finding
    from interp.store.split_then import SplitThen

# A run, or where it is, or its name.
RunLike: TypeAlias = "Run | str | PathLike[str]"

log = logging.getLogger("interp")


def open_run(run: RunLike, network: NetworkMakers | None = None, *, root: str | Path = ROOT) -> Run:
    """Open a run that was recorded or imported; what it holds is as of this moment.

    Args:
        run: the run's directory; or its name under the root, where there is nothing at that path; or a run, to be read again.
        root: directory that holds the runs, as of the command line.
        network: what makes the networks of a run whose kind is not this toolkit's: a class or function of (tensors, facts), or
            one for each of several kinds. Nothing that a file names is ever imported or executed.

    Raises:
        UsageError: if there is no such run, with the nearest name that is one.
        DataError: if its run.json or manifest is damaged.

    >>> open_run("nowhere/nanda")
    Traceback (most recent call last):
    interp.errors.UsageError: no run at nowhere/nanda (nothing is there): unknown run 'nanda'. Known: none
    """
    if isinstance(run, Run):
        path, network = run.path, network or run.makers
    elif isinstance(run, str | PathLike):
        path = find_path(Path(run), root)
    else:
        raise UsageError(f"run: given {type(run).__name__}, expected a run, its directory, or its name under {root}")
    manifest, where = read_manifest(path), str(path / RECORD)
    record = parse_json(read_checked(path, RECORD, manifest), where=where)
    check_record(record, where=where)
    return Run(path, manifest, with_extension(record, manifest.extended), network)


def as_run(run: RunLike, *, root: str | Path = ROOT) -> Run:
    """A run as it is, or the one that a path or a name stands for, see `open_run`."""
    return run if isinstance(run, Run) else open_run(run, root=root)


def list_runs(root: str | Path = "checkpoints") -> list[Run]:
    """Every run in a directory, by name. A run that cannot be opened is left out, with a warning that says why.

    Raises:
        UsageError: if the directory does not exist.
    """
    root, found = Path(root), []
    for name in names_of_runs(root):
        try:
            found.append(open_run(root / name))
        except (DataError, UsageError) as error:
            log.warning("%s", error)
    return found


def names_of_runs(root: Path) -> list[str]:
    """Names of the runs in a directory.

    Raises:
        UsageError: if it does not exist.
    """
    if not root.is_dir():
        raise UsageError(
            f"directory {root} does not exist; `interp demo` and `interp train` make it, or name another with --root"
        )
    return run_names(root)


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run on disk, as of when it was opened. ``run[step]`` is a `Checkpoint`; iterating gives all of them in order.

    Attributes:
        path: its directory.
        manifest: what it holds, hash by hash.
        record: the content of run.json; of a run that was given more steps, with its larger budget.
        makers: what makes its networks, if their kind is not this toolkit's.
    """

    path: Path
    manifest: Manifest
    record: Mapping[str, Any]
    makers: NetworkMakers | None = None

    def __getitem__(self, step: int) -> Checkpoint:
        """The checkpoint of a step, its file checked against its hash.

        Raises:
            UsageError: if that step was not saved; `nearest` gives the nearest one that was.
            DataError: if the file is missing, damaged or foreign.
        """
        from interp.store.checkpoint import Checkpoint
        from interp.store.tensors import unpack_network

        expected, name = self.sha256(step), checkpoint_name(step)
        if name in self.manifest.thinned:
            raise thinned_out(self.path, self.steps, step)
        found, network = unpack_network(self.read(name), where=f"{self.path / name}", makers=self.makers)
        if found != step:
            check = f"interp verify {shlex.quote(str(self.path))}"
            raise DataError(f"{self.path / name}: holds step {found}, expected {step}; `{check}` checks every file")
        classes = getattr(network, "p", None)  # of a one-layer transformer
        if self.has_config and isinstance(classes, int) and classes != self.config.task.p:
            where = self.path / RECORD
            raise DataError(f"{where}: damaged or foreign: task.p is {self.config.task.p}, of {name} it is {classes}")
        return Checkpoint(step, network, self._losses(step), expected, self.path / name)

    def __iter__(self) -> Iterator[Checkpoint]:
        return (self[step] for step in self.steps)

    def __len__(self) -> int:
        """Number of checkpoints."""
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.status}, {checkpoints(self.steps, known=self.knows_step)})"

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
        """What the run was made from. What `auto` and `none` became is in `engine` and `threads`.

        Raises:
            DataError: if it was made from something else (see `settings`), or the config cannot be read.
        """
        if "config" not in self.record:
            raise DataError(
                f"run {self.path} was recorded from a training that is not this toolkit's (kind {self.kind!r}): it has no "
                "RunConfig; run.settings has what it was made from, run.task what it learned"
            )
        table = self.task if TASK in self.manifest.files else None
        try:
            return RunConfig.from_dict(self.record["config"], task=cast("TableTask | None", table), is_stored=True)
        except (UsageError, ValueError) as error:
            raise DataError(f"{self.path / RECORD}: its config cannot be read here: {error}") from error

    @property
    def has_config(self) -> bool:
        """Whether the run was made from a `RunConfig`."""
        return "config" in self.record

    @property
    def settings(self) -> Mapping[str, Any]:
        """What any run was made from, as JSON values: its config's, or those that another training gave."""
        return self.record["config" if self.has_config else "settings"]

    @property
    def kind(self) -> str:
        """Its sort of network, see `Network.kind`."""
        return str(self.record.get("kind", ONE_LAYER))

    @property
    def knows_function(self) -> bool:
        """Whether it can be said what its networks compute, and not their tensors alone: they are this toolkit's, or are made."""
        makers = self.makers
        return self.kind in OWN_KINDS or (self.kind in makers if isinstance(makers, Mapping) else makers is not None)

    @property
    def budget(self) -> int:
        """The most steps it may make."""
        return self.config.steps if self.has_config else int(self.record["steps"])

    @property
    def may_end_early(self) -> bool:
        """Whether it may end before its budget."""
        return self.config.until_settled if self.has_config else bool(self.record["may_end_early"])

    @property
    def is_imported(self) -> bool:
        """Whether its checkpoints are someone else's."""
        return self.engine == IMPORTED

    @property
    def knows_step(self) -> bool:
        """Whether it is known after how many updates its checkpoints were saved; of an imported file it may not be."""
        return knows_step(self.record)

    @property
    def is_loop(self) -> bool:
        """Whether a training loop of somebody else's handed its model over, see `interp.recording`."""
        return self.engine == LOOP

    @cached_property
    def task(self) -> ModularTask | TableTask:
        """What is learned.

        Raises:
            DataError: if it cannot be read, or says a p whose pairs alone are more than this machine's memory.
        """
        if TASK in self.manifest.files:
            from interp.store.task_file import unpack_task

            return unpack_task(self.read(TASK), where=f"{self.path / TASK}")
        try:
            task = self.config.task if self.has_config else ModularTask(**self.record["task"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.path / RECORD}: its task cannot be read here: {error}") from error
        check_pairs(task.p, where=f"{self.path / RECORD}")
        return task

    def check_table(self) -> None:
        """Refuse a task that is a table and damaged, or not the one of the config; who only reads compares their names alone.

        Raises:
            DataError: naming the file.
        """
        if TASK not in self.manifest.files:
            return
        digest, said = cast("TableTask", self.task).digest, self.record.get("config", {}).get("task")
        if isinstance(said, Mapping) and said.get("sha256", digest) != digest:
            what = f"its task has sha256 {str(said['sha256'])[:12]}..., but the table in {TASK} has {digest[:12]}..."
            raise DataError(f"{self.path / RECORD}: {what}")

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

    @property
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
        """Why it is finished (``budget``, ``settled``, ``ended``, ``imported``) or stopped (``non-finite``)."""
        return self.manifest.reason

    @property
    def how_to_continue(self) -> str:
        """What continues it while it is unfinished, in words."""
        if self.is_imported:
            return "importing the file again, under the same name, replaces it"
        if self.is_loop:
            return "the same interp.recording(...), under the same name, continues it"
        if self.has_config and not (self.record.get("start") and self.manifest.step is None):
            return f"`interp resume {shlex.quote(str(self.path))}` continues it"
        return "recording its stream again, under the same name, continues it"

    @property
    def last(self) -> Checkpoint:
        """The last checkpoint.

        Raises:
            UsageError: if there are none yet.
        """
        return self[last_step(self.path, self.steps)]

    def nearest(self, step: int) -> Checkpoint:
        """The checkpoint nearest to a step, the earlier one of two.

        Raises:
            UsageError: if there are none yet, or the step is not a number.
        """
        last_step(self.path, self.steps)  # the error for a run without any
        if isinstance(step, bool) or not isinstance(step, Real):
            raise UsageError(f"step: given {step!r}, expected a number")
        return self[nearest_step(self.steps, step)]

    def sha256(self, step: int) -> str:
        """Hash of a checkpoint's file, from the manifest; also of one that was thinned out."""
        try:
            name = checkpoint_name(index(step))
        except TypeError:  # not an integer
            name = ""
        entry = self.manifest.files.get(name) or self.manifest.thinned.get(name)
        if entry is None:
            raise no_step(self.path, self.steps, step)
        return entry.sha256

    def moments(self, step: int) -> dict[str, Tensor]:
        """The whole state of the training at a step, the optimizer's moments included, for `interp.FromState`.

        Raises:
            UsageError: if the state of that step was not kept; the message names the steps whose state was.
            DataError: if the file is missing, damaged or foreign.
        """
        from interp.store.tensors import unpack

        if step not in self.manifest.moments:
            kept = ", ".join(map(str, self.manifest.moments)) or "none (checkpoints.moments says at which steps it is)"
            raise UsageError(f"moments: given step {step!r}, whose state was not kept in {self.path}; kept are: {kept}")
        name = moments_name(step)
        tensors, facts = unpack(self.read(name), where=f"{self.path / name}")
        if facts.get("step") != step:
            raise DataError(f"{self.path / name}: holds step {facts.get('step')}, expected {step}")
        return tensors

    @cached_property
    def split(self) -> Split:
        """Row indices of the train and test pairs that it began with; see `split_at` for those of a step."""
        arrays, _ = unpack_arrays(self.read(SPLIT), where=f"{self.path / SPLIT}")
        try:
            return Split(train=arrays["train"], test=arrays["test"], left_out=arrays.get("left_out"))
        except (KeyError, ValueError) as error:
            raise DataError(f"{self.path / SPLIT}: not a split ({error})") from error

    def split_at(self, step: int) -> Split:
        """Row indices of the train and test pairs at a step: `split`, unless changes of the run took some out or added some."""
        return self._split_then.at(step)

    @property
    def train_pairs_from(self) -> dict[int, int]:
        """The steps from which changes of the run took pairs out or added some -> how many were trained on from there on."""
        steps = self.columns["step"]
        return self._split_then.sizes(int(steps[-1])) if len(steps) else {}

    @cached_property
    def _split_then(self) -> SplitThen:
        from interp.store.split_then import SplitThen

        return SplitThen.of(self, open_run)

    @property
    def history(self) -> xr.Dataset:
        """Every step's train loss, and what was measured at evaluation steps, over ``step``; NaN where not measured."""
        import xarray as xr

        columns = dict(self.columns)
        step = columns.pop("step")
        return xr.Dataset({name: ("step", values) for name, values in columns.items()}, coords={"step": step})

    def verify(self, *, threads: int | None = None, on_step: Callable[[int, int], None] | None = None) -> tuple[Finding, ...]:
        """Check every file: hashes, shapes, steps. Empty if the run is sound; `examine` also says what is merely worth knowing.

        Args:
            threads: files that are read at once; as many as this process may use cores by default.
            on_step: called with (files read, files in all).
        """
        return self.examine(threads=threads, on_step=on_step).problems

    def examine(self, *, threads: int | None = None, on_step: Callable[[int, int], None] | None = None) -> Examined:
        """Check every byte of the run's directory: problems, and notes of what is not the run's, or was not measured here.

        Args:
            threads: as in `verify`.
            on_step: likewise.
        """
        from interp.store.checking import examine

        return examine(self, threads=check_threads(threads), on_step=on_step)

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
    def columns(self) -> Mapping[str, Shaped[np.ndarray, " step"]]:
        """The history as plain columns: ``step``, and each measured quantity, NaN where it was not measured."""
        return history.decode(self.read(HISTORY) if HISTORY in self.manifest.files else b"", where=f"{self.path / HISTORY}")

    def _losses(self, step: int) -> dict[str, float | None]:
        row = int(np.searchsorted(self.columns["step"], step))
        if row == len(self.columns["step"]) or self.columns["step"][row] != step:
            return dict.fromkeys(history.COLUMNS)
        values = {name: float(self.columns[name][row]) for name in history.COLUMNS}
        return {name: None if np.isnan(value) else value for name, value in values.items()}
