"""The name of a run that was given none: what it was made from, and what differs from that, short enough to be read."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from interp.config.differences import differences
from interp.config.recipes import RECIPES
from interp.config.run_config import RunConfig
from interp.tasks.table_files import SUFFIXES
from interp.tasks.task import TableTask

_LONGEST_NAME = 60
_DIGEST = 6  # letters
# As people write them.
_SHORT = {
    "seed": "s",
    "optimizer.weight_decay": "wd",
    "split.fraction": "f",
    "split.seed": "split",
    "model.attention_rate": "attention",
}
_YES_NO = {True: "", False: "no-"}


def run_name(config: RunConfig, *, base: RunConfig | None = None, stem: str | None = None) -> str:
    """The default name of a run: its recipe, or the name of its file, and what differs from it.

    Of a long one the first differences are named, and all are told apart by a hash.

    Args:
        base: what it differs from; its recipe by default.
        stem: what the name begins with; the recipe's name by default.

    >>> from dataclasses import replace
    >>> demo = RECIPES["demo"]()
    >>> run_name(replace(demo, seed=1, optimizer=replace(demo.optimizer, weight_decay=0.3)))
    'demo-wd0.3-s1'
    """
    stem = config.recipe if stem is None else stem
    if base is None:
        base = RECIPES[config.recipe]() if config.recipe in RECIPES else RunConfig(recipe=config.recipe)
    return _name(stem, config, base)


def fork_name(parent: str, step: int, *, config: RunConfig, base: RunConfig, moments: str) -> str:
    """The default name of a fork: its parent's, the step, and what differs, as `run_name`.

    >>> from dataclasses import replace
    >>> fork_name("demo", 500, config=replace(RunConfig(), steps=9), base=RunConfig(), moments="kept")
    'demo-from500-steps9'
    """
    return _name(f"{parent}-from{step}{'' if moments == 'kept' else f'-{moments}'}", config, base)


def _name(stem: str, config: RunConfig, base: RunConfig) -> str:
    parts = [_part(path, value) for path, (value, _) in differences(config, base).items()]
    name, longest = "-".join([stem, *parts]), max(_LONGEST_NAME, len(stem) + 1 + _DIGEST)
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(config.to_json().encode()).hexdigest()[:_DIGEST]
    while parts and len(name) + 1 + _DIGEST > longest:
        parts.pop()
        name = "-".join([stem, *parts])
    return f"{name}-{digest}"


def _without_path(name: str) -> str:
    """A task's name, of a file without folders and suffix; in others a slash divides.

    >>> _without_path("tables/x.csv"), _without_path("S5 (x.csv)"), _without_path("x/y mod 59")
    ('x', 'S5 (x)', 'x over y mod 59')
    """
    of_file = re.sub(f"({'|'.join(map(re.escape, SUFFIXES))})(?=\\)?$)", "", name)
    return name.replace("/", " over ") if of_file == name else Path(of_file).name


def _part(path: str, value: object) -> str:
    """One difference."""
    label = _SHORT.get(path, path.rpartition(".")[2]).replace("_", "-")
    if isinstance(value, bool):
        return f"{_YES_NO[value]}{label}"
    if isinstance(value, TableTask):
        return re.sub("[^0-9A-Za-z]+", "-", _without_path(value.name)).strip("-").lower() or label
    text = ".".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if isinstance(value, float) and float(f"{value:g}") == value:
        text = f"{value:g}"
    text = re.sub(r"[:/*?\[\]]", "", text.lower())  # what no folder's name should have
    return label + ("" if text[:1].isdigit() else "-") + text
