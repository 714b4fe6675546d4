"""The plan of a study: a configuration, what varies, and seeds; a frozen value and a readable file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast, get_args

from interp.config.fitting_batch import open_to_changes, with_fitting_batch
from interp.config.parsing import TEXT_BYTES, parsed_text
from interp.config.recipes import recipe
from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.errors import UsageError, unknown
from interp.reading import read_file
from interp.studies.vary import Axis, make_axis, read_seeds
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask

SeedsAre = Literal["both", "weights", "split"]
Keep = Literal["all", "ends"] | tuple[int, ...]

FORMAT = 1
# What is measured at every checkpoint before checkpoints are thinned out; all of it small.
DEFAULT_MEASURES = (
    "progress_measures", "embedding_spectrum", "neuron_logit_map", "memorizer_or_generalizer", "clock_or_pizza", "weight_norms",
)  # fmt: skip
MOST_POINTS = 100_000
_SHOWN = 20  # problems
_TASK = "task"
_SEEDED = {"both": ("seed", "split.seed"), "weights": ("seed",), "split": ("split.seed",)}


@dataclass(frozen=True)
class Point:
    """One run of a study.

    Attributes:
        name: the first 16 hex digits of its configuration's hash: the name of its run.
        config: what is trained, with one thread.
        values: its place on every axis, by field.
        seed: which repetition it is.
    """

    name: str
    config: RunConfig
    values: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class StudyPlan:
    """Which runs a study consists of: every combination of the axes' values, with every seed.

    Args:
        base: what does not vary.
        axes: what does.
        seeds: repetitions of every combination.
        seeds_are: what a seed sets: initial weights and split (``both``), ``weights`` alone, or the ``split`` alone.
        keep: the checkpoints that stay: ``all``; those of the first and last step (``ends``); or those of named steps and the
            ends. What was measured stays at every step.
        measures: names of the analyses that are measured at every checkpoint before any goes.

    Raises:
        UsageError: with everything that is wrong at once.

    >>> plan = StudyPlan(recipe("demo"), (make_axis("optimizer.weight_decay", [1, 2]),), seeds=(0, 1, 2))
    >>> len(plan.points()), plan.points()[0].values
    (6, {'optimizer.weight_decay': 1.0})
    """

    base: RunConfig
    axes: tuple[Axis, ...] = ()
    seeds: tuple[int, ...] = (0,)
    seeds_are: SeedsAre = "both"
    keep: Keep = "ends"
    measures: tuple[str, ...] = DEFAULT_MEASURES

    def __post_init__(self) -> None:
        problems = [*self._wrong_axes(), *self._wrong_rest()]
        if problems:
            raise UsageError("plan:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.points()

    def points(self) -> tuple[Point, ...]:
        """Its runs: the last axis and then the seed change fastest."""
        known: tuple[Point, ...] | None = self.__dict__.get("_points")
        if known is None:
            known = self._made()
            object.__setattr__(self, "_points", known)
        return known

    def _made(self) -> tuple[Point, ...]:
        base, table = self.base.to_dict(), None if isinstance(self.base.task, ModularTask) else self.base.task
        made: list[Point] = []
        problems: dict[str, str] = {}
        for place in product(*(axis.values for axis in self.axes)):
            values = {
                field: v
                for axis, value in zip(self.axes, place, strict=True)
                for field, v in zip(axis.fields, value, strict=True)
            }
            for seed in self.seeds:
                changed = _changed(base, {**values, **dict.fromkeys(_SEEDED[self.seeds_are], seed), "threads": 1})
                try:
                    config = _with_task(changed, self.base, table=None if _TASK in values else table)
                except UsageError as error:
                    place_text = ", ".join(f"{name} = {value}" for name, value in values.items())
                    for line in str(error).removeprefix("config:").strip().splitlines():
                        problems.setdefault(line.strip(), place_text)
                    break
                stated = {field: field_of(config, field) for field in values}
                made.append(Point(point_name(config), config, stated, seed))
        if problems:
            listed = [f"{text}{f' (at {where})' if where else ''}" for text, where in problems.items()]
            more = [f"and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []
            raise UsageError("plan:\n" + "\n".join(f"  {problem}" for problem in [*listed[:_SHOWN], *more]))
        names = [point.name for point in made]
        if len(set(names)) < len(names):
            twice = next(point for point in made if names.count(point.name) > 1)
            raise UsageError(
                f"plan: two of its runs have the same configuration ({dict(twice.values)}); leave one of the values out"
            )
        return tuple(made)

    def _wrong_axes(self) -> list[str]:
        fields = [field for axis in self.axes for field in axis.fields]
        table = None if isinstance(self.base.task, ModularTask) else self.base.task
        problems = []
        for field in dict.fromkeys(fields):
            if fields.count(field) > 1:
                problems.append(f"{field}: given on two axes, expected on one")
            if field == "threads":
                problems.append(
                    "threads: given as an axis, but all runs have one thread, so that their bytes are the same everywhere"
                )
            elif field in _SEEDED[self.seeds_are]:
                problems.append(f"{field}: given as an axis, but the seeds set it (seeds_are = {self.seeds_are!r})")
            elif table is not None and field.startswith(f"{_TASK}."):
                problems.append(f"{field}: the task is a table and has no such field; vary task, by names")
            elif (problem := _unknown_field(self.base, field)) is not None:
                problems.append(problem)
        return problems

    def _wrong_rest(self) -> list[str]:
        problems = []
        if not self.seeds or any(not isinstance(s, int) or isinstance(s, bool) or s < 0 for s in self.seeds):
            problems.append(f"seeds: given {list(self.seeds)!r}, expected integers >= 0, at least one")
        elif len(set(self.seeds)) < len(self.seeds):
            problems.append(f"seeds: given {list(self.seeds)!r}, expected each once")
        if self.seeds_are not in get_args(SeedsAre):
            problems.append(str(unknown("seeds_are", self.seeds_are, get_args(SeedsAre))))
            object.__setattr__(self, "seeds_are", "both")
        is_steps = isinstance(self.keep, tuple) and all(isinstance(s, int) and s >= 0 for s in self.keep)
        if self.keep not in ("all", "ends") and not is_steps:
            problems.append(f"keep: given {self.keep!r}, expected all, ends, or a list of steps")
        count = len(self.seeds)
        for axis in self.axes:
            count *= len(axis.values)
        if count > MOST_POINTS:
            problems.append(f"given {count:,} runs, expected at most {MOST_POINTS:,}; leave out values or seeds")
        return problems

    def extended(self, axes: Sequence[Axis] = (), seeds: Sequence[int] = ()) -> StudyPlan:
        """The plan with further values or seeds; an axis that it has gains values, any other is added.

        Runs that exist keep their names: only what is new is trained.
        """
        known = {axis.name: axis for axis in self.axes}
        for axis in axes:
            known[axis.name] = known[axis.name].with_values(axis.values) if axis.name in known else axis
        return replace(self, axes=tuple(known.values()), seeds=tuple(dict.fromkeys([*self.seeds, *seeds])))

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, as its file has them."""
        vary = {axis.name: [value[0] if len(axis.fields) == 1 else list(value) for value in axis.values] for axis in self.axes}
        return {
            "format": FORMAT,
            "seeds": list(self.seeds),
            "seeds_are": self.seeds_are,
            "keep": list(self.keep) if isinstance(self.keep, tuple) else self.keep,
            "measures": list(self.measures),
            "vary": vary,
            "base": _without_none(self.base.to_dict()),
        }


