"""Commands about many runs: `interp study new`, `show`, `report`, `figure`, `export`, `list`; those that train: study_runs.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import tyro

from interp.bars import counted_progress, progress_by_part
from interp.cli.arguments import ROOT, Force, Out, Root
from interp.cli.printing import fail_on_unread, json_text, print_json, print_table, say
from interp.cli.study_runs import StudyName, named, opened_study, run, watch
from interp.errors import DataError, UsageError
from interp.studies.study_plan import DEFAULT_MEASURES
from interp.studies.vary import read_axis, read_place
from interp.wording import counted

if TYPE_CHECKING:
    from interp.studies.study import Study
    from interp.studies.study_plan import Keep

_OF_A_PLAN = ("recipe", "vary", "set", "seeds", "seeds_are", "keep", "measures")  # what a plan's file says
_MOST_REASONS = 20  # runs of which `show` says what became of them
Repeated = tyro.conf.UseAppendAction[tuple[str, ...]]

DESCRIPTION = """Many runs that answer one question: plan them, train them, count them.

Begin with: interp study new wd --recipe demo --vary optimizer.weight-decay=0.3,1,2,3 --seeds 0-9"""


@dataclass(frozen=True)
class New:
    """Arguments of `interp study new`.

    Args:
        name: of the study, and of its folder under --root.
        recipe: what is varied: demo, nanda, transformer-lens, pizza, power, s5, mlp, or a configuration file (.toml, .json).
        vary: a field of the configuration and its values: 0.3,1,2 or FIRST:LAST:COUNT or FIRST:LAST:COUNT:log; fields that move
            together: task.p+split.fraction=59/0.4,97/0.3; tasks by name: task=S5,D60; none where a field may have none. Repeat it
            for each axis.
        set: a field that is the same in all runs and not as in the recipe, such as steps=3000; may be repeated.
        seeds: repetitions of every combination, such as 0-9.
        seeds_are: what a seed sets: initial weights and split, or one of them.
        keep: checkpoints that stay once a run is measured: ends, all, or steps such as 500,1000.
        measures: analyses measured at every checkpoint, with commas.
        plan: a file with all of this instead (.toml, .json).
        force: plan runs that take more than this machine has; their time is estimated, not measured.
        root: directory that holds studies and runs.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    recipe: Annotated[str, tyro.conf.arg(metavar="RECIPE|FILE")] = "demo"
    vary: Annotated[Repeated, tyro.conf.arg(metavar="FIELD=VALUES")] = ()
    set: Annotated[Repeated, tyro.conf.arg(metavar="FIELD=VALUE")] = ()
    seeds: str = "0"
    seeds_are: Literal["both", "weights", "split"] = "both"
    keep: Annotated[str, tyro.conf.arg(metavar="ends|all|STEPS")] = "ends"
    measures: Annotated[str, tyro.conf.arg(metavar="NAMES")] = ",".join(DEFAULT_MEASURES)
    plan: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    force: Force = False
    root: Path = ROOT


def new(given: Annotated[New, tyro.conf.arg(name="")]) -> None:
    """Plan a study, and say how many runs, hours and bytes it is. To a study that is there, values or seeds are added."""
    study = _planned(given)
    with counted_progress("timing some steps"):
        from interp.studies.effort import effort

        needed = effort(study, force=given.force)  # before the plan is saved: it may be refused
    study.save()
    say(study)
    say(needed)
    say(f"Next: interp study run {named(study)}")


