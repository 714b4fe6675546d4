"""What a study's page is made from, read from the study's files: rows, curves, what every run measured last."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interp.errors import DataError, UsageError
from interp.figures.study_table import StudyTable
from interp.figures.tabled import Table
from interp.forecasting.label_free import WEIGHTS
from interp.reporting.fact_tables import flat
from interp.reporting.page_place import check_page
from interp.reporting.study_curves import KINDS, Curve, ThinCurves
from interp.reporting.study_page import StudyPage, StudySource, study_page
from interp.reporting.study_told import chosen
from interp.store import history
from interp.store.durable import write_output
from interp.store.manifest import HISTORY, MANIFEST
from interp.store.run import Run, open_run
from interp.studies.last_measured import measured_series

if TYPE_CHECKING:
    from interp.forecasting.early_word import ToldEarly
    from interp.studies.study import Study


@dataclass(frozen=True)
class Measured:
    """What a run's files have besides its row.

    Args:
        curves: by name.
        last: the last value of every measure of one number a step.
    """

    curves: dict[str, Curve]
    last: dict[str, float]


def study_report(
    study: Study | str | Path, path: str | Path = "study.html", *, on_run: Callable[[str, int, int], None] | None = None
) -> StudyPage:
    """Write one offline HTML page about a study and return it, with its headline.

    Args:
        study: the study, or its folder.
        path: the file to write; an existing one is replaced at once, never left half written.
        on_run: called with (what is done, how far, of how many).

    Raises:
        UsageError: if there is no such study, or no folder to write to.
        DataError: if the study's plan is damaged, or the page cannot be written.

    >>> study_report("nowhere/wd")
    Traceback (most recent call last):
    interp.errors.UsageError: no study at nowhere/wd (nothing is there): unknown study 'wd'. Known: none
    """
    from interp.studies.study import open_study

    path = Path(path)
    check_page(path)
    opened = open_study(study) if isinstance(study, str | Path) else study
    made = study_page(source_of(opened, on_run=on_run), on_part=on_run)
    write_output(path, made.html.encode())
    return made


def source_of(study: Study, *, brief: bool = False, on_run: Callable[[str, int, int], None] | None = None) -> StudySource:
    """Rows, thinned curves and plan of a study; a run after the other, so that the memory does not grow with their histories.

    Args:
        study: the study.
        brief: measure nothing: runs that keep all checkpoints have not been measured by those who trained them.
        on_run: called with (what is done, how far, of how many).
    """
    from interp.studies.outcomes import rows

    told = on_run or _silent
    found = rows(study, on_run=lambda done, total: told("counting runs", done, total))
    thin, complete, told_of = ThinCurves(), [], {}
    asked = frozenset() if brief else chosen([row["run"] for row in found if row["status"] in ("finished", "stopped")])
    for number, row in enumerate(found, start=1):
        due = study.measures if study.keep == "all" and row["status"] in ("finished", "stopped") and not brief else ()
        measured = measured_of(study.path_of(row["run"]), measures=due) if row["last_step"] else Measured({}, {})
        thin.add(row["run"], measured.curves)
        complete.append({**row, **{name: value for name, value in measured.last.items() if name not in row}})
        if row["run"] in asked and (said := foretold(study.path_of(row["run"]))) is not None:
            told_of[row["run"]] = said
        told("reading curves", number, len(found))
    table = StudyTable.of(study.name, [axis.fields for axis in study.plan.axes], complete, seeds_are=study.seeds_are)
    run_path = shlex.quote(str(study.path_of("RUN")))
    return StudySource(table, thin, command=f"interp report {run_path} -o RUN.html", facts=plan_tables(study), told=told_of)


def foretold(path: Path) -> ToldEarly | None:
    """What was said early on of the run in a folder; None of one that is damaged, or of which nothing is measured."""
    from interp.forecasting.told_early import told_early

    try:
        run = open_run(path)
        return told_early(run) if WEIGHTS in run.manifest.series or not run.manifest.thinned else None
    except (DataError, OSError, UsageError):
        return None


def measured_of(path: Path, *, measures: Sequence[str] = ()) -> Measured:
    """The curves and last measurements of the run in a folder; none of one that is not there or damaged, as its row says.

    Args:
        path: of the run.
        measures: analyses that are measured here, where they are not part of the run; they are cached as by `interp.observe`.
    """
    if not (path / MANIFEST).is_file():
        return Measured({}, {})
    try:
        run = open_run(path)
        curves = _evaluated(run)
        last = {}
        for variable, (steps, values) in measured_series(run, measures).items():
            last[variable] = float(values[-1])
            if variable in _MEASURED:
                curves[variable] = (steps, values)
    except (DataError, OSError):
        return Measured({}, {})
    return Measured(curves, last)


_MEASURED = {kind.name for kind in KINDS} - set(history.COLUMNS)


def _evaluated(run: Run) -> dict[str, Curve]:
    """The history's curves at the steps that were evaluated."""
    data = run.read(HISTORY) if HISTORY in run.manifest.files else b""
    columns = history.decode_evaluated(data, where=f"{run.path / HISTORY}")
    return {kind.name: (columns["step"], columns[kind.name]) for kind in KINDS if kind.name in history.COLUMNS}


def plan_tables(study: Study) -> list[Table]:
    """The plan and the configuration that is varied, as tables."""
    plan = study.plan.to_dict()
    rows: list[tuple[str, str]] = [(f"varied: {name}", ", ".join(map(_said, values))) for name, values in plan["vary"].items()]
    rows += [(name.replace("_", " "), _said(plan[name])) for name in ("seeds", "seeds_are", "keep", "measures")]
    varied = {field.replace("_", " ") for axis in study.plan.axes for field in axis.fields}
    seeded = {"both": ("seed", "split.seed"), "weights": ("seed",), "split": ("split.seed",)}[study.seeds_are]
    same = [row for row in flat(plan["base"]) if row[0] not in (*varied, *seeded)]
    return [Table("The plan", (), tuple(rows), wide=True), Table("What does not vary", (), tuple(same))]


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _silent(what: str, done: int, total: int) -> None:
    pass
