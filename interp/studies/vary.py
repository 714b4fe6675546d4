"""Axes of a study: which fields of the configuration vary, and over which values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache
from math import isfinite, log10
from typing import Any, get_args, get_type_hints

from interp.config.run_config import RunConfig
from interp.errors import UsageError

# More values on one axis are a slip of the pen.
MOST_VALUES = 10_000
_NONE = "none"  # as None is given, and as figures say it


@dataclass(frozen=True)
class Axis:
    """One axis: a field of `interp.RunConfig` and its values, or several fields that move together.

    Args:
        fields: dotted names, such as ``optimizer.weight_decay``.
        values: one tuple per position on the axis, with a value for each field.

    Raises:
        UsageError: for an axis without fields or values, values that do not fit the fields, or one that is there twice.

    >>> Axis(("task.p", "split.fraction"), ((59, 0.4), (97, 0.3))).name
    'task.p+split.fraction'
    """

    fields: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        name = self.name
        if not self.fields or not all(self.fields):
            raise UsageError(f"axis {name!r}: given no field, expected the dotted name of one, such as optimizer.weight_decay")
        if not self.values:
            raise UsageError(f"axis {name}: given no values, expected at least one")
        if len(self.values) > MOST_VALUES:
            raise UsageError(f"axis {name}: given {len(self.values):,} values, expected at most {MOST_VALUES:,}")
        if twice := sorted({field for field in self.fields if self.fields.count(field) > 1}):
            raise UsageError(f"axis {name}: {twice[0]} is given twice")
        for value in self.values:
            if len(value) != len(self.fields):
                raise UsageError(f"axis {name}: given {list(value)!r}, expected {len(self.fields)} values, one for each field")
        texts = [json.dumps(value, default=str) for value in self.values]
        if repeated := next((text for text in texts if texts.count(text) > 1), None):
            raise UsageError(f"axis {name}: {repeated.strip('[]')} is there twice")

    @property
    def name(self) -> str:
        """Its fields, with `+` between those that move together."""
        return "+".join(self.fields)

    def with_values(self, more: Sequence[tuple[Any, ...]]) -> Axis:
        """The same axis with further values; those that it has are not repeated."""
        known = {json.dumps(value) for value in self.values}
        return Axis(self.fields, (*self.values, *(value for value in more if json.dumps(value) not in known)))


def read_axis(text: str) -> Axis:
    """The axis that a text such as ``split.fraction=0.25:0.6:8`` stands for.

    ``field=1,2,3`` lists values, ``none`` among them where a field may have none; ``field=FIRST:LAST:COUNT`` spaces them evenly,
    ``field=FIRST:LAST:COUNT:log`` by equal factors, both ends included; ``field+field=59/0.4,97/0.3`` moves fields together.

    Raises:
        UsageError: for a text of another form.

    >>> read_axis("optimizer.lr=1e-4:1e-2:3:log").values
    ((0.0001,), (0.001,), (0.01,))
    """
    name, separator, given = text.partition("=")
    if not separator or not name.strip() or not given.strip():
        raise UsageError(
            f"--vary: given {text!r}, expected FIELD=VALUES, such as optimizer.weight-decay=0.3,1,2 or split.fraction=0.25:0.6:8"
        )
    return make_axis(name, given)


def read_place(text: str) -> tuple[str, Any]:
    """The name of an axis and the one value on it that a text such as ``split.fraction=0.4`` stands for.

    Of several fields that move together it has a value for each, with ``/`` between them.

    Raises:
        UsageError: for a text of another form.

    >>> read_place("weight-decay=0.3"), read_place("task.p+split.fraction=59/0.4"), read_place("changes=memorized:norm=0.6")
    (('weight_decay', 0.3), ('task.p+split.fraction', (59, 0.4)), ('changes', 'memorized:norm=0.6'))
    """
    name, _, given = text.partition("=")
    if not name.strip() or not given.strip():
        raise UsageError(f"--at: given {text!r}, expected FIELD=VALUE, such as split.fraction=0.4")
    fields = [field.strip().replace("-", "_") for field in name.split("+")]
    return "+".join(fields), tuple(map(_value, given.split("/"))) if len(fields) > 1 else _value(given)


def make_axis(name: str, given: object) -> Axis:
    """An axis from its fields' names with `+` between them, and a text of values or a sequence of them.

    The text none is None where a field takes that.

    >>> make_axis("optimizer.batch-size", "none,8").values
    ((None,), (8,))
    """
    fields = tuple(field.strip().replace("-", "_") for field in name.split("+"))
    made = _axis(name, fields, given)
    if not any(map(_may_be_none, fields)):
        return made
    none = tuple(
        tuple(None if value == _NONE and _may_be_none(field) else value for field, value in zip(fields, place, strict=True))
        for place in made.values
    )
    return Axis(fields, none)


def _axis(name: str, fields: tuple[str, ...], given: object) -> Axis:
    if isinstance(given, str):
        return Axis(fields, tuple(_texts(name, given, len(fields))))
    if not isinstance(given, Sequence) and not hasattr(given, "__iter__"):
        raise UsageError(f"axis {name}: given {given!r}, expected a list of values, or a text such as '0.25:0.6:8'")
    values = [_plain(value) for value in given]
    return Axis(fields, tuple(tuple(v) if isinstance(v, list) and len(fields) > 1 else (_frozen(v),) for v in values))


@cache
def _may_be_none(field: str) -> bool:
    """Whether a field of a configuration has no value by default, such as the batch size: no text has to be told from that."""
    kind: Any = RunConfig
    for part in field.split("."):
        hint = get_type_hints(kind).get(part) if is_dataclass(kind) else None
        kind = hint
    return type(None) in get_args(kind) and str not in get_args(kind)


def read_seeds(text: str) -> tuple[int, ...]:
    """The seeds that a text such as ``0-9`` or ``0-4,17`` stands for.

    >>> read_seeds("0-2,7")
    (0, 1, 2, 7)

    Raises:
        UsageError: for a text of another form.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UsageError(f"--seeds: given {text!r}, expected numbers such as 0,1,2 or ranges such as 0-9")
        end = int(last or first)
        if end - int(first) >= MOST_VALUES:
            raise UsageError(f"--seeds: given {part!r}, which is more than {MOST_VALUES:,} seeds")
        seeds += range(int(first), end + 1)
    return tuple(dict.fromkeys(seeds))