def show(study: StudyName, root: Root = ROOT, json_output: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Show what became of a study's runs: a row for each cell, with how many grokked and when.

    Args:
        json_output: print a row for each run as JSON.
    """
    from interp.studies.outcomes import counts, reasons, rows, unread
    from interp.studies.study_cells import cell_table

    opened = opened_study(study, root)
    found = rows(opened)
    if json_output:
        print_json(found)
        fail_on_unread(unread(opened, found))
        return
    say(opened)
    say(", ".join(f"{count} {what}" for what, count in counts(found).items() if count))
    print_table(cell_table(opened, found))
    lines = reasons(found, [field for axis in opened.plan.axes for field in axis.fields])
    for line in [*lines[:_MOST_REASONS], *([f"and {len(lines) - _MOST_REASONS} more"] if len(lines) > _MOST_REASONS else [])]:
        say(line)
    _say_strays(opened)
    fail_on_unread(unread(opened, found))


def export(study: StudyName, out: Out, root: Root = ROOT) -> None:
    """Write a row for each run of a study to a file: .csv, .parquet, or .json as `interp study show --json` prints it."""
    if out.suffix not in (".csv", ".parquet", ".json"):
        raise UsageError(f"-o: given {out}, expected a file that ends in .csv, .parquet or .json")
    from io import BytesIO

    from interp.store.durable import write_output
    from interp.studies.outcomes import rows

    opened = opened_study(study, root)
    buffer = BytesIO()
    if out.suffix == ".csv":
        opened.outcomes().reset_index().convert_dtypes().to_csv(buffer, index=False)  # steps as whole numbers
    elif out.suffix == ".parquet":
        opened.outcomes().reset_index().to_parquet(buffer, index=False)
    else:  # not by pandas, which cuts numbers to 15 decimals at most
        buffer.write(f"{json_text(rows(opened))}\n".encode())
    say(f"wrote {write_output(out, buffer.getvalue())}")
    _say_strays(opened)
    _fail_on_unread(opened)


def report(study: StudyName, out: Out = Path("study.html"), root: Root = ROOT) -> None:
    """Write one offline HTML page about a study: phase diagrams, survival curves, laws, every run. Open it in any browser."""
    from interp.reporting.study_source import study_report

    opened = opened_study(study, root)
    with progress_by_part("counting runs") as show:
        made = study_report(opened, out, on_run=show)
    say(f"wrote {out}")
    say(made.headline)
    _say_strays(opened)
    _fail_on_unread(opened)


@dataclass(frozen=True, kw_only=True)
class StudyFigure:
    """Arguments of `interp study figure`.

    Args:
        name: phase-diagram, survival or law.
        x: axis of the figure: across, of the groups, or along which there is a law (default: the first).
        y: vertical axis of a phase diagram; without it, points with intervals.
        of: what is asked: grokked, memorized, delay (with _first: of the first crossing), share_grokked, outcome; or a last
            value, such as test_loss or restricted_loss.
        at: the value at which another axis is held, such as split.fraction=0.4; may be repeated, once for each axis (default: the
            first).
        width: width of a picture in CSS pixels.
        height: height of a picture in CSS pixels.
        scale: pixels of a PNG per CSS pixel (default: 2).
        theme: colours of the background and of text and lines.
    """

    study: StudyName
    name: Annotated[Literal["phase-diagram", "survival", "law"], tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    out: Out
    x: Annotated[str | None, tyro.conf.arg(metavar="FIELD")] = None
    y: Annotated[str | None, tyro.conf.arg(metavar="FIELD")] = None
    of: str = "grokked"
    at: Annotated[Repeated, tyro.conf.arg(metavar="FIELD=VALUE")] = ()
    width: int | None = None
    height: int | None = None
    scale: float | None = None
    theme: Literal["light", "dark"] = "light"
    root: Root = ROOT


def figure(asked: Annotated[StudyFigure, tyro.conf.arg(name="")]) -> None:
    """Write a figure of a study: a picture (.svg, .png, .pdf), an interactive page (.html), or plotly's JSON (.json)."""
    from interp.figures.of_study import law, phase_diagram, survival
    from interp.figures.saving import check_target, save

    size = {"width": asked.width, "height": asked.height, "scale": asked.scale}
    check_target(asked.out, **size)
    if asked.y is not None and asked.name != "phase-diagram":
        raise UsageError(f"--y: given for {asked.name}, expected only for phase-diagram")
    held = _held(asked.at)
    study = opened_study(asked.study, asked.root)
    if asked.name == "phase-diagram":
        drawn = phase_diagram(study, x=asked.x, y=asked.y, of=asked.of, fixed=held, theme=asked.theme)
    elif asked.name == "survival":
        drawn = survival(study, by=asked.x, of=asked.of, fixed=held, theme=asked.theme)
    else:
        drawn = law(study, along=asked.x, of=asked.of, fixed=held, theme=asked.theme)
    say(f"wrote {save(drawn, asked.out, width=asked.width, height=asked.height, scale=asked.scale)}")
    _fail_on_unread(study)


def _held(given: Sequence[str]) -> dict[str, Any]:
    """The values that texts such as ``split.fraction=0.4`` say, by the name of their axis; one for each."""
    held: dict[str, Any] = {}
    for name, value in map(read_place, given):
        if name in held:
            raise UsageError(f"--at: given {name} twice, expected one value for it")
        held[name] = value
    return held


def list_(root: Root = ROOT) -> None:
    """List the studies in a directory. One that cannot be read does not hide the others: it is named at the end."""
    from interp.studies.outcomes import counts, rows
    from interp.studies.study import open_study, study_names

    names = study_names(root)
    if not names:
        say(f"no studies in {root}; plan one with: interp study new")
        return
    table, unread = [], {}
    for name in names:
        try:
            opened = open_study(root / name)
            varied = ", ".join(axis.name for axis in opened.plan.axes)
            table.append({"name": name, "varies": varied, "runs": len(opened.points), **counts(rows(opened))})
        except (DataError, UsageError) as error:
            unread[name] = str(error)
    if table:
        print_table(table)
    fail_on_unread(unread, "study", "studies")


COMMANDS: dict[str, Callable[..., None]] = {
    "new": new, "run": run, "watch": watch, "show": show, "report": report, "figure": figure, "export": export, "list": list_,
}  # fmt: skip


def study() -> None:
    """Many runs that answer one question: plan, train, count (`interp study --help` lists its commands)."""
    study_from(["--help"])


def study_from(arguments: Sequence[str]) -> None:
    """`interp study COMMAND ...`."""
    app = tyro.extras.SubcommandApp()
    for name, command in COMMANDS.items():
        app.command(name=name)(command)
    app.cli(prog="interp study", description=DESCRIPTION, args=list(arguments))


def _planned(given: New) -> Study:
    from interp.studies.plan_files import base_of, planned, read_plan
    from interp.studies.problems import Problems
    from interp.studies.study import study_of
    from interp.studies.vary import read_seeds

    if given.plan is not None:
        default = New(given.name)
        others = [name for name in _OF_A_PLAN if getattr(given, name) != getattr(default, name)]
        if others:
            named = ", ".join(f"--{name.replace('_', '-')}" for name in others)
            raise UsageError(f"--plan: given with {named}, expected one or the other: the file says all")
        return study_of(read_plan(given.plan), given.name, given.root)
    problems = Problems()
    fixed = [axis for text in given.set if (axis := problems.of(partial(read_axis, text))) is not None]
    plan = planned(
        lambda: base_of(given.recipe, fixed),
        [partial(read_axis, text) for text in given.vary],
        seeds=lambda: read_seeds(given.seeds),
        seeds_are=given.seeds_are,
        keep=lambda: _steps(given.keep),
        measures=tuple(filter(None, given.measures.split(","))),
        problems=problems,
        is_new=True,
    )
    problems.refuse()
    assert plan is not None
    return study_of(plan, given.name, given.root)


def _steps(text: str) -> Keep:
    if text in ("all", "ends"):
        return cast("Keep", text)
    try:
        return tuple(int(step) for step in text.split(","))
    except ValueError:
        raise UsageError(f"--keep: given {text!r}, expected ends, all, or steps such as 500,1000") from None


def _say_strays(study: Study) -> None:
    """Say that runs are there which the plan does not have, so that they are in no number."""
    from interp.studies.going import strays

    if there := strays(study):
        runs = f"{counted(len(there), 'run')} in {study.folder}"
        say(f"{runs} that the plan does not have, and that no number here is drawn from: study.json was changed")


def _fail_on_unread(study: Study) -> None:
    """Name the runs that could not be read, once all that is known was written."""
    from interp.studies.outcomes import rows, unread

    fail_on_unread(unread(study, rows(study)))
