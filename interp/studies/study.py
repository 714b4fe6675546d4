"""A study: a plan, and the runs that it says, each an ordinary run in the study's folder. Files are the only truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from interp.config.differences import differences
from interp.config.run_config import RunConfig
from interp.errors import DataError, UsageError, unknown
from interp.reading import JSON_BYTES, parsed_json, read_file
from interp.store.durable import make_directory, write_atomically
from interp.store.manifest import TASK
from interp.store.run import Run, open_run
from interp.store.run_paths import run_path
from interp.studies.plan_files import plan_from_dict, planned
from interp.studies.problems import Problems
from interp.studies.study_plan import DEFAULT_MEASURES, Keep, Point, SeedsAre, StudyPlan
from interp.studies.vary import make_axis, seeds_of
from interp.studies.worker import LEASES, RUNS
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask
from interp.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from interp.studies.going import Tally
    from interp.training.executor import Executor

PLAN = "study.json"


@dataclass(frozen=True, repr=False)
class Study:
    """Many runs that answer one question: every combination of the values of some fields, with every seed.

    Nothing is written before `run` or `save`. `run` trains what is missing, `outcomes` has a row for each run, `series` a measure
    over runs and steps.

    Args:
        base: the configuration that is varied.
        vary: fields of `interp.RunConfig` and their values, ``{"optimizer.weight_decay": [0.3, 1, 2], "split.fraction":
            "0.25:0.6:8"}``; a name such as ``"task.p+split.fraction"`` moves fields together.
        seeds: repetitions of every combination.
        name: of the study and its folder; by default made from the recipe and the fields that vary.
        root: directory of studies and runs.
        seeds_are: what a seed sets: initial weights and split (``both``), the ``weights`` alone, or the ``split`` alone.
        keep: the checkpoints that stay: ``all``, those of the first and the last step (``ends``), or also those of named steps.
        measures: names of analyses that are measured at every checkpoint before any goes.
        ready: the plan that all of this makes, where there is one already.

    Raises:
        UsageError: with everything that is wrong in the plan.

    >>> from interp import recipe
    >>> study = Study(recipe("demo"), {"optimizer.weight_decay": [1, 2]}, seeds=range(3))
    >>> study
    Study('demo-weight_decay': 2 cells of 3 seeds (both weights and split), 6 runs)
    """

    base: RunConfig
    vary: Mapping[str, Any] = field(default_factory=dict)
    seeds: Iterable[int] = (0,)
    name: str = ""
    root: str | Path = "checkpoints"
    seeds_are: SeedsAre = "both"
    keep: Keep = "ends"
    measures: Sequence[str] = DEFAULT_MEASURES
    ready: StudyPlan | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.base, RunConfig):
            raise UsageError(f"study: given {self.base!r}, expected a RunConfig, such as interp.recipe('demo')")
        if self.ready is None:
            object.__setattr__(self, "ready", self._planned())
        plan = self.plan
        object.__setattr__(self, "name", self.name or _default_name(plan))
        run_path(self.root, self.name)  # refuses what cannot be a folder's name

    def _planned(self) -> StudyPlan:
        if not isinstance(self.vary, Mapping):
            raise UsageError(f"vary: given {self.vary!r:.200}, expected fields and their values, such as {{'steps': [100, 200]}}")
        measures: Any = [self.measures] if isinstance(self.measures, str) else self.measures
        problems = Problems()
        plan = planned(
            lambda: self.base,
            [partial(make_axis, str(fields), values) for fields, values in self.vary.items()],
            seeds=lambda: seeds_of(self.seeds),
            seeds_are=self.seeds_are,
            keep=self._kept,
            measures=tuple(measures) if isinstance(measures, Iterable) else measures,
            problems=problems,
            is_new=True,
        )
        problems.refuse("plan")
        assert plan is not None
        return plan

    def _kept(self) -> Keep:
        """As it was given, or a tuple of the steps of a list or an array."""
        given: Any = self.keep
        if isinstance(given, str) or not isinstance(given, Iterable):
            return cast(Keep, given)
        return tuple(given.tolist() if hasattr(given, "tolist") else given)

    def __repr__(self) -> str:
        of = {"both": "both weights and split", "weights": "of the weights", "split": "of the split"}[self.seeds_are]
        seeds, runs = len(self.plan.seeds), len(self.plan.points())
        cells = counted(runs // seeds, "cell")
        return f"Study({self.name!r}: {cells} of {counted(seeds, 'seed')} ({of}), {counted(runs, 'run')})"

    @property
    def plan(self) -> StudyPlan:
        """Which runs it consists of."""
        assert self.ready is not None
        return self.ready

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return Path(self.root) / self.name

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Its runs, whether they are there or not."""
        return self.plan.points()

    def __getitem__(self, name: str) -> Run:
        """The run of a point, by the point's name.

        Raises:
            UsageError: if there is no such point, or its run was not begun.
        """
        names = {point.name for point in self.points}
        if name not in names:
            raise unknown("run", name, names)
        return open_run(self.path_of(name))

    def path_of(self, name: str) -> Path:
        """Where the run of a point is, once it was begun."""
        return self.folder / RUNS / name

    def save(self) -> None:
        """Write the plan; a study that is there already may be given more values or seeds, but not become another one.

        Raises:
            UsageError: if the name is taken by another study, or by something else.
            DataError: if it cannot be written, or the plan that is there is damaged.
        """
        where = self.folder / PLAN
        if where.is_file():
            _check_extends(read_study_plan(self.folder), self.plan, self.folder)
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise UsageError(f"{self.folder} is there already and is not a study; choose another name")
        data = (json.dumps(self.plan.to_dict(), indent=1) + "\n").encode()
        try:
            if where.is_file() and read_file(where, at_most=JSON_BYTES, inside=self.folder) == data:
                return
            for folder in (self.folder, self.folder / RUNS, self.folder / LEASES):
                make_directory(folder)
            if not isinstance(self.base.task, ModularTask):
                from interp.store.task_file import pack_task

                write_atomically(self.folder / TASK, pack_task(TableTask.of(self.base.task)))
            write_atomically(where, data)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot be written ({error.strerror}); choose another place with --root") from error

    def run(
        self,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        shard: tuple[int, int] | None = None,
        progress: bool = True,
        force: bool = False,
    ) -> Tally:
        """Train what is missing; what was begun goes on. Ctrl-C, and the same call again, lose nothing.

        Every run for the CPU has one thread and equals its single run bit for bit, whatever executes it; runs for a GPU are equal
        to rounding (`interp.studies.batches.Batches` trains them in batches). A run that fails does not take others along: it is
        tried again by the next call, unless its loss was not finite. Several processes and machines that share the folder may
        do this at once; no run is trained twice.

        Args:
            workers: processes at a time; as many as this process may use cores by default.
            executor: what does the jobs in their place.
            shard: (k, n): the k-th of n parts, k from 1: for n tasks of a batch system.
            progress: show a bar, if stderr is a terminal or this is a notebook.
            force: train even if the runs take more memory or disk than there is, or one more time than 30 days, by estimate.

        Raises:
            UsageError: for invalid arguments, if the folder holds another study, or if the runs take more than there is.
            DataError: if the folder cannot be written.
        """
        from interp.studies.going import go, shard_of

        points = shard_of(self.points, shard)
        self.save()
        return go(self, points, workers=workers, executor=executor, progress=progress, force=force)

    def outcomes(self) -> pd.DataFrame:
        """A row for each run, with what it was made of and how far it came; see `interp.studies.outcomes.outcomes`."""
        from interp.studies.outcomes import outcomes

        return outcomes(self)

    def series(self, variable: str) -> xr.DataArray:
        """A measure, or a curve of the history, over runs and steps; see `interp.studies.outcomes.series`."""
        from interp.studies.outcomes import series

        return series(self, variable)


