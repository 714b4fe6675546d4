"""How a run is called that was given no name, and how two configurations differ."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

from interp.config import RECIPES, RunConfig

_LONGEST_NAME = 60


def run_name(config: RunConfig) -> str:
    """The default name of a run: its recipe and what differs from it, or the recipe and a hash where that would be long.

    >>> from dataclasses import replace
    >>> run_name(replace(RECIPES["nanda"](), seed=1))
    'nanda-seed1'
    """
    base = RECIPES[config.recipe]() if config.recipe in RECIPES else RunConfig(recipe=config.recipe)
    parts = []
    for path, (value, _) in differences(config, base).items():
        label = path if path == "split.seed" else path.rpartition(".")[2]
        text = str(value).lower()
        parts.append(label.replace("_", "-") + ("" if text[0].isdigit() else "-") + text.replace(":", ""))
    name = "-".join([config.recipe, *parts])
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{config.recipe}-{hashlib.sha256(config.to_json().encode()).hexdigest()[:8]}"


def differences(one: Any, other: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs differ, by their dotted path, with both values."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in fields(one):
        mine, theirs, path = getattr(one, field.name), getattr(other, field.name), prefix + field.name
        if is_dataclass(mine):
            found |= differences(mine, theirs, f"{path}.")
        elif mine != theirs:
            found[path] = (mine, theirs)
    return found
