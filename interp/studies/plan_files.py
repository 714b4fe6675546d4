"""Plans of studies out of files and commands: everything that is wrong in one is said at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from interp.config.fitting_batch import open_to_changes, with_fitting_batch
from interp.config.parsing import TEXT_BYTES, parsed_text
from interp.config.recipes import recipe
from interp.config.run_config import RunConfig
from interp.errors import UsageError, unknown
from interp.reading import read_file
from interp.studies.problems import Problems
from interp.studies.study_plan import (
    DEFAULT_MEASURES,
    FORMAT,
    TASK,
    Keep,
    SeedsAre,
    StudyPlan,
    changed_values,
    unknown_field,
    with_task,
    wrong_measures,
)
from interp.studies.vary import Axis, make_axis, read_seeds
from interp.tasks.modular import ModularTask


def planned(
    base: Callable[[], RunConfig],
    axes: Sequence[Callable[[], Axis]],
    *,
    seeds: Callable[[], tuple[int, ...]],
    seeds_are: SeedsAre = "both",
    keep: Callable[[], Keep],
    measures: tuple[str, ...] = DEFAULT_MEASURES,
    problems: Problems,
    is_new: bool,
) -> StudyPlan | None:
    """The plan of parts that may be wrong; None if one is, and everything that is wrong is noted.

    Args:
        base: makes the configuration.
        axes: make what varies.
        seeds: makes the repetitions.
        seeds_are: see `StudyPlan`.
        keep: makes what stays.
        measures: see `StudyPlan`.
        problems: where it is noted.
        is_new: also note what would be found out only once runs are trained: measures that are none, steps that are not saved.
    """
    config, known = problems.of(base), [axis for axis in map(problems.of, axes) if axis is not None]
    repeated, is_kept = problems.of(seeds), len(problems.lines)
    kept: Any = problems.of(keep)
    kept = "ends" if len(problems.lines) > is_kept else kept  # None is wrong, and said below
    if config is None:  # of all that does not depend on it, it can be said what is wrong
        fields = [field for axis in known for field in axis.fields]
        problems.note(*(wrong for field in fields if (wrong := unknown_field(recipe("demo"), field)) is not None))
        config, known = recipe("demo"), []
    plan = problems.of(lambda: StudyPlan(config, tuple(known), (0,) if repeated is None else repeated, seeds_are, kept, measures))
    if is_new:
        problems.note(*wrong_measures(measures))
        if plan is not None and not problems.lines:  # else other runs would be asked than are meant
            problems.note(*plan.steps_not_saved())
    return None if problems.lines else plan


def base_of(source: str, fixed: Sequence[Axis] = ()) -> RunConfig:
    """The configuration of a recipe or of a file (.toml, .json), with some fields set to one value each.

    Raises:
        UsageError: for an unknown recipe, or with every field that is unknown and every value that does not fit.
    """
    base = RunConfig.from_file(source) if Path(source).suffix in (".toml", ".json") else recipe(source)
    problems, changes = Problems(), dict[str, Any]()
    for axis in fixed:
        if len(axis.values) > 1:
            problems.note(f"--set: given several values of {axis.name}, expected one; --vary makes an axis of it")
        for name, value in zip(axis.fields, axis.values[0], strict=True):
            if (problem := unknown_field(base, name)) is not None:
                problems.note(f"--set: {problem}")
            else:
                changes[name] = value
    table = None if TASK in changes or isinstance(base.task, ModularTask) else base.task
    has_batch = "optimizer.batch_size" in changes
    opened = open_to_changes(base, given=has_batch).to_dict()
    made = problems.of(lambda: with_task(changed_values(opened, changes), base, table=table))
    problems.refuse()
    assert made is not None
    return with_fitting_batch(made, base=base, given=has_batch)


def plan_from_dict(values: Mapping[str, Any], *, where: str, base: RunConfig | None = None, is_new: bool = False) -> StudyPlan:
    """The plan that a file's values describe: ``recipe`` or ``base`` or both, ``vary``, ``seeds``, and what may be left out.

    Args:
        values: as in the file.
        where: names it in errors.
        base: the configuration, in place of the file's.
        is_new: see `planned`.

    Raises:
        UsageError: with everything that is wrong.
    """
    known = {"format", "recipe", "base", "vary", "seeds", "seeds_are", "keep", "measures"}
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: given {type(values).__name__}, expected a table with vary and seeds")
    if values.get("format", FORMAT) != FORMAT:
        raise UsageError(f"{where}: given format {values['format']!r}, expected {FORMAT}: written by another version of interp")
    problems = Problems([str(unknown("field", name, known)) for name in values if name not in known])
    vary, seeds, keep = values.get("vary", {}), values.get("seeds", [0]), values.get("keep", "ends")
    if not isinstance(vary, Mapping):
        problems.note(f"vary: given {vary!r:.200}, expected a table of fields and their values")
        vary = {}
    measures = values.get("measures", DEFAULT_MEASURES)
    plan = planned(
        lambda: _base(values) if base is None else base,
        [partial(make_axis, str(name), given) for name, given in vary.items()],
        seeds=lambda: read_seeds(seeds) if isinstance(seeds, str) else tuple(seeds) if isinstance(seeds, list) else (seeds,),
        seeds_are=cast(SeedsAre, values.get("seeds_are", "both")),
        keep=lambda: tuple(keep) if isinstance(keep, list) else keep,
        measures=tuple(measures) if isinstance(measures, list) else measures,
        problems=problems,
        is_new=is_new,
    )
    problems.refuse(where)
    assert plan is not None
    return plan


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
    return plan_from_dict(values, where=f"plan {path}", is_new=True)


def _base(values: Mapping[str, Any]) -> RunConfig:
    """The file's configuration: of its recipe, with what its base says otherwise."""
    given = values.get("base", {})
    if not isinstance(given, Mapping):
        raise UsageError(f"base: given {given!r:.200}, expected a table of fields")
    if "recipe" not in values:
        return RunConfig.from_json(json.dumps(given))
    start, optimizer = recipe(str(values["recipe"])), given.get("optimizer")
    has_batch = isinstance(optimizer, Mapping) and "batch_size" in optimizer
    made = RunConfig.from_json(json.dumps(_merged(open_to_changes(start, given=has_batch).to_dict(), given)))
    return with_fitting_batch(made, base=start, given=has_batch)


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {**one, **other}
    return {
        name: _merged(one[name], value) if isinstance(value, Mapping) and isinstance(one.get(name), Mapping) else value
        for name, value in both.items()
    }
