"""Rows of a log as columns of a run's history: steps chosen, names understood, void rows dropped, each of it said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isnan

from interp.errors import DataError
from interp.interop.logs.call_counts import carried, counts_calls
from interp.interop.logs.column_names import COUNTER, TEST, TRAIN, Meaning, meaning, step_rank, steps_known
from interp.interop.logs.log_rows import Row, Rows

# Of a log whose steps go back this seldom the training was resumed; of one whose steps do so more often the rows are in no order.
_SELDOM = 0.05
_SIDES = ("split", "phase", "mode", "subset", "set")
_TAGS = ("tag", "metric", "key")

Column = dict[int, float]
Pairs = list[tuple[int, float]]


@dataclass(frozen=True)
class Tidy:
    """Columns by name, each with its values by step, what was done, in words, and the last call if the steps count calls."""

    columns: Mapping[str, Column]
    notes: tuple[str, ...]
    last_call: int | None = None


def tidy(rows: Sequence[Row], log: Rows) -> Tidy:
    """The columns of one run.

    Raises:
        DataError: if nothing in it is a step, a loss or an accuracy, or a value is no number; the message names row and value.
    """
    rows = [_spread(row) for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    chosen, notes = _chosen(names, log)
    by_calls = COUNTER in names and counts_calls(rows)
    if by_calls:
        rows, placed = carried(rows, [name for name, _ in chosen.values()])
        notes += placed
    step = _step_name(names, rows, chosen)
    wholly = sum(not _is_missing(row.values.get(step)) for row in rows)
    if step != "step":
        others = [repr(name) for name in names if step_rank(name) is not None and name != step]
        notes.append(f"steps are its column {step!r}" + (f" (it also has {', '.join(others)})" if others else ""))
    if wholly < len(rows):
        notes.append(f"{len(rows) - wholly} of {len(rows)} rows have no {step!r}: left out")
    columns: dict[str, Column] = {}
    for column, (name, _) in chosen.items():
        pairs = [
            (_step(row, step, log), value)
            for row in rows
            if not _is_missing(row.values.get(step)) and (value := _number(row, name, log)) is not None
        ]
        if pairs:
            columns[column] = _in_order(pairs, name, notes)
    if not columns:
        raise DataError(f"none of its columns {', '.join(chosen)} has a value with a step")
    notes += _in_fractions(columns, {column: means for column, (_, means) in chosen.items()}, chosen)
    last = max(max(column) for column in columns.values()) if by_calls and step == COUNTER else None
    if last is not None:
        notes.append(f"its steps are its writer's count of calls, up to {last}: they are updates only if each was logged once")
    return Tidy(columns, tuple(dict.fromkeys(notes)), last)


def _spread(row: Row) -> Row:
    """A row that says in a column of which pairs it is, or what its value is of, with names that say so."""
    lower = {name.strip().lower(): name for name in row.values}
    values = dict(row.values)
    tag = next((lower[name] for name in _TAGS if name in lower), None)
    if tag is not None and "value" in lower:
        return Row(row.at, {**values, str(values[tag]): values[lower["value"]]})
    for name in _SIDES:
        side = str(values.get(lower.get(name, ""), "")).strip().lower()
        if side in TRAIN | TEST:
            return Row(row.at, {key if step_rank(key) is not None else f"{side}/{key}": value for key, value in values.items()})
    return row


def _chosen(names: Sequence[str], log: Rows) -> tuple[dict[str, tuple[str, Meaning]], list[str]]:
    """The column of the log for each column of a history, and notes on the others."""
    known = {name: found for name in names if (found := meaning(name))}
    sided = {found.column for found in known.values() if not found.bare}
    by_column: dict[str, list[str]] = {}
    for name, found in known.items():
        if not (found.bare and found.column in sided):
            by_column.setdefault(found.column, []).append(name)
    if not by_column:
        shown = ", ".join(repr(name) for name in names[:20])
        raise DataError(f"given columns {shown or 'none'}, expected some like train_loss, val/loss, test_acc; rename them")
    chosen, notes, read = {}, [], []
    for column, candidates in by_column.items():
        best, *others = sorted(candidates, key=lambda name: known[name].rank)
        chosen[column] = best, known[best]
        read.append(column if best == column else f"{column} from {best!r}" + (", taken to be of training" * known[best].bare))
        notes += [f"{column}: {', '.join(map(repr, others))} would be one too, and was left out"] if others else []
    unread = [name for name in names if name not in known and step_rank(name) is None]
    notes.insert(0, f"{log.format}: read {'; '.join(read)}")
    notes += [f"not read from the log: {', '.join(map(repr, unread[:20]))}"] if unread else []
    return chosen, notes


def _step_name(names: Sequence[str], rows: Sequence[Row], chosen: Mapping[str, tuple[str, Meaning]]) -> str:
    """The column of steps: the surest by its name that has a value wherever a loss has one, or nearly."""
    candidates = sorted((name for name in names if step_rank(name) is not None), key=lambda name: step_rank(name) or 0)
    if not candidates:
        raise DataError(f"given columns {', '.join(map(repr, names[:20]))}, expected one of steps: {', '.join(steps_known())}")
    read = [name for name, _ in chosen.values()]
    wanted = [row for row in rows if any(not _is_missing(row.values.get(name)) for name in read)]
    has = {name: sum(not _is_missing(row.values.get(name)) for row in wanted) for name in candidates}
    if COUNTER in candidates and not counts_calls(rows):
        candidates.insert(0, COUNTER)
    return max(candidates, key=lambda name: (has[name] >= 0.9 * len(wanted), -candidates.index(name)))


def _step(row: Row, name: str, log: Rows) -> int:
    value = row.values[name]
    try:
        number = float(value) if isinstance(value, str | int | float) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if not (isfinite(number) and 0 <= number < 2**53 and number == int(number)):
        raise DataError(f"{log.unit} {row.at}: {name}: given {_short(value)}, expected an integer >= 0")
    return int(number)


def _number(row: Row, name: str, log: Rows) -> float | None:
    """A value as a number, NaN and infinities as they are; None where there is none."""
    value = row.values.get(name)
    if _is_missing(value):
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise DataError(f"{log.unit} {row.at}: {name}: given {_short(value)}, expected a number")


def _in_order(pairs: Pairs, name: str, notes: list[str]) -> Column:
    """Values by ascending step: the last of a step counts, and where a training was resumed, what was logged beyond is void."""
    back = sum(after < before for (before, _), (after, _) in pairwise(pairs))
    distinct = len({step for step, _ in pairs})
    if back > max(3, _SELDOM * len(pairs)):
        notes.append(f"{name}: its rows are in no order: sorted by step" + _repeated(len(pairs) - distinct))
        return dict(sorted(dict(pairs).items()))
    kept: Pairs = []
    twice = void = 0
    for step, value in pairs:
        while kept and kept[-1][0] >= step:
            twice, void = (twice + 1, void) if kept[-1][0] == step else (twice, void + 1)
            kept.pop()
        kept.append((step, value))
    if back:
        notes.append(f"{name}: the training was resumed {back} times; {void + twice} values logged beyond and again are void")
    elif twice:
        notes.append(f"{name}{_repeated(twice)}")
    return dict(kept)


def _repeated(count: int) -> str:
    return f": {count} steps were logged again, of which the last counts" if count else ""


def _in_fractions(
    columns: dict[str, Column], means: Mapping[str, Meaning], names: Mapping[str, tuple[str, Meaning]]
) -> list[str]:
    """Turn accuracies in per cent into shares; refuse what is neither.

    A name with % says that its column is in per cent. The others are in one unit: a run that only memorizes may have less than
    1 % right on its test pairs, beside 100 % on its training pairs.
    """
    accuracies = {name: column for name, column in columns.items() if name.endswith("accuracy")}
    for name, column in accuracies.items():
        wrong = [(step, value) for step, value in column.items() if not (isnan(value) or -1e-6 <= value <= 100 * (1 + 1e-6))]
        if wrong:
            raise DataError(
                f"{names[name][0]}: given {wrong[0][1]:g} at step {wrong[0][0]}, expected a share in 0..1 or per cent"
            )
    top = {
        name: max((value for value in column.values() if not isnan(value)), default=0.0) for name, column in accuracies.items()
    }
    unmarked = [name for name in accuracies if not means[name].percent]
    exceeds = any(top[name] > 1 + 1e-6 for name in unmarked)
    divided = [name for name in accuracies if exceeds or means[name].percent]
    for name in divided:
        columns[name] = {step: value / 100 for step, value in columns[name].items()}
    if not divided:
        return []
    greatest = max(top[name] for name in divided)
    said = [f"{' and '.join(names[name][0] for name in divided)}: in per cent (up to {greatest:g}): divided by 100"]
    small = [names[name][0] for name in divided if name in unmarked and top[name] <= 1 + 1e-6]
    return said + [f"{name}: none above 1, and taken to be in per cent as the other is" for name in small]


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
