"""How two configurations differ, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from interp.tasks.task import TableTask


def differences(one: Any, other: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs (dataclasses or nested mappings) differ, by their dotted path, with both values.

    A field that one of two mappings lacks is None there.

    >>> differences({"lr": 0.1, "net": {"width": 8}}, {"lr": 0.1, "net": {"width": 9}})
    {'net.width': (8, 9)}
    """
    mine, theirs = _entries(one), _entries(other)
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*mine, *theirs]):
        a, b, path = mine.get(name), theirs.get(name), f"{prefix}{name}"
        if type(a) is type(b) and _has_entries(a):
            found |= differences(a, b, f"{path}.")
        elif a != b:
            found[path] = (a, b)
    return found


def _has_entries(value: Any) -> bool:
    return isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, TableTask))


def _entries(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {field.name: getattr(value, field.name) for field in fields(value)}
