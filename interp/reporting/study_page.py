"""The page of a study: table and curves in, one self-contained HTML text out. Every number is computed here, none in the page."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from interp.figures.cell_numbers import answer, plain_answer, questions
from interp.figures.phase_map import OUTCOME_COLOURS
from interp.figures.study_table import StudyTable, said
from interp.figures.tabled import Table
from interp.figures.theme import CYCLE, template
from interp.forecasting.early_word import ToldEarly
from interp.reporting.blocks import Blocks
from interp.reporting.library import plotly_library
from interp.reporting.render import as_json, joined, policy, templates
from interp.reporting.study_curves import ThinCurves
from interp.reporting.study_findings import law_findings, survival_findings
from interp.reporting.study_story import SEEDS_SET, study_story
from interp.reporting.study_told import told_findings
from interp.studies.durations import FEW
from interp.studies.timed import BEGINS, EVENTS

_SCRIPTS = (
    "decode.js", "startup.js", "parquet.js", "tables.js", "study_grid.js", "study_plots.js", "study_rows.js", "study_choices.js",
    "study_page.js",
)  # fmt: skip
_STYLES = ("page.css", "study_page.css")
_DIGITS = 5  # of a number in the table of runs
_LIVE_SCRIPTS, _LIVE_STYLES = ("live.js", "study_live.js"), ("live.css",)


@dataclass(frozen=True)
class StudySource:
    """What a page is made from.

    Args:
        table: the study's rows by their place.
        curves: of its runs.
        command: that writes the page of the run ``RUN``.
        facts: tables at the end.
        told: name of a run -> what was said of it early on.
    """

    table: StudyTable
    curves: ThinCurves = field(default_factory=ThinCurves)
    command: str = "interp report RUN -o RUN.html"
    facts: Sequence[Table] = ()
    told: Mapping[str, ToldEarly] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyPage:
    """A finished page.

    Args:
        html: the whole text, to be written to one file.
        headline: what was found, in plain text.
    """

    html: str
    headline: str


def study_page(
    source: StudySource,
    *,
    live: int | None = None,
    brief: bool = False,
    on_part: Callable[[str, int, int], None] | None = None,
) -> StudyPage:
    """Build the page of a study.

    Args:
        source: what it shows.
        live: version of a page that is served while runs come in, and may ask its server for the next; None for a file.
        brief: leave out the laws, which take longest, and say so in their place.
        on_part: called with (what is done, how far, of how many).
    """
    table, blocks, story = source.table, Blocks(), study_story(source.table)
    asked = questions(table.rows)
    told = on_part or _silent
    runs = [str(row["run"]) for row in table.rows]
    laws, foretold = law_findings(table, brief=brief, on_part=told), told_findings(table.rows, source.told)
    data = {
        "study": table.name,
        "live": live,
        "axes": [
            {name: getattr(axis, name) for name in ("name", "label", "title", "texts", "ticks", "numbers", "is_log", "shares")}
            for axis in table.axes
        ],
        "questions": [{"name": one.name, "kind": one.kind, "title": one.title} for one in asked],
        "cells": _cells(table),
        "columns": _columns(table),
        "curves": source.curves.block(runs, blocks),
        "survival": survival_findings(table, on_part=told),
        "laws": laws,
        "told": foretold,
        "command": source.command,
        "few": FEW,
        "begins": BEGINS,
        "colours": {"cycle": CYCLE, "outcomes": OUTCOME_COLOURS},
        "templates": {"light": template("light"), "dark": template("dark")},
        "notes": {"study": table.name, "seeds_are": table.seeds_are, "headline": str(story)},
        "blocks": blocks.header,
    }
    is_live = live is not None
    script, library = joined(_SCRIPTS + _LIVE_SCRIPTS if is_live else _SCRIPTS), plotly_library()
    html = (
        templates()
        .get_template("study_page.html.jinja")
        .render(
            study=table.name,
            story=story,
            seeds_set=SEEDS_SET[table.seeds_are],
            has_laws=bool(laws["axes"]),
            foretold=foretold,
            n_axes=len(table.axes),
            facts=source.facts,
            few=FEW,
            policy=policy(script, library.script, connect=is_live),
            css=Markup(joined(_STYLES + _LIVE_STYLES if is_live else _STYLES)),
            script=Markup(script),
            data=_packed(as_json(_listed(data))),
            blocks=blocks.payload(),
            plotly=library.packed,
            notice=library.notice,
        )
    )
    return StudyPage(html, str(story))


def _cells(table: StudyTable) -> list[dict[str, Any]]:
    """Every cell with the numbers of its rows and its answer to every question, in their order."""
    asked = questions(table.rows)
    number = {id(row): i for i, row in enumerate(table.rows)}
    made = []
    for place, rows in table.cells.items():
        answers = [answer(rows, one) for one in asked]
        counts = next((one.counts for one in answers if one.counts is not None), None)
        plain = [plain_answer(one) for one in answers]
        made.append({"place": place, "rows": [number[id(row)] for row in rows], "answers": plain, "outcomes": counts or {}})
    return made


def _columns(table: StudyTable) -> list[dict[str, Any]]:
    """The rows as columns: texts, numbers, or times, of which one that is missing was not seen (censored).

    A field of an axis has no value that is missing: where it is not all numbers, its values are texts as the axis says them, with
    those that are sorted and downloaded beside them.
    """
    digits = {field: axis.digits for axis in table.axes for field in axis.fields}
    names = list(dict.fromkeys(name for row in table.rows for name in row if name != "seeds_are"))
    made = []
    for name in names:
        values: list[Any] = [row.get(name) for row in table.rows]
        known = [value for value in values if value is not None]
        column: dict[str, Any] = {"name": name}
        if name in EVENTS:
            kind = "time"
        elif known and all(map(_is_number, values if name in digits else known)):
            kind = "number"
            column |= {"digits": max(_DIGITS, digits[name])} if name in digits else {}
        elif name in digits:
            kind = "text"
            column["exact"] = [value if _is_number(value) else said(value) for value in values]
            values = [said(value, digits[name]) for value in values]
        else:
            kind = "text"
            values = [None if value is None else _text(value) for value in values]
        made.append({**column, "kind": kind, "values": values})
    return made


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)


def _listed(value: Any) -> Any:
    """Arrays as lists, with six digits: more are not seen."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            return [_listed(row) for row in value] if value.ndim > 1 else [float(f"{x:.6g}") for x in value.tolist()]
        return value.tolist()
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode("ascii")


def _silent(what: str, done: int, total: int) -> None:
    pass