def open_study(path: str | Path) -> Study:
    """The study in a folder.

    Raises:
        UsageError: if there is none.
        DataError: if its plan is damaged.
    """
    path = Path(path)
    whole = path.resolve()
    return study_of(read_study_plan(path), whole.name, path.parent if path.name else whole.parent)


def study_of(plan: StudyPlan, name: str, root: str | Path) -> Study:
    """The study of a plan, which may not be there yet."""
    vary = {axis.name: [value if len(axis.fields) > 1 else value[0] for value in axis.values] for axis in plan.axes}
    settings = {"seeds_are": plan.seeds_are, "keep": plan.keep, "measures": plan.measures, "ready": plan}
    return Study(plan.base, vary, plan.seeds, name, root, **settings)  # type: ignore[arg-type]  # of these types there


def study_names(root: Path) -> list[str]:
    """Names of the studies in a directory."""
    return sorted(entry.parent.name for entry in root.glob(f"*/{PLAN}"))


def read_study_plan(folder: Path) -> StudyPlan:
    """The plan in a study's folder.

    Raises:
        UsageError, DataError: as `open_study`.
    """
    where = folder / PLAN
    if not where.is_file():
        what = "a folder without study.json" if folder.is_dir() else "a file" if folder.exists() else "nothing is there"
        near = study_names(folder.parent) if folder.parent.is_dir() else []
        raise UsageError(f"no study at {folder} ({what}): {unknown('study', folder.name, near)}")
    try:
        values = parsed_json(read_file(where, at_most=JSON_BYTES, inside=folder))
        base = None
        if (folder / TASK).is_file():
            from interp.store.task_file import unpack_task

            task = unpack_task(read_file(folder / TASK, inside=folder), where=f"{folder / TASK}")
            base = RunConfig.from_json(json.dumps(values["base"]), task=task)
        return plan_from_dict(values, where=f"{where}", base=base)
    except OSError as error:
        raise DataError(f"{error.filename or where}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{where}: damaged, or edited into what is no plan: {error}") from error


def _check_extends(there: StudyPlan, plan: StudyPlan, folder: Path) -> None:
    """Error unless a plan has all the runs of the one that is there, and treats them alike."""
    settings = ("seeds_are", "keep", "measures")
    found = {
        name: (getattr(plan, name), getattr(there, name)) for name in settings if getattr(plan, name) != getattr(there, name)
    }
    missing = {point.name for point in there.points()} - {point.name for point in plan.points()}
    if not found and not missing:
        return
    if missing:
        found |= differences(plan.base.to_dict(), there.base.to_dict(), "base.")
        found |= differences(plan.to_dict()["vary"], there.to_dict()["vary"], "vary.")
        found |= {"seeds": (plan.seeds, there.seeds)} if plan.seeds != there.seeds else {}
    listed = "; ".join(f"{name}: given {mine!r}, there {theirs!r}" for name, (mine, theirs) in found.items())
    raise UsageError(
        f"{folder} holds another study ({listed}). Values and seeds can be added to a study, but none taken away; "
        "choose another name for another study"
    )


def _default_name(plan: StudyPlan) -> str:
    parts = [field.rpartition(".")[2] for axis in plan.axes for field in axis.fields]
    return "-".join([plan.base.recipe, *parts]) if parts else f"{plan.base.recipe}-seeds"
