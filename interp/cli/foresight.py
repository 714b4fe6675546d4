"""The commands that look ahead and say why: forecast, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from interp.bars import counted_progress
from interp.cli.arguments import ROOT, Root, RunPath, find_run
from interp.cli.printing import print_json, print_table, say
from interp.cli.task_flags import TaskName, with_fields_of_task, with_named_task
from interp.config.fitting_batch import gives_batch, open_to_changes, with_fitting_batch
from interp.config.recipes import RECIPES, recipe
from interp.config.run_config import RunConfig
from interp.errors import UsageError
from interp.store.run_paths import find_path

if TYPE_CHECKING:
    from interp.forecasting.doctor.diagnosis import Diagnosis
    from interp.forecasting.foresee import Forecast
    from interp.store.run import Run


def forecast(
    run: RunPath,
    at: Annotated[int | None, tyro.conf.arg(metavar="STEP")] = None,
    target: Literal["for-good", "first"] = "for-good",
    past: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    root: Root = ROOT,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Will it grok, and when? Said from weights and training pairs alone, with an interval; no test label is looked at.

    Args:
        at: the checkpoint at which it is said; nothing after it is looked at (default: the last).
        target: test accuracy 99 % from then on, or for the first time.
        past: what was said at every checkpoint, beside what happened.
        json_output: print JSON.
    """
    if past and at is not None:
        raise UsageError(f"--at: given {at} with --past, which tells what was said at every checkpoint; leave one of them out")
    opened, goal = find_run(run, root), "for_good" if target == "for-good" else "first"
    with counted_progress("looking ahead"):
        said = _past(opened, goal) if past else [_one(opened, at, goal)]
    if json_output:
        found = [{name: value for name, value in asdict(one).items() if name != "evidence"} for one in said]
        print_json(found if past else found[0])
    elif past:
        print_table([_row(one) for one in said])
        print(_what_happened(opened, goal))
    else:
        print(f"{opened.path}, step {said[0].step:,}: {said[0]}")
        if said[0].outside:
            print(f"by the law alone, whose intervals are wide; outside the range of the model: {'; '.join(said[0].outside)}")
        print(_what_happened(opened, goal))


@dataclass(frozen=True)
class Asking:
    """What `interp doctor` judges before it is trained: every field of a configuration, with the task's name, and its own flags.

    Args:
        config: the configuration.
        task: what is learned, by name.
        root: directory that holds the runs; a configuration is judged without them.
        json_output: print JSON.
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    task: TaskName = None
    root: Root = ROOT
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False


Asked = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="RUN|CONFIG", help="directory of a run, its name under --root, a recipe, or a configuration file"),
]


def doctor(
    asked: Asked,
    root: Root = ROOT,
    json_output: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Why did it not grok, or will it not? Causes in order of likelihood, each with evidence and the change to make.

    A recipe or a configuration file is judged before it is trained, with any change: `interp doctor demo
    --optimizer.weight-decay 0.1`. A run is judged by its history, its split, its table and its last checkpoint. Where nothing
    is found, nothing is advised.

    Args:
        json_output: print JSON.
    """
    _say_diagnosis(_diagnosed(asked, root), as_json=json_output)


def doctor_from(asked: str, flags: Sequence[str]) -> None:
    """`interp doctor ASKED FLAGS`: of a configuration, the flags may be those of `interp train`."""
    changes = [flag for flag in flags if flag.startswith("--") and flag.partition("=")[0] not in _OURS]
    if not changes or not (asked in RECIPES or Path(asked).suffix in _FILES):
        tyro.cli(doctor, args=[asked, *flags], prog="interp doctor")
        return
    base = recipe(asked) if asked in RECIPES else RunConfig.from_file(asked)
    default = Asking(with_fields_of_task(open_to_changes(base, given=gives_batch(flags))))
    parsed = tyro.cli(Asking, default=default, args=list(flags), prog=f"interp doctor {asked}")
    asked_for = with_named_task(parsed.config, parsed.task, base=base, flags=flags)
    config = with_fitting_batch(asked_for, base=base, given=gives_batch(flags))
    _say_diagnosis(_of_config(config), as_json=parsed.json_output)


_OURS, _FILES = ("--root", "--json", "--no-json", "--help"), (".toml", ".json")


def _diagnosed(asked: str, root: Path) -> Diagnosis:
    from interp.store.manifest import RECORD

    if (find_path(Path(asked), root) / RECORD).is_file():
        from interp.forecasting.doctor.diagnosing import diagnose

        with counted_progress("looking for causes"):
            return diagnose(find_run(Path(asked), root))
    if Path(asked).suffix in _FILES:
        return _of_config(RunConfig.from_file(asked))
    if asked in RECIPES:
        return _of_config(recipe(asked))
    try:
        find_run(Path(asked), root)
    except UsageError as error:
        raise UsageError(f"{error}; and no recipe or configuration file (.toml, .json) is called so") from error
    raise AssertionError("a run without its record cannot be opened")


def _of_config(config: RunConfig) -> Diagnosis:
    from interp.forecasting.doctor.diagnosing import diagnose

    return diagnose(config)


def _say_diagnosis(found: Diagnosis, *, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict())
    else:
        say(found)


def _one(run: Run, at: int | None, target: Any) -> Forecast:
    from interp.forecasting.measured import forecast

    return forecast(run, at, target=target)


def _past(run: Run, target: Any) -> list[Forecast]:
    from interp.forecasting.foresee import forecasts
    from interp.forecasting.label_free import LOGITS, WEIGHTS
    from interp.observing.observe import observe

    return list(forecasts(observe(run, [WEIGHTS, LOGITS]), target=target))


def _row(one: Forecast) -> dict[str, object]:
    return {
        "step": one.step,
        "verdict": one.verdict,
        "at": one.at,
        "low": one.low,
        "high": one.high,
        "chance": None if one.chance is None else f"{one.chance:.2f}",
        "method": one.method,
    }


def _what_happened(run: Run, target: str) -> str:
    from interp.observing.described import history_series
    from interp.observing.series import about

    phases = about(history_series(run)).phases
    right = run.columns.get("test_accuracy")
    if phases is None or right is None or not any(isfinite(value) for value in right):
        return "what happened is not known: there is no test accuracy"
    reached = phases.reached.get("grokked")
    first = None if reached is None else reached.first
    date = phases.grokked if target == "for_good" else first or phases.grokked
    return f"what happened: test accuracy {'has not reached 99 %' if date is None else f'99 % at {date}'}"
