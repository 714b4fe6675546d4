"""How two configurations differ, field by field."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from interp.tasks.task import TableTask


def differences(one: Any, other: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs differ, by their dotted path, with both values."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in fields(one):
        mine, theirs, path = getattr(one, field.name), getattr(other, field.name), prefix + field.name
        if is_dataclass(mine) and type(mine) is type(theirs) and not isinstance(mine, TableTask):
            found |= differences(mine, theirs, f"{path}.")
        elif mine != theirs:
            found[path] = (mine, theirs)
    return found
