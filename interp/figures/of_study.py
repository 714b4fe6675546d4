"""The figures of a study, one at a time: for notebooks, and for files (see `interp.figures.saving`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interp.errors import UsageError, unknown
from interp.figures.cell_numbers import find_question, questions
from interp.figures.law_figure import LAWS, fit_law, law_axes, law_figure
from interp.figures.phase_map import on_paper, phase_figure
from interp.figures.study_table import StudyTable
from interp.figures.survival_figure import survival_figure, survival_of
from interp.studies.durations import NotBounded
from interp.studies.timed import EVENTS

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.studies.study import Study

Theme = Literal["light", "dark"]


def phase_diagram(
    study: Study | str | Path,
    *,
    x: str | None = None,
    y: str | None = None,
    of: str = "grokked",
    fixed: Mapping[str, Any] | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """What became of a study's runs over two of its axes, as a map, or over one, as points with their 95 % intervals.

    A median time is that of Kaplan and Meier: a run that had not grokked within its budget counts as such. Where it is not
    reached, the cell says so and has no colour of the scale.

    Args:
        study: the study, or its folder.
        x: horizontal axis, by its name or the last part of it, such as ``weight_decay``; the first axis by default.
        y: vertical axis; none by default.
        of: ``grokked``, ``memorized`` or ``delay`` (median step from which on it is so for good; with ``_first``, of the first
            crossing), ``share_grokked`` and so on, ``outcome``, or the last value of ``test_loss`` or of any measure that the
            study's runs have, such as ``restricted_loss``.
        fixed: values on all other axes, by name; the first ones by default.
        theme: colours of paper and ink.

    Raises:
        UsageError: for an unknown axis, measure or value, or if no run is finished.

    >>> phase_diagram("nowhere/wd")
    Traceback (most recent call last):
    interp.errors.UsageError: no study at nowhere/wd (nothing is there): unknown study 'wd'. Known: none
    """
    table = table_of(study, of)
    across = _axis(table, x)
    up = None if y is None else table.find(y)
    free = [across] if up is None else [across, up]
    drawn = phase_figure(table, find_question(of, table.rows), x=across, y=up, fixed=table.fixed(fixed or {}, *free))
    return on_paper(drawn, theme)


def survival(
    study: Study | str | Path,
    *,
    by: str | None = None,
    of: str = "grokked",
    fixed: Mapping[str, Any] | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """The share of a study's runs that have not grokked yet, over steps: a curve for each value of an axis.

    Args:
        study: the study, or its folder.
        by: the axis; the first one by default.
        of: a time, see `phase_diagram`.
        fixed: values on all other axes, by name; the first ones by default.
        theme: colours of paper and ink.

    Raises:
        UsageError: for an unknown axis, time or value, or if no run is finished.

    >>> survival("nowhere/wd")
    Traceback (most recent call last):
    interp.errors.UsageError: no study at nowhere/wd (nothing is there): unknown study 'wd'. Known: none
    """
    table = table_of(study)
    number, asked = _axis(table, by), find_question(_time(of), table.rows)
    found = survival_of(table, asked.name, by=number, fixed=table.fixed(fixed or {}, number))
    return on_paper(survival_figure(found, asked, axis=table.axes[number].label), theme)


def law(
    study: Study | str | Path,
    *,
    along: str | None = None,
    of: str = "grokked",
    fixed: Mapping[str, Any] | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """The law of the time to grok along an axis (weight decay, fraction or modulus): runs, fit and residuals.

    Args:
        study: the study, or its folder.
        along: the axis; the first that has a law by default.
        of: a time, see `phase_diagram`.
        fixed: values on all other axes, by name; the first ones by default.
        theme: colours of paper and ink.

    Raises:
        UsageError: for an unknown axis, time or value, an axis without a law, if no run is finished, or where the data do not
            bound the law's parameters, with the reason.

    >>> law("nowhere/wd")
    Traceback (most recent call last):
    interp.errors.UsageError: no study at nowhere/wd (nothing is there): unknown study 'wd'. Known: none
    """
    table = table_of(study)
    lawful = law_axes(table)
    if along is None and not lawful:
        raise UsageError(
            f"law: study {table.name} varies none of {', '.join(LAWS)} by itself over several numbers: there is no law"
        )
    number = lawful[0] if along is None else table.find(along)
    if number not in lawful:
        raise unknown("axis with a law", table.axes[number].name, [table.axes[one].name for one in lawful])
    asked = find_question(_time(of), table.rows)
    found = fit_law(table, asked.name, along=number, fixed=table.fixed(fixed or {}, number))
    if isinstance(found.law, NotBounded):
        raise UsageError(f"law: {found.law}")
    return on_paper(law_figure(found, asked, axis=table.axes[number].label), theme)


def table_of(study: Study | str | Path, of: str = "grokked") -> StudyTable:
    """The table of a study's runs, from its files; with what they measured last, where that is asked for."""
    from interp.studies.last_measured import with_last_measured
    from interp.studies.outcomes import rows
    from interp.studies.study import open_study

    opened = open_study(study) if isinstance(study, str | Path) else study
    fields = [axis.fields for axis in opened.plan.axes]
    found: Sequence[Mapping[str, Any]] = rows(opened)
    if not isinstance(of, str):
        raise UsageError(f"of: given {of!r:.60}, expected what is asked, such as 'grokked' or 'test_loss'")
    if of.replace("-", "_") not in {asked.name for asked in questions(found)}:
        found = with_last_measured(opened, found)
    return StudyTable.of(opened.name, fields, found, seeds_are=opened.seeds_are)


def _axis(table: StudyTable, name: str | None) -> int:
    """The axis of a name; the first one if none is given."""
    if not table.axes:
        raise UsageError(f"study {table.name} varies nothing but its seeds, so there is no axis to draw it over")
    return 0 if name is None else table.find(name)


def _time(of: str) -> str:
    if of.replace("-", "_") not in EVENTS:
        raise unknown("time", of, EVENTS)
    return of