def seeds_of(given: object) -> tuple[int, ...]:
    """Seeds as Python has them: a range, a list, an array of numpy or pandas, or a text as `read_seeds` takes it.

    Raises:
        UsageError: for one number, which may mean that seed or so many.
    """
    if isinstance(given, str):
        return read_seeds(given)
    if not hasattr(given, "__iter__"):
        raise UsageError(f"seeds: given {given!r:.200}, expected several, such as range(10)")
    return tuple(_plain(seed) for seed in given)


def _texts(name: str, given: str, fields: int) -> list[tuple[Any, ...]]:
    if ":" in given:
        if fields > 1:
            raise UsageError(f"axis {name}: given the range {given!r}, expected a list: several fields move together")
        return [(value,) for value in _range(name, given)]
    return [tuple(_value(part) for part in value.split("/")) if fields > 1 else (_value(value),) for value in given.split(",")]


def _range(name: str, given: str) -> list[int | float]:
    parts = given.split(":")
    expected = (
        f"axis {name}: given {given!r}, expected FIRST:LAST:COUNT or FIRST:LAST:COUNT:log with COUNT from 2 to {MOST_VALUES:,}"
    )
    try:
        first, last, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise UsageError(expected) from None
    is_log = parts[3:] == ["log"]
    if (parts[3:] and not is_log) or not 2 <= count <= MOST_VALUES or not (isfinite(first) and isfinite(last)):
        raise UsageError(expected)
    if is_log and not (first > 0 and last > 0):
        raise UsageError(f"{expected}, and ends > 0 for equal factors")
    shares = [i / (count - 1) for i in range(count)]
    if is_log:
        values = [10 ** (log10(first) * (1 - share) + log10(last) * share) for share in shares]
    else:
        values = [first * (1 - share) + last * share for share in shares]
    short = [float(f"{value:.10g}") for value in values]  # 0.3 and not 0.30000000000000004
    whole = "." not in parts[0] + parts[1] and "e" not in (parts[0] + parts[1]).lower()
    if whole and all(value == int(value) for value in short):
        return [int(value) for value in short]
    return short


def _value(text: str) -> Any:
    """A number, truth value or null as JSON has them; any other text is itself."""
    try:
        found = json.loads(text.strip())
    except ValueError:
        return text.strip()
    return text.strip() if isinstance(found, dict | list) else found


def _plain(value: Any) -> Any:
    """A value without numpy's types, which no file can hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
