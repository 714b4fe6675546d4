"""Curves as files store them: lists, columns of a table, pairs (step, value), tables by step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

from torch import Tensor

from interp.interop.containers import limits

_STEP = re.compile(r"(?:(?:global_)?step|epoch|iter|iteration)?[_\-= ]?(\d{1,20})", re.IGNORECASE)


@dataclass(frozen=True)
class Curve:
    """Values in order, with their own steps where these stand beside them.

    Attributes:
        values: at least one.
        steps: ascending, one for each value; empty if there are none.
    """

    values: tuple[float, ...]
    steps: tuple[int, ...] = ()


def curve_in(value: object) -> Curve | None:
    """The curve that a stored value is; None if it is none.

    It may be a list or an array of numbers, a column of them (n, 1), rows (step, number), or a table of numbers by step.

    >>> curve_in([[0, 3.5], [100, 2.5]])
    Curve(values=(3.5, 2.5), steps=(0, 100))
    >>> curve_in({"step_100": 2.5, "step_0": 3.5}), curve_in([[3.5], [2.5]]), curve_in([[3.5, 1.0], [2.5, 1.0]])
    (Curve(values=(3.5, 2.5), steps=(0, 100)), Curve(values=(3.5, 2.5), steps=()), None)
    """
    if isinstance(value, Curve):
        return value
    if isinstance(value, Mapping):
        return _dated([(_step(key), number) for key, number in value.items()], sort=True)
    if isinstance(value, Tensor):
        entries: object = value.reshape(-1).tolist() if value.ndim == 2 and 1 in value.shape else value.tolist()
    else:
        entries = value
    if not isinstance(entries, list | tuple) or not entries:
        return None
    rows = [row.tolist() if isinstance(row, Tensor) and row.ndim == 1 else row for row in entries]
    widths = {len(row) if isinstance(row, list | tuple) else 0 for row in rows}
    if widths == {2}:
        return _dated([(_step(row[0]), row[1]) for row in rows if isinstance(row, list | tuple)])
    flat = [row[0] for row in rows if isinstance(row, list | tuple)] if widths == {1} else rows
    numbers = [number for one in flat if (number := _number(one)) is not None]
    return Curve(tuple(numbers)) if len(numbers) == len(rows) else None


def _dated(pairs: Sequence[tuple[int | None, object]], *, sort: bool = False) -> Curve | None:
    """A curve with steps, if all of them are steps and ascend, and all values are numbers."""
    whole = [(step, number) for step, one in pairs if step is not None and (number := _number(one)) is not None]
    whole = sorted(whole, key=lambda pair: pair[0]) if sort else whole
    steps, values = tuple(step for step, _ in whole), tuple(value for _, value in whole)
    if not whole or len(whole) < len(pairs) or any(after <= before for before, after in pairwise(steps)):
        return None
    return Curve(values, steps)


def _step(value: object) -> int | None:
    if isinstance(value, str):
        match = _STEP.fullmatch(value.strip()[: limits.TEXT])
        found = None if match is None else float(match[1])
    else:
        found = _number(value)
    return int(found) if found is not None and 0 <= found <= limits.STEP and found % 1 == 0 else None


def _number(value: object) -> float | None:
    if isinstance(value, Tensor):
        return float(value.detach()) if value.numel() == 1 else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