def base_of(source: str, fixed: Sequence[Axis] = ()) -> RunConfig:
    """The configuration of a recipe or of a file (.toml, .json), with some fields set to one value each.

    Raises:
        UsageError: for an unknown recipe or field, or a value that does not fit.
    """
    base = RunConfig.from_file(source) if Path(source).suffix in (".toml", ".json") else recipe(source)
    if several := next((axis.name for axis in fixed if len(axis.values) > 1), None):
        raise UsageError(f"--set: given several values of {several}, expected one; --vary makes an axis of it")
    if unknown_fields := [problem for axis in fixed for name in axis.fields if (problem := _unknown_field(base, name))]:
        raise UsageError("\n".join(f"--set: {problem}" for problem in unknown_fields))
    changes = {name: value for axis in fixed for name, value in zip(axis.fields, axis.values[0], strict=True)}
    table = None if _TASK in changes or isinstance(base.task, ModularTask) else base.task
    has_batch = "optimizer.batch_size" in changes
    made = _with_task(_changed(open_to_changes(base, given=has_batch).to_dict(), changes), base, table=table)
    return with_fitting_batch(made, base=base, given=has_batch)


def point_name(config: RunConfig) -> str:
    """The name of the run of a configuration: the first 16 hex digits of its SHA-256, taken with one thread."""
    return hashlib.sha256(replace(config, threads=1).to_json().encode()).hexdigest()[:16]


def field_of(config: RunConfig, field: str) -> Any:
    """The value of a field by its dotted name; of a task that is a table its name, of several values, such as changes, a text."""
    value: Any = config
    for part in field.split("."):
        value = getattr(value, part)
    if isinstance(value, tuple):
        return "; ".join(map(str, value)) or "none"
    return value.name if isinstance(value, TableTask) else value


