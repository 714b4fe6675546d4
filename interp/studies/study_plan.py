"""The plan of a study: a configuration, what varies, and seeds; a frozen value and a readable file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from interp.config.run_config import ModelConfig, OptimizerConfig, RunConfig
from interp.errors import UsageError, unknown
from interp.studies.problems import Problems, lines_of
from interp.studies.vary import Axis
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
TASK = "task"
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

    >>> from interp import recipe
    >>> from interp.studies.vary import make_axis
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
        problems, wrong = Problems(), self._wrong_fields()
        problems.note(*wrong.values())
        is_known = isinstance(self.seeds_are, str) and self.seeds_are in _SEEDED
        seeds, is_too_large = self._check_rest(problems)
        # What else is wrong is found where nothing is known to be.
        axes = tuple(axis for axis in self.axes if not any(field in wrong for field in axis.fields))
        made = None if is_too_large or not is_known else problems.of(lambda: self._made(axes, seeds))
        problems.refuse("plan")
        object.__setattr__(self, "_points", made)

    def points(self) -> tuple[Point, ...]:
        """Its runs: the last axis and then the seed change fastest."""
        known: tuple[Point, ...] = self.__dict__["_points"]
        return known

    def _made(self, axes: tuple[Axis, ...], seeds: tuple[int, ...]) -> tuple[Point, ...]:
        base, table = self.base.to_dict(), None if isinstance(self.base.task, ModularTask) else self.base.task
        made: list[Point] = []
        problems: dict[str, str] = {}
        for place in product(*(axis.values for axis in axes)):
            values = {
                field: v for axis, value in zip(axes, place, strict=True) for field, v in zip(axis.fields, value, strict=True)
            }
            for seed in seeds:
                changed = changed_values(base, {**values, **dict.fromkeys(_SEEDED[self.seeds_are], seed), "threads": 1})
                try:
                    config = with_task(changed, self.base, table=None if TASK in values else table)
                except UsageError as error:
                    place_text = ", ".join(f"{name} = {value}" for name, value in values.items())
                    for line in lines_of(error):
                        problems.setdefault(line, place_text)
                    break
                stated = {field: field_of(config, field) for field in values}
                made.append(Point(point_name(config), config, stated, seed))
        Problems([f"{text}{f' (at {where})' if where else ''}" for text, where in problems.items()]).refuse("plan")
        names = [point.name for point in made]
        if len(set(names)) < len(names):
            twice = next(point for point in made if names.count(point.name) > 1)
            raise UsageError(
                f"plan: two of its runs have the same configuration ({dict(twice.values)}); leave one of the values out"
            )
        return tuple(made)

    def _wrong_fields(self) -> dict[str, str]:
        """Fields that cannot be varied, and why not."""
        fields = [field for axis in self.axes for field in axis.fields]
        table = None if isinstance(self.base.task, ModularTask) else self.base.task
        wrong: dict[str, str] = {}
        for field in dict.fromkeys(fields):
            if fields.count(field) > 1:
                wrong[field] = f"{field}: given on two axes, expected on one"
            elif field == "threads":
                wrong[field] = (
                    "threads: given as an axis, but all runs have one thread, so that their bytes are the same everywhere"
                )
            elif isinstance(self.seeds_are, str) and field in _SEEDED.get(self.seeds_are, ()):
                wrong[field] = f"{field}: given as an axis, but the seeds set it (seeds_are = {self.seeds_are!r})"
            elif table is not None and field.startswith(f"{TASK}."):
                wrong[field] = f"{field}: the task is a table and has no such field; vary task, by names"
            elif (problem := unknown_field(self.base, field)) is not None:
                wrong[field] = problem
        return wrong

    def _check_rest(self, problems: Problems) -> tuple[tuple[int, ...], bool]:
        """Note what is wrong with all but the axes; the seeds, or one where they are none, and whether the runs are too many."""
        seeds = self.seeds
        if not seeds or any(not isinstance(s, int) or isinstance(s, bool) or s < 0 for s in seeds):
            problems.note(f"seeds: given {list(seeds)!r:.200}, expected integers >= 0, at least one")
            seeds = (0,)
        elif len(set(seeds)) < len(seeds):
            problems.note(f"seeds: given {list(seeds)!r:.200}, expected each once")
            seeds = seeds[:1]
        if not isinstance(self.seeds_are, str) or self.seeds_are not in _SEEDED:
            problems.note(str(unknown("seeds_are", str(self.seeds_are), _SEEDED)))
        steps = isinstance(self.keep, tuple) and all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in self.keep)
        if not steps and not (isinstance(self.keep, str) and self.keep in ("all", "ends")):
            problems.note(f"keep: given {self.keep!r:.200}, expected all, ends, or a list of steps")
        if not isinstance(self.measures, tuple) or not all(isinstance(name, str) for name in self.measures):
            problems.note(f"measures: given {self.measures!r:.200}, expected names of analyses, such as {DEFAULT_MEASURES[0]}")
        count = len(seeds)
        for axis in self.axes:
            count *= len(axis.values)
        if count > MOST_POINTS:
            problems.note(f"given {count:,} runs, expected at most {MOST_POINTS:,}; leave out values or seeds")
        return seeds, count > MOST_POINTS

    def steps_not_saved(self) -> list[str]:
        """What is wrong with steps of `keep` at which no run saves a checkpoint."""
        if not isinstance(self.keep, tuple):
            return []
        rules = {(point.config.checkpoints, point.config.steps) for point in self.points()}
        saved = [rule.steps(last) for rule, last in rules]
        return [
            f"keep: given step {step}, at which no run saves a checkpoint (see checkpoints.every, checkpoints.log, steps)"
            for step in self.keep
            if not any(step in steps for steps in saved)
        ]

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


def wrong_measures(names: object) -> list[str]:
    """What is wrong with names of measures: they are those of built-in analyses of every checkpoint, each once."""
    if names == DEFAULT_MEASURES or not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        return []  # what is no name at all, a plan says itself
    from interp.observing.analysis import builtin_names, find_analyses  # only here: it loads their files

    known, problems = builtin_names(), Problems()
    problems.note(*(f"measures: {unknown('analysis', name, known)}" for name in names if name not in known))
    found = problems.of(lambda: find_analyses([name for name in names if name in known])) or []
    late = [analysis.name for analysis in found if analysis.at != "every"]
    problems.note(*(f"measures: {name}: it is measured at the last checkpoint alone, expected others" for name in late))
    return problems.lines


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


def with_task(values: Mapping[str, Any], base: RunConfig, *, table: TableTask | None) -> RunConfig:
    """The configuration of changed values; a task that is named reads `=` where the base's does."""
    named = values.get(TASK)
    given = {**values, TASK: {"name": named, "equals_sign": base.task.equals_sign}} if isinstance(named, str) else values
    return RunConfig.from_json(json.dumps(given), task=table)


def changed_values(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with some set, by dotted name."""
    made = json.loads(json.dumps(values))
    for path, value in changes.items():
        *tables, last = path.split(".")
        inner = made
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[last] = value
    return dict(made)


def unknown_field(config: RunConfig, field: str) -> str | None:
    """What is wrong with a dotted name, if anything."""
    names = _field_names(config.to_dict())
    if field in names or field == TASK:
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
