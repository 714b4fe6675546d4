"""Rows whose writer counts its calls: placed by the steps that their neighbours name, never on an axis of two counters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from interp.interop.logs.column_names import COUNTER, step_rank
from interp.interop.logs.log_rows import Row


def counts_calls(rows: Sequence[Row]) -> bool:
    """Whether a writer's own steps count its calls, one by one but for a few, and are not steps that it was given."""
    steps = [step for row in rows if isinstance(step := row.values.get(COUNTER), int)]
    return sum(after - before <= 1 for before, after in pairwise(steps)) >= 0.5 * (len(steps) - 1)


def carried(rows: Sequence[Row], read: Sequence[str]) -> tuple[Sequence[Row], list[str]]:
    """Rows of a counter of calls with the ``step``, ``epoch`` ... that only some of them have, and a note if any was placed.

    If no value occurs twice from one row with a step to the next, the rows between have the step of the row before, or after if
    the first has none; else they lie between in equal parts, rounded. Rows beyond the first and last step get none.

    Args:
        rows: in the order of the calls.
        read: the names of the values that are wanted.
    """
    wanted = [at for at, row in enumerate(rows) if any(row.values.get(name) is not None for name in read)]
    names = dict.fromkeys(name for row in rows for name in row.values if step_rank(name) is not None and name != COUNTER)
    told = {
        name: {at: step for at, row in enumerate(rows) if (step := _whole(row.values.get(name))) is not None} for name in names
    }
    usable = [name for name, steps in told.items() if _tells(steps, wanted)]
    if not usable or len(told[key := max(usable, key=lambda name: len(told[name]))]) >= 0.9 * len(wanted):
        return rows, []
    placed, how = _placed(rows, told[key], read)
    if not placed:
        return rows, []
    note = f"{len(told[key])} rows have {key!r}; {len(placed)} others, which have none, {how}"
    return [replace(row, values={**row.values, key: placed[at]}) if at in placed else row for at, row in enumerate(rows)], [note]


def _tells(steps: Mapping[int, int], wanted: Sequence[int]) -> bool:
    """Whether the rows with a step ascend in it, and most of the others lie between them."""
    if len(steps) < 2 or any(after < before for before, after in pairwise(steps.values())):
        return False
    first, last = min(steps), max(steps)
    return sum(first - 1 <= at <= last + 1 for at in wanted) >= 0.5 * len(wanted)


def _placed(rows: Sequence[Row], steps: Mapping[int, int], read: Sequence[str]) -> tuple[dict[int, int], str]:
    """Steps for the rows without, and in words how they were found."""
    missing = [at for at, row in enumerate(rows) if at not in steps and any(row.values.get(name) is not None for name in read)]
    forward = not missing or min(steps) < missing[0]
    nearest = dict(_nearest(missing, steps, forward=forward))
    if _is_once(rows, {**{at: at for at in steps}, **nearest}, read):
        found = {at: steps[beside] for at, beside in nearest.items()}
        return found, f"have that of the row {'before' if forward else 'after'} them"
    between: dict[int, int] = {}
    lacking = {*missing}
    for before, after in pairwise(steps):
        rate = (steps[after] - steps[before]) / (after - before)
        empty = (at for at in range(before + 1, after) if at in lacking)
        between |= {at: round(steps[before] + rate * (at - before)) for at in empty}
    return between, "lie between in equal parts, rounded"


def _nearest(missing: Sequence[int], steps: Mapping[int, int], *, forward: bool) -> Iterator[tuple[int, int]]:
    """The row with a step before (forward) or after each row without."""
    order = iter(sorted(steps) if forward else sorted(steps, reverse=True))
    upcoming, beside = next(order, None), None
    for at in missing if forward else reversed(missing):
        while upcoming is not None and (upcoming < at if forward else upcoming > at):
            beside, upcoming = upcoming, next(order, None)
        if beside is not None:
            yield at, beside


def _is_once(rows: Sequence[Row], groups: Mapping[int, int], read: Sequence[str]) -> bool:
    """Whether every value occurs at most once in each group of rows."""
    seen = [(group, name) for at, group in groups.items() for name in read if rows[at].values.get(name) is not None]
    return len(seen) == len({*seen})


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 or value < 0:
        return None
    return int(value)
