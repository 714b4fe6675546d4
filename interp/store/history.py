"""The history of a run: one JSON line per step, exact, and read back as columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np
from jaxtyping import Shaped

from interp.errors import DataError

COLUMNS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "sum_squared_weights")
# In the line of a step at which more than the train loss was measured.
_EVALUATED = b'"test_accuracy"'
# In the line of a step at which an accuracy was measured.
_ANSWERED = b'_accuracy"'
# What reading a line that is none raises.
_ODD = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_MOST = 10**12  # steps; above it float64 does not tell neighbours apart for long


def encode(step: int, values: Mapping[str, float | None]) -> bytes:
    """One line: the step and whichever columns were measured; every float is read back exactly.

    Infinities and NaN, which JSON does not have, are written as the strings that Python's and JavaScript's number parsers take.

    >>> encode(3, {"train_loss": 0.1, "test_loss": None})
    b'{"step": 3, "train_loss": 0.1}\\n'
    """
    row: dict[str, int | float | str] = {"step": step}
    for name in COLUMNS:
        value = values.get(name)
        if value is not None:
            row[name] = (
                float(value) if isfinite(value) else {"inf": "Infinity", "-inf": "-Infinity"}.get(str(float(value)), "NaN")
            )
    return (json.dumps(row) + "\n").encode()


def decode(data: bytes, *, where: str) -> dict[str, Shaped[np.ndarray, " step"]]:
    """Columns from lines: ``step`` as int64, the others as float64 with NaN where they were not measured.

    Raises:
        DataError: if a line is malformed, or steps do not ascend; the message names file and line.
    """
    lines = data.splitlines()
    rows = _all_at_once(lines) or [_line(line, where=f"{where}: line {number}") for number, line in enumerate(lines, start=1)]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 1 + len(COLUMNS)).T
    steps = columns[0].astype(np.int64)
    if (back := steps[1:] <= steps[:-1]).any():
        at = int(back.argmax())
        raise DataError(f"{where}: line {at + 2} has step {steps[at + 1]} after step {steps[at]}; steps must ascend")
    return {"step": steps, **dict(zip(COLUMNS, columns[1:], strict=True))}


def decode_evaluated(data: bytes, *, where: str) -> dict[str, Shaped[np.ndarray, " step"]]:
    """The columns at the steps that were evaluated, and at the last step whether or not it was: of most histories a few percent.

    Their lines are picked out before any is parsed, so the others are not looked at: only for data whose hash was checked.

    Raises:
        DataError: as `decode`.
    """
    lines = data.splitlines()
    kept = [line for line in lines[:-1] if _EVALUATED in line]
    return decode(b"\n".join([*kept, *lines[-1:]]), where=where)


def decode_answered(data: bytes, *, where: str) -> dict[str, Shaped[np.ndarray, " step"]]:
    """The columns at the steps at which an accuracy was measured: all that says what became of a run. As `decode_evaluated`.

    Raises:
        DataError: as `decode`.
    """
    return decode(b"\n".join(line for line in data.splitlines() if _ANSWERED in line), where=where)


def _all_at_once(lines: Sequence[bytes]) -> list[tuple[float, ...]] | None:
    """The rows of sound lines, read as one array, which is several times faster than line by line; None if any is damaged."""
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")
        return [_row(row) for row in rows] if len(rows) == len(lines) else None
    except _ODD:
        return None


def _line(line: bytes, *, where: str) -> tuple[float, ...]:
    try:
        return _row(json.loads(line))
    except _ODD as error:
        raise DataError(f"{where} is damaged ({type(error).__name__}: {error!s:.200})") from error


def _row(row: dict[str, Any]) -> tuple[float, ...]:
    if type(row["step"]) is not int or not 0 <= row["step"] <= _MOST:
        raise ValueError(f"given step {row['step']!r:.40}, expected a number of updates")
    return row["step"], *[float(row.get(name, nan)) for name in COLUMNS]
