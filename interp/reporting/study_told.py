"""Forecasts against outcomes, for a study's page: what was said early of each run beside what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interp.figures.study_table import Row
from interp.forecasting.early_word import MULTIPLE, ToldEarly
from interp.wording import counted

# More forecasts than this are not made: each takes a tenth of a second, and more points say no more.
MOST = 200


def chosen(runs: Sequence[str]) -> frozenset[str]:
    """The runs that are asked about: all, or evenly chosen ones of more than `MOST`."""
    if len(runs) <= MOST:
        return frozenset(runs)
    return frozenset(runs[round(place)] for place in np.linspace(0, len(runs) - 1, MOST))


def told_findings(rows: Sequence[Row], told: Mapping[str, ToldEarly]) -> dict[str, Any]:
    """What the page draws: a point for each run with a date, and in words how good the dates were.

    A run that had grokked before it was said takes no part. One that has not grokked is held against its last step: it takes
    longer than that.
    """
    points = []
    silent = 0
    for number, row in enumerate(rows):
        said, got = told.get(str(row["run"])), row.get("grokked")
        if said is None or (got is not None and got <= said.step):
            continue
        if said.at is None:
            silent += 1
            continue
        until = row["last_step"] if got is None else got
        points.append({"row": number, "at": said.at, "low": said.low, "high": said.high, "got": until, "beyond": got is None})
    return {"points": points, "said": _in_words(points, silent), "multiple": MULTIPLE}


def _in_words(points: Sequence[Mapping[str, Any]], silent: int) -> str:
    if not points:
        return ""
    dated = [one for one in points if not one["beyond"]]
    told = f"A date was named for {counted(len(points), 'run')}"
    told += f", none for {counted(silent, 'other')}." if silent else "."
    if dated:
        errors = [abs(float(np.log(one["at"] / one["got"]))) for one in dated]
        inside = sum(one["low"] <= one["got"] <= one["high"] for one in dated)
        wrong_by, where = f"{100 * float(np.median(errors)):.0f} %", "inside" if inside else "outside"
        told += (
            f" The one that grokked later did so {where} its interval; its date was wrong by {wrong_by}."
            if len(dated) == 1
            else f" Of the {len(dated)} that grokked later, {inside} did so inside their interval (four in five should), and "
            f"half of the dates were wrong by {wrong_by} or less."
        )
    late = [one for one in points if one["beyond"]]
    wrong = sum(one["high"] < one["got"] for one in late)
    if len(late) == 1:
        then = "should have by its interval's upper end" if wrong else "may still do so inside its interval"
        told += f" The one that had not grokked by its last step {then}."
    elif late:
        told += f" Of the {len(late)} that had not grokked by their last step, {wrong} should have by their interval's upper end."
    return told
