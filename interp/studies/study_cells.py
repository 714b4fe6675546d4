"""The cells of a study, each all seeds of one combination of values: how many runs grokked, and when, with what was not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.studies.durations import Durations, Estimate
from interp.studies.proportions import exact_share
from interp.studies.survival import QUARTILES, kaplan_meier
from interp.wording import digits_apart, number, reaching

if TYPE_CHECKING:
    from interp.studies.outcomes import Row
    from interp.studies.study import Study

# Times of `outcomes`, and what the accuracy has to do.
TIMES = ("grokked", "grokked_first", "memorized", "memorized_first")


@dataclass(frozen=True)
class Cell:
    """All runs of a study that differ in the seed alone.

    Attributes:
        values: of the fields that vary.
        rows: of its runs, see `interp.studies.outcomes.outcomes`.
        runs: how long each was watched, and whether the event was seen; None if none is at its end.
        share: of the finished runs in which the event was seen, with its exact interval; None likewise.
        quartiles: steps by which a quarter, half and three quarters of the runs have had the event, by Kaplan and Meier; a run
            that was not seen to has not is censored where it ended.
    """

    values: Mapping[str, Any]
    rows: Sequence[Row]
    runs: Durations | None
    share: Estimate | None
    quartiles: tuple[Estimate, ...] | None

    @property
    def median(self) -> Estimate | None:
        """The second quartile."""
        return None if self.quartiles is None else self.quartiles[1]


def cells_of(study: Study, found: Sequence[Row], *, of: str = "grokked") -> list[Cell]:
    """A study's cells in the order of its plan.

    Args:
        study: the study.
        found: its rows, see `interp.studies.outcomes.rows`.
        of: the time that is asked about: one of `TIMES`.
    """
    fields = [field for axis in study.plan.axes for field in axis.fields]
    grouped: dict[tuple[str, ...], list[Row]] = {}
    for row in found:
        grouped.setdefault(tuple(str(row[field]) for field in fields), []).append(row)
    return [cell({field: rows[0][field] for field in fields}, rows, of=of) for rows in grouped.values()]


def cell(values: Mapping[str, Any], rows: Sequence[Row], *, of: str = "grokked") -> Cell:
    """One cell. Runs that are unfinished, missing, or broke off say nothing of whether they would have; they are not counted."""
    ended = [row for row in rows if row["status"] == "finished" and row["last_step"]]
    if not ended:
        return Cell(values, rows, None, None, None)
    event = np.array([row[of] is not None for row in ended])
    time = np.array([row["last_step"] if row[of] is None else row[of] for row in ended], dtype=np.float64)
    runs = Durations.of(time, event)
    curve = kaplan_meier(runs)
    return Cell(values, rows, runs, exact_share(int(event.sum()), len(ended)), tuple(curve.quantile(q) for q in QUARTILES))


def cell_table(study: Study, found: Sequence[Row]) -> list[dict[str, str]]:
    """A row of texts for each cell, for people."""
    table = []
    digits = {
        field: digits_apart(row[field] for row in found if isinstance(row[field], float))
        for axis in study.plan.axes
        for field in axis.fields
    }
    for one in cells_of(study, found):
        row = {
            field: number(value, digits[field]) if isinstance(value, float) else str(value) for field, value in one.values.items()
        }
        ended = 0 if one.runs is None else one.runs.n
        row["runs"] = f"{ended} of {len(one.rows)}" if ended < len(one.rows) else str(ended)
        row["grokked"] = "-" if one.runs is None else str(one.runs.events)
        row["share, 95 %"] = "-" if one.share is None else _with_interval(one.share)
        row["median step, 95 %"] = "-" if one.median is None else _with_interval(one.median, steps=True)
        row["memorized"] = _median(one.rows, "memorized_first")
        row[""] = "fewer than 10 seeds" if one.runs is None or one.runs.few else ""
        table.append(row)
    if not any(row[""] for row in table):
        for row in table:
            del row[""]
    return table


def _median(rows: Sequence[Row], of: str) -> str:
    found = cell({}, rows, of=of).median
    return "-" if found is None else "not reached" if found.value is None else f"{found.value:,.0f}"


def _with_interval(found: Estimate, *, steps: bool = False) -> str:
    if found.value is None and found.low is None:
        return "not reached"
    value, low, high = (
        None if end is None else f"{end:,.0f}" if steps else f"{end:.2f}" for end in (found.value, found.low, found.high)
    )
    return f"{value or 'not reached'} ({reaching(low, high)})"
