"""Lines about runs: those that are wanted, in the order that is wanted, with the settings in which they differ."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from interp.errors import UsageError, unknown

_CONDITION = re.compile(r"([\w.-]+?)\s*(!=|<=|>=|=|<|>)\s*(.*)")
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip


# What says no more than the operation does: a table's name and hash; and what a network of an MLP alone does not have.
_TOLD_BY_OPERATION = ("task.table", "task.sha256")
_NOT_OF_AN_MLP = ("model.n_heads", "model.d_model")
# What the settings of a run that has a configuration have.
_OF_EVERY_CONFIG = "optimizer.lr"


def with_differences(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows without their settings, but with the settings in which they differ.

    Of a task that is a table its operation is told, not its hash; of an architecture without heads, no heads. A recorded loop has
    few settings: that it lacks those of a run that was trained here is no difference. A run that has a configuration and lacks a
    field has its default.

    >>> with_differences([{"name": "a", "settings": {"seed": 0, "lr": 1}}, {"name": "b", "settings": {"seed": 1, "lr": 1}}])
    [{'name': 'a', 'seed': 0}, {'name': 'b', 'seed': 1}]
    """
    paths = list(dict.fromkeys(path for row in rows for path in row["settings"]))
    paths = [path for path in paths if path not in _TOLD_BY_OPERATION]
    differing = [path for path in paths if len({repr(row["settings"].get(path)) for row in rows if _has(row, path)}) > 1]
    return [
        {name: value for name, value in row.items() if name != "settings"}
        | {path: row["settings"].get(path) if _has(row, path) else None for path in differing}
        for row in rows
    ]


def _has(row: Mapping[str, Any], path: str) -> bool:
    is_known = path in row["settings"] or _OF_EVERY_CONFIG in row["settings"]
    return is_known and (path not in _NOT_OF_AN_MLP or row["settings"].get("model.architecture") != "mlp")


def chosen_rows(rows: Sequence[Mapping[str, Any]], where: Iterable[str]) -> list[Mapping[str, Any]]:
    """Rows of which all conditions hold: a field, =, !=, <, >, <= or >=, and a value. The field ``task`` is the operation.

    Raises:
        UsageError: for a condition that is none, an unknown field, or a value that cannot be compared.

    >>> rows = [{"name": "a", "settings": {"optimizer.lr": 0.1}}, {"name": "b", "settings": {"optimizer.lr": 0.2}}]
    >>> [row["name"] for row in chosen_rows(rows, ["lr>0.15"])]
    ['b']
    """
    kept = list(rows)
    for text in where:
        found = _CONDITION.fullmatch(text.strip())
        if found is None:
            raise UsageError(f"--where: given {text!r}, expected a condition such as outcome=grokking or weight-decay>0.5")
        name, sign, value = found[1], found[2], found[3].strip()
        kept = [row for row in kept if _holds(_value(row, name, rows), sign, value, text)]
    return kept


def in_order(rows: Sequence[Mapping[str, Any]], field: str, *, descending: bool = False) -> list[Mapping[str, Any]]:
    """Rows by the value of a field; those that have none come last.

    Raises:
        UsageError: for an unknown field.
    """
    values = [(_value(row, field, rows), row) for row in rows]
    known = [(value, row) for value, row in values if value is not None]
    is_text = any(isinstance(value, str) for value, _ in known)
    ordered = sorted(known, key=lambda pair: str(pair[0]) if is_text else pair[0], reverse=descending)
    return [row for _, row in ordered] + [row for value, row in values if value is None]


def _value(row: Mapping[str, Any], field: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """A field's value; of a setting the last part of its path is enough where no other has it."""
    asked = field.replace("-", "_")
    if asked == "task" and "operation" in row:
        return row["operation"]
    if asked in row and asked != "settings":
        return row[asked]
    if asked in row["settings"]:
        return row["settings"][asked]
    plain = [name for name in rows[0] if name != "settings"]
    paths = list(dict.fromkeys(path for one in rows for path in one["settings"]))
    meant = [path for path in paths if path == asked or path.rpartition(".")[2] == asked]
    if len(meant) != 1:
        raise (
            UsageError(f"field {field!r}: it may be {' or '.join(meant)}") if meant else unknown("field", asked, [*plain, *paths])
        )
    return row["settings"].get(meant[0])


def _holds(value: Any, sign: str, wanted: str, text: str) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return _TESTS[sign](value, float(wanted.replace(",", "")))
        except ValueError:
            raise UsageError(f"--where: given {text!r}, expected a number, as the field has numbers") from None
    if sign not in ("=", "!="):
        if value is None:
            return False
        raise UsageError(f"--where: given {text!r}, expected = or !=, as the field has texts")
    said = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return _TESTS[sign](said.lower(), wanted.lower())
