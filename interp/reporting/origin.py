"""Where the numbers of a page come from: the command that repeats the run, and the hashes that identify its files."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from interp.config.differences import differences
from interp.errors import UsageError
from interp.figures.tabled import Table
from interp.observing.lineage import lineage_in_words
from interp.tasks.modular import ModularTask
from interp.tasks.named import task
from interp.tasks.task import TableTask

if TYPE_CHECKING:
    from interp.config.run_config import RunConfig
    from interp.store.run import Run

_HASHED = {"split": "split.safetensors", "history": "history.jsonl", "configuration": "run.json"}


def origin(run: Run) -> Table:
    """The command, and the SHA-256 of the first and last checkpoint and of the run's other files."""
    # A run begun from a state, or in a batch, is not what this command makes.
    is_plain = run.has_config and not {"start", "batch"} & run.record.keys()
    made = command(run.config) if is_plain else None
    rows = [("command", made)] if made else []
    begun = lineage_in_words(run.record.get("start", {}))
    rows += [("lineage", begun)] if begun else []
    at = " at step {:,}" if run.knows_step else ""
    rows += [(f"weights{at.format(step)}", run.sha256(step)) for step in dict.fromkeys((run.steps[0], run.steps[-1]))]
    files = run.manifest.files
    rows += [(name, files[file].sha256) for name, file in _HASHED.items() if file in files]
    return Table("Where it comes from", (), tuple(rows), wide=True)


def command(config: RunConfig) -> str | None:
    """The command line that trains this configuration: its recipe and what differs from it; None for a run of no recipe."""
    from interp.config.recipes import recipe

    try:
        known = recipe(config.recipe)
    except UsageError:  # imported, or made in Python
        return None
    if not isinstance(config.task, ModularTask) and not _is_named(config.task, known.task.equals_sign):
        return None
    flags = [_flag(path.replace("_", "-"), mine) for path, (mine, _) in differences(config, known).items()]
    return " ".join(["interp train", shlex.quote(config.recipe), *flags])


def _is_named(table: TableTask, equals_sign: bool) -> bool:
    """Whether `--task` with its name gives a table."""
    try:
        return task(table.name, equals_sign=equals_sign) == table
    except UsageError:
        return False


def _flag(name: str, value: Any) -> str:
    if isinstance(value, TableTask):
        return f"--{name} {shlex.quote(value.name)}"
    if isinstance(value, bool):
        path, _, last = name.rpartition(".")
        return f"--{path}.{'' if value else 'no-'}{last}" if path else f"--{'' if value else 'no-'}{last}"
    values = value if isinstance(value, list | tuple) else [value]
    return " ".join([f"--{name}", *(shlex.quote(str(one)) for one in values)])
