"""Where the numbers of a page come from: the command that makes the run again, and the hashes by which files are known."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from interp.errors import UsageError
from interp.figures.tabled import Table

if TYPE_CHECKING:
    from interp.config.run_config import RunConfig
    from interp.store.run import Run

_HASHED = {"split": "split.safetensors", "history": "history.jsonl", "configuration": "run.json"}


def origin(run: Run) -> Table:
    """The command, and the SHA-256 of the first and last checkpoint and of the run's other files."""
    made = command(run.config)
    rows = [("command", made)] if made else []
    rows += [(f"weights at step {step:,}", run.sha256(step)) for step in dict.fromkeys((run.steps[0], run.steps[-1]))]
    files = run.manifest.files
    rows += [(name, files[file].sha256) for name, file in _HASHED.items() if file in files]
    return Table("Where it comes from", (), tuple(rows), wide=True)


def command(config: RunConfig) -> str | None:
    """The command line that trains this configuration: its recipe and what differs from it; None for a run of no recipe."""
    from interp.config.recipes import recipe

    try:
        known = asdict(recipe(config.recipe))
    except UsageError:  # imported, or made in Python
        return None
    flags = _differences(known, asdict(config))
    return " ".join(["interp train", shlex.quote(config.recipe), *flags])


def _differences(known: Mapping[str, Any], given: Mapping[str, Any], prefix: str = "") -> list[str]:
    flags: list[str] = []
    for name, value in given.items():
        flag = f"{prefix}{name.replace('_', '-')}"
        if isinstance(value, Mapping):
            flags += _differences(known[name], value, f"{flag}.")
        elif value != known[name]:
            flags.append(_flag(flag, value))
    return flags


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        path, _, last = name.rpartition(".")
        return f"--{path}.{'' if value else 'no-'}{last}" if path else f"--{'' if value else 'no-'}{last}"
    values = value if isinstance(value, list | tuple) else [value]
    return " ".join([f"--{name}", *(shlex.quote(str(one)) for one in values)])