def plan_from_dict(values: Mapping[str, Any], *, where: str, base: RunConfig | None = None) -> StudyPlan:
    """The plan that a file's values describe: ``recipe`` or ``base`` or both, ``vary``, ``seeds``, and what may be left out.

    Args:
        values: as in the file.
        where: names it in errors.
        base: the configuration, in place of the file's.

    Raises:
        UsageError: with everything that is wrong.
    """
    known = {"format", "recipe", "base", "vary", "seeds", "seeds_are", "keep", "measures"}
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: given {type(values).__name__}, expected a table with vary and seeds")
    if surplus := [str(unknown("field", name, known)) for name in values if name not in known]:
        raise UsageError(f"{where}:\n" + "\n".join(f"  {problem}" for problem in surplus))
    if values.get("format", FORMAT) != FORMAT:
        raise UsageError(f"{where}: given format {values['format']!r}, expected {FORMAT}: written by another version of interp")
    vary, seeds, keep = values.get("vary", {}), values.get("seeds", [0]), values.get("keep", "ends")
    if not isinstance(vary, Mapping):
        raise UsageError(f"{where}: vary: given {vary!r}, expected a table of fields and their values")
    try:
        return StudyPlan(
            base or _base(values),
            tuple(make_axis(str(name), given) for name, given in vary.items()),
            seeds=read_seeds(seeds) if isinstance(seeds, str) else tuple(seeds) if isinstance(seeds, list) else (seeds,),
            seeds_are=cast(SeedsAre, values.get("seeds_are", "both")),
            keep=tuple(keep) if isinstance(keep, list) else keep,
            measures=tuple(values.get("measures", DEFAULT_MEASURES)),
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def read_plan(path: str | Path) -> StudyPlan:
    """The plan in a .toml or .json file.

    Raises:
        UsageError: if it cannot be read, or with everything that is wrong in it.
    """
    path = Path(path)
    if path.suffix not in (".toml", ".json"):
        raise UsageError(f"plan {path}: given suffix {path.suffix!r}, expected .toml or .json")
    try:
        values = parsed_text(read_file(path, at_most=TEXT_BYTES), is_json=path.suffix == ".json")
    except FileNotFoundError:
        raise UsageError(f"plan {path} does not exist") from None
    except OSError as error:
        raise UsageError(f"plan {path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"plan {path}: cannot be read ({error})") from error
    return plan_from_dict(values, where=f"plan {path}")


def _base(values: Mapping[str, Any]) -> RunConfig:
    """The file's configuration: of its recipe, with what its base says otherwise."""
    given = values.get("base", {})
    if not isinstance(given, Mapping):
        raise UsageError(f"base: given {given!r}, expected a table of fields")
    if "recipe" not in values:
        return RunConfig.from_json(json.dumps(given))
    start, optimizer = recipe(str(values["recipe"])), given.get("optimizer")
    has_batch = isinstance(optimizer, Mapping) and "batch_size" in optimizer
    made = RunConfig.from_json(json.dumps(_merged(open_to_changes(start, given=has_batch).to_dict(), given)))
    return with_fitting_batch(made, base=start, given=has_batch)


def _with_task(values: Mapping[str, Any], base: RunConfig, *, table: TableTask | None) -> RunConfig:
    """The configuration of changed values; a task that is named reads `=` where the base's does."""
    named = values.get(_TASK)
    given = {**values, _TASK: {"name": named, "equals_sign": base.task.equals_sign}} if isinstance(named, str) else values
    return RunConfig.from_json(json.dumps(given), task=table)


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {**one, **other}
    return {
        name: _merged(one[name], value) if isinstance(value, Mapping) and isinstance(one.get(name), Mapping) else value
        for name, value in both.items()
    }


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with some set, by dotted name."""
    made = json.loads(json.dumps(values))
    for path, value in changes.items():
        *tables, last = path.split(".")
        inner = made
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[last] = value
    return dict(made)


def _unknown_field(config: RunConfig, field: str) -> str | None:
    """What is wrong with a dotted name, if anything."""
    names = _field_names(config.to_dict())
    if field in names or field == _TASK:
        return None
    inside = [name for name in names if name.startswith(f"{field}.")]
    if inside:
        return f"{field}: a table of fields, expected one of {', '.join(inside)}"
    return f"{field}: {unknown('field', field, names)}"


# Fields that are left out of a configuration's values where they have their default.
_LEFT_OUT = [
    "checkpoints.moments", "changes", "split.blocks", *(f"model.{name}" for name in ModelConfig.later),
    *(f"optimizer.{name}" for name in OptimizerConfig.later),
]  # fmt: skip


def _field_names(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for name, value in values.items():
        names += _field_names(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"{prefix}{name}"]
    return list(dict.fromkeys([*names, *(_LEFT_OUT if not prefix else [])]))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values without those that are None, which TOML does not have; a configuration has None by default there."""
    return {
        name: _without_none(value) if isinstance(value, Mapping) else value for name, value in values.items() if value is not None
    }
