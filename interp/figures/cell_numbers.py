"""What is asked of the runs of a cell: when half of them had grokked, how many did, how they ended, what they measured last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from interp.errors import unknown
from interp.figures.study_table import Row
from interp.studies.durations import FEW, Estimate
from interp.studies.proportions import exact_share
from interp.studies.survival import QUARTILES, kaplan_meier
from interp.studies.timed import EVENTS, ended, timed
from interp.wording import reaching

Kind = Literal["time", "share", "outcome", "number"]

# Times in words, without what "for good" or "first" adds.
_TIMES = {"grokked": "grokking", "memorized": "memorization", "delay": "delay from memorization to grokking"}
_EVENTS = {"grokked": "grokked", "memorized": "memorized", "delay": "grokked"}
OUTCOMES = ("grokking", "comprehension", "memorization", "confusion", "unknown")
# Columns of a row that are no measure.
_OTHER = ("seed", "last_step", "budget")


@dataclass(frozen=True)
class Asked:
    """A question about a cell.

    Args:
        name: a time of `interp.studies.timed.EVENTS`, ``share_`` and a time, ``outcome``, or a column of last measurements.
        kind: of its answer.
        title: in words.
    """

    name: str
    kind: Kind
    title: str


@dataclass(frozen=True)
class Answer:
    """The answer of a cell's runs.

    Args:
        value: None where there is none: the time is not reached, or no run is at its end.
        low: lower end of the 95 % interval, or the least of the last measurements; None where it is not bounded.
        high: upper end, or the greatest; None where it is not bounded.
        n: runs it is drawn from.
        events: runs in which the event was seen, of a time or a share.
        few: whether there are fewer than 10 runs.
        counts: runs of each outcome.
        quartiles: of a time: the steps by which a quarter and three quarters of the runs had got there, with their intervals.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    events: int | None
    few: bool
    counts: Mapping[str, int] | None = None
    quartiles: tuple[Estimate, Estimate] | None = None


def questions(rows: Sequence[Row]) -> list[Asked]:
    """What can be asked of the cells of a study with these rows."""
    times = [
        Asked(f"{name}{of}", "time", f"median step of {said}{_good(of)}" if name != "delay" else f"median {said}{_good(of)}")
        for name, said in _TIMES.items()
        for of in ("", "_first")
    ]
    shares = [
        Asked(f"share_{name}{of}", "share", f"share of runs that {name}{_good(of)}")
        for name in ("grokked", "memorized")
        for of in ("", "_first")
    ]
    numbers = [Asked(name, "number", f"median of the last {name.replace('_', ' ')}") for name in measured_columns(rows)]
    return [*times, *shares, Asked("outcome", "outcome", "outcome (after Liu et al.)"), *numbers]


def find_question(name: str, rows: Sequence[Row]) -> Asked:
    """The question of a name.

    Raises:
        UsageError: for an unknown one, with the nearest.
    """
    known = {asked.name: asked for asked in questions(rows)}
    if name.replace("-", "_") not in known:
        raise unknown("measure", name, known)
    return known[name.replace("-", "_")]


def measured_columns(rows: Sequence[Row]) -> list[str]:
    """Columns of last measurements: numbers that are neither times nor what was set."""
    after = list(dict.fromkeys(name for row in rows for name in list(row)[_begin(row) :]))
    numeric = [name for name in after if any(isinstance(row.get(name), float) for row in rows)]
    return [name for name in numeric if name not in (*EVENTS, *_OTHER)]


def answer(rows: Sequence[Row], asked: Asked) -> Answer:
    """What the runs of one cell say to a question."""
    if asked.kind == "time":
        return _time(rows, asked.name)
    finished = ended(rows)
    n, few = len(finished), len(finished) < FEW
    if not finished:
        return Answer(None, None, None, 0, 0, few)
    if asked.kind == "share":
        events = sum(row[asked.name.removeprefix("share_")] is not None for row in finished)
        share = exact_share(events, n)
        return Answer(share.value, share.low, share.high, n, events, few)
    if asked.kind == "outcome":
        counts = {name: sum(row["outcome"] == name for row in finished) for name in OUTCOMES}
        counts = {name: count for name, count in counts.items() if count}
        return Answer(None, None, None, n, None, few, counts)
    values = [float(row[asked.name]) for row in finished if row.get(asked.name) is not None]
    if not values:
        return Answer(None, None, None, 0, None, few)
    return Answer(median(values), min(values), max(values), len(values), None, len(values) < FEW)


def common_outcome(counts: Mapping[str, int]) -> str:
    """The outcome of most runs of a cell; `mixed` if two are equally frequent.

    >>> common_outcome({"grokking": 6, "memorization": 4}), common_outcome({"grokking": 5, "memorization": 5})
    ('grokking', 'mixed')
    """
    most = max(counts.values())
    first = [name for name, count in counts.items() if count == most]
    return first[0] if len(first) == 1 else "mixed"


def words(told: Answer, asked: Asked) -> str:
    """An answer in words, with its interval and the warning that it is drawn from few runs."""
    if not told.n:
        return "no finished run"
    few = f"; {told.n} {'run' if told.n == 1 else 'runs'}, fewer than {FEW}" if told.few else ""
    if asked.kind == "outcome":
        return ", ".join(f"{count} {name}" for name, count in (told.counts or {}).items()) + few
    if asked.kind == "time":
        seen = f"{told.events} of {told.n} {_EVENTS[asked.name.removesuffix('_first')]}"
        if told.value is None and told.low is None:
            return f"not reached, {seen}{few}"
        return f"{_step(told.value) or 'not reached'} ({reaching(_step(told.low), _step(told.high))}), {seen}{few}"
    if asked.kind == "share":
        return f"{told.value:.2f} ({told.low:.2f} to {told.high:.2f}), {told.events} of {told.n}{few}"
    return f"{told.value:.4g} ({told.low:.4g} to {told.high:.4g}){few}"


def _time(rows: Sequence[Row], name: str) -> Answer:
    runs = timed(rows, name)
    if runs is None:
        return Answer(None, None, None, 0, 0, True)
    first, middle, third = (kaplan_meier(runs).quantile(share) for share in QUARTILES)
    return Answer(middle.value, middle.low, middle.high, runs.n, runs.events, runs.few, quartiles=(first, third))


def _good(of: str) -> str:
    return " (first crossing)" if of else " (for good)"


def _begin(row: Row) -> int:
    """Where the columns that were measured begin: those before say what was set."""
    return list(row).index("status")


def _step(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def plain_answer(told: Answer) -> list[Any]:
    """An answer as a list for the page's script: value, interval, runs, events; of a time also both quartiles with intervals."""
    ends = [[one.value, one.low, one.high] for one in told.quartiles or ()]
    return [told.value, told.low, told.high, told.n, told.events, *ends]
