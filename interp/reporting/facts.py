"""Tables of facts: what exactly was run, by the names of the configuration's fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Facts that say something about the machine's user and nothing about the run.
_PRIVATE = ("path",)


@dataclass(frozen=True)
class Table:
    """A table at the end of the page: a header (may be empty) and rows, their first column being names.

    A `wide` one has a line of its own.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: bool = False


def facts_of(attributes: Mapping[str, Any]) -> list[Table]:
    """Tables of the configuration and of the facts."""
    titles = {"config": "Configuration", "facts": "Facts"}
    found = []
    for name, title in titles.items():
        value = attributes.get(name) or {}
        value = json.loads(value) if isinstance(value, str) else value
        value = {key: item for key, item in value.items() if key not in _PRIVATE}
        if rows := flat(value):
            found.append(Table(title, (), tuple(rows)))
    return found


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of a nested mapping as text, nested names joined by dots."""
    rows: list[tuple[str, str]] = []
    for name, item in value.items():
        if isinstance(item, Mapping):
            rows += flat(item, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, item)) if isinstance(item, list) else "none" if item is None else str(item)
            rows.append((f"{prefix}{name}".replace("_", " "), text))
    return rows
