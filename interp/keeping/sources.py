"""What can be recorded: a config, whose training the toolkit makes, or a stream made elsewhere."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from interp.config.differences import differences
from interp.config.run_config import EngineName, RunConfig
from interp.errors import UsageError
from interp.store.beginning import plan_values
from interp.store.provenance import INSTRUCTIONS, provenance
from interp.store.run import Run, open_run
from interp.store.run_log import write_log
from interp.training.examples import check_batch
from interp.training.fitting import Room, check_run
from interp.training.loop import Training
from interp.training.start import SEEDED, Start
from interp.training.stream import Plan, Stream
from interp.training.threads import threads_for

log = logging.getLogger("interp")


@dataclass(frozen=True)
class Configured:
    """A run that the toolkit trains.

    Args:
        config: what is trained.
        start: where the run begins, as run.json has it; empty for the config's seed.
        origin: the same as what a training begins with; for a run that has a step already, it need not be there.
        means: engine and threads to begin with, in place of the config's.
        keeps_last: whether the whole state at its end is kept.
    """

    config: RunConfig
    start: Mapping[str, Any] = field(default_factory=dict)
    origin: Start = SEEDED
    means: tuple[EngineName, int | None] | None = None
    keeps_last: bool = True

    def check(self, run: Run) -> None:
        """Error unless the run is of this config; `auto` and `none` agree with whatever they became there."""
        if not run.has_config:
            raise UsageError(f"run {run.path} was recorded from a training of kind {run.kind!r}; choose another name with --name")
        agree = {"engine": ("auto", run.engine), "threads": (None, run.threads)}
        found = {
            path: values
            for path, values in differences(self.config, run.config).items()
            if not (path in agree and values[0] in agree[path])
        }
        _refuse(run, found | _starts(self.start, run), what="config")

    def check_room(self, path: Path, *, is_begun: bool, force: bool) -> None:
        """Error unless this machine has the memory, the disk and the time that the run takes; of one that was begun, the memory.

        Raises:
            UsageError: as `interp.training.fitting.check_run`; for a batch larger than the training set.
        """
        check_batch(self.config)
        check_run(self.config, room=Room.here(None if is_begun else path), force=force)

    def begun(self) -> tuple[Stream, Plan]:
        """The training at its beginning; in its plan, the config as it was given."""
        engine, threads = self.means or (self.config.engine, self.config.threads)
        config = replace(self.config, engine=engine, threads=threads)
        training = Training(replace(config, threads=threads_for(config)), self.origin, force=True)  # `check_room` was asked
        return training, replace(training.plan, settings=self.config)

    def continued(self, run: Run, state: Mapping[str, Tensor] | None) -> Stream:
        """The training as it was at its last commit, with the engine and threads it was begun with.

        Raises:
            UsageError: if they are not available.
        """
        if state is None and run.record.get("start") and self.origin is SEEDED:
            raise UsageError(
                f"run {run.path} was begun from the state of another and has no step yet; record its Training, with its start, "
                "again, or give the same `interp fork` again"
            )
        config = replace(self.config, engine=cast(EngineName, run.engine), threads=run.threads)
        if threads_for(config) != run.threads:
            raise UsageError(
                f"run {run.path} was begun with {run.threads} threads, which this process cannot use; resume it in another"
            )
        training = Training(config, self.origin if state is None else SEEDED, force=True)  # `check_room` was asked
        if state is not None:
            training.load(state)
        return training

    def advice(self, path: Path) -> str:
        """How the run is resumed."""
        return f"go on with: interp resume {shlex.quote(str(path))}"


@dataclass(frozen=True)
class Given:
    """A stream made elsewhere."""

    stream: Stream
    keeps_last: bool = True

    def check(self, run: Run) -> None:
        """Error unless the run is of an equal plan."""
        plan = self.stream.plan
        if isinstance(plan.settings, RunConfig):
            Configured(plan.settings, plan.start).check(run)
            return
        if run.has_config:
            raise UsageError(f"run {run.path} was recorded from a RunConfig; choose another name")
        names = [*plan_values(plan), "kind", "engine", "n_parameters", *(["threads"] if plan.threads is not None else [])]
        mine = {**plan_values(plan), "kind": plan.kind, "engine": plan.engine, "n_parameters": plan.n_parameters}
        mine |= {"threads": plan.threads} if plan.threads is not None else {}
        found = differences(mine, {name: run.record.get(name, run.kind if name == "kind" else None) for name in names})
        for part in ("train", "test"):
            if not np.array_equal(getattr(plan.split, part), getattr(run.split, part)):
                found[f"split.{part}"] = (f"{len(getattr(plan.split, part))} rows", "other rows")
        _refuse(run, found | _starts(plan.start, run), what="plan")

    def check_room(self, path: Path, *, is_begun: bool, force: bool) -> None:
        """A stream is there already: whoever made it knows what it takes."""

    def begun(self) -> tuple[Stream, Plan]:
        """The stream as it was given."""
        return self.stream, self.stream.plan

    def continued(self, run: Run, state: Mapping[str, Tensor] | None) -> Stream:  # noqa: ARG002  as `Configured` does
        """The stream, which takes the state of the last commit."""
        if state is not None:
            self.stream.load(state)
        return self.stream

    def advice(self, path: Path) -> str:  # noqa: ARG002  as `Configured` does
        """How the run is resumed."""
        return "record the same stream again to continue it"


Source = Configured | Given


def checked(path: Path, source: Source) -> Run:
    """The run at a path, if it is of this source.

    Raises:
        UsageError: naming the fields that differ.
    """
    run = open_run(path)
    run.check_table()
    source.check(run)
    return run


def note_resumed(run: Run, step: int | None, *, device: str) -> None:
    """Log that a run is resumed here, and warn if it was begun elsewhere."""
    here = provenance(device)
    write_log(run.path, "resumed", step=step, **here)
    then = {INSTRUCTIONS: here[INSTRUCTIONS], **run.provenance}  # of an older run they are not known
    changed = [f"{name} {then.get(name)} -> {value}" for name, value in here.items() if then.get(name) != value]
    if changed:
        log.warning(
            "run %s was begun elsewhere (%s); its bytes may differ from an uninterrupted run's", run.path, ", ".join(changed)
        )


def _starts(start: Mapping[str, Any], run: Run) -> dict[str, tuple[Any, Any]]:
    return differences({"start": dict(start)}, {"start": dict(run.record.get("start", {}))})


def _refuse(run: Run, differing: Mapping[str, tuple[Any, Any]], *, what: str) -> None:
    if differing:
        listed = "; ".join(f"{path}: given {mine!r}, recorded {theirs!r}" for path, (mine, theirs) in differing.items())
        raise UsageError(f"run {run.path} was recorded with another {what} ({listed}); choose another name with --name")
