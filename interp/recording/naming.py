"""The name of a run that was given none."""

from __future__ import annotations

import hashlib

from interp.config.differences import differences
from interp.config.recipes import RECIPES
from interp.config.run_config import RunConfig

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
        text = ".".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
        parts.append(label.replace("_", "-") + ("" if text[:1].isdigit() else "-") + text.replace(":", ""))
    name = "-".join([config.recipe, *parts])
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{config.recipe}-{hashlib.sha256(config.to_json().encode()).hexdigest()[:8]}"
