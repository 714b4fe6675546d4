"""Every run of a directory in a line, without reading what was read before: lines are kept for as long as files are as they were.

A line of a finished run is kept with what the system says of its manifest.json and run.json: size, inode, and the times of the
last changes of content and of anything. A file that changed at about the time when the lines were kept, by the clock of their own
disk, is read again, since a second change within the clock's step would not show. Unfinished runs are always read.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.config.run_config import RunConfig
from interp.errors import DataError, UsageError, as_list
from interp.reading import JSON_BYTES, opened, parsed_json
from interp.store.choosing_rows import chosen_rows, in_order, with_differences
from interp.store.durable import sha256, write_atomically
from interp.store.history_phases import ended
from interp.store.manifest import MANIFEST, RECORD, TASK
from interp.store.noted import kept_if_possible
from interp.store.recorded_sizes import check_pairs
from interp.store.run_facts import bytes_in, elements, last_known_step
from interp.store.run_paths import ROOT

if TYPE_CHECKING:
    import pandas as pd

    from interp.store.run import Run
    from interp.tasks.modular import ModularTask
    from interp.tasks.task import TableTask

LISTING = ".runs.json"
FIELDS = ("name", "recipe", "p", "operation", "seed", "status", "reason", "last_step", "checkpoints", "total_bytes")
ANSWERS = ("outcome", "grokked", "test_accuracy")
Row = dict[str, Any]

log = logging.getLogger("interp")

_VERSION = 4  # of what a line says
_CLOCK_STEP = 2_000_000_000  # nanoseconds; the coarsest clock of a file system
_KEPT = (*FIELDS[1:-1], *ANSWERS, "settings")
_LONGEST = 200  # letters of a setting in a line
_SEEDS = 2**32  # below it a seed is one by any rule of splits


def runs(
    root: str | Path = ROOT, *, where: str | Iterable[str] = (), sort: str = "name", descending: bool = False
) -> pd.DataFrame:
    """The runs in a directory as a table: status, outcome, when each grokked, and the settings in which they differ.

    Args:
        root: the directory.
        where: conditions such as ``outcome=grokking`` or ``optimizer.weight_decay>0.5``, all of which must hold.
        sort: by which field.
        descending: the greatest first.

    Raises:
        UsageError: if there is no such directory or field, or a condition is none.
        DataError: if no run in it can be read. Some that cannot be are left out, with a warning.
    """
    import pandas as pd

    found, unread = list_rows(root)
    for name, why in unread.items():
        log.warning("%s is left out: %s", name, why)
    if unread and not found:
        raise DataError(f"{root}: none of its runs can be read")
    asked = as_list(where, "where", of=str)
    rows = with_differences(in_order(chosen_rows(found, asked), sort, descending=descending))
    return pd.DataFrame(rows, columns=None if rows else [*FIELDS, *ANSWERS]).set_index("name")


def list_rows(root: str | Path = "checkpoints") -> tuple[list[Row], dict[str, str]]:
    """A line for each run in a directory, by name: `FIELDS`, `ANSWERS` and settings; and of those that cannot be told, name and
    reason.

    Settings are by their dotted paths.

    Raises:
        UsageError: if the directory does not exist.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError(
            f"directory {root} does not exist; `interp demo` and `interp train` make it, or name another with --root"
        )
    kept, until = _recall(root)
    found, unread, rows, is_new = [], {}, {}, False
    for name, state in _runs(root):
        known = kept.get(name)
        if known is None or not state or known[0] != state or max(state[2:4] + state[6:8]) > until:
            try:
                known, is_new = [state, *_read(root / name)], True
            except (DataError, UsageError, OSError) as error:
                unread[name] = str(error)
                continue
        if known[1] is not None:
            rows[name] = known[:2]
        values = known[1] if known[1] is not None else known[2]
        found.append({"name": name, **dict(zip(_KEPT, values, strict=True)), "total_bytes": bytes_in(f"{root}/{name}")})
    if is_new or rows.keys() != kept.keys():
        _keep(root, rows)
    return found, unread


def _runs(root: Path) -> Iterator[tuple[str, list[int]]]:
    """Name of each run, and how its two files are; nothing if that cannot be told."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        try:
            yield name, [*_state(f"{root}/{name}/{MANIFEST}"), *_state(f"{root}/{name}/{RECORD}", may_lack=True)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # a link to itself, a folder that is forbidden: reading says it
            yield name, []


def _state(path: str, *, may_lack: bool = False) -> tuple[int, int, int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if not may_lack:
            raise
        return 0, 0, 0, 0
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> tuple[list[Any] | None, list[Any]]:
    """A run's line as it is kept, None if it may change by itself; and as it is now."""
    from interp.store.run import open_run

    run = open_run(path)
    recipe, seed, task = _made_from(run)
    row = [
        recipe, elements(task), task.operation, seed,
        run.status, run.reason, last_known_step(run), len(run.steps), *ended(run), _settings(_known(run), "", {}),
    ]  # fmt: skip
    return (row if run.manifest.final else None), row


def _made_from(run: Run) -> tuple[str | None, int | None, ModularTask | TableTask]:
    """Recipe, seed and task of a run. Of configurations that differ in their seeds alone, as in a study, one is checked.

    Raises:
        DataError: as `Run.config` and `Run.task`.
    """
    if not run.has_config:
        return None, None, run.task
    values = run.record["config"]
    split = values.get("split")
    if isinstance(split, dict) and TASK not in run.manifest.files:
        seeds = values.get("seed"), split.get("seed")
        if all(type(seed) is int and 0 <= seed < _SEEDS for seed in seeds):
            with suppress(UsageError, ValueError):  # which `run.config` tells, of this run
                config = _checked(json.dumps({**values, "seed": 0, "split": {**split, "seed": 0}}))
                check_pairs(config.task.p, where=f"{run.path}/{RECORD}")
                return config.recipe, values["seed"], config.task
    return run.config.recipe, run.config.seed, run.task


@lru_cache(maxsize=4096)
def _checked(text: str) -> RunConfig:
    """The configuration in a text; one that is refused is not kept."""
    return RunConfig.from_dict(json.loads(text))


def _known(run: Run) -> Mapping[str, Any]:
    """A run's settings. After how many steps a model was saved that somebody else trained may not be known."""
    return run.settings if run.knows_step else {**run.settings, "steps": None}


def _settings(values: Mapping[str, Any], above: str, found: Row) -> Row:
    """Every setting that is one value, by its path."""
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            found[above + name] = value[:_LONGEST]
        elif kind is dict:
            _settings(value, f"{above}{name}.", found)
        elif kind is not list:
            found[above + name] = value
    return found


def _recall(root: Path) -> tuple[dict[str, list[Any]], int]:
    """The lines that were kept, and up to when a file must have been left alone for them to count."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        with opened(root / LISTING, inside=root) as file:
            written, data = os.fstat(file.fileno()).st_mtime_ns, file.read(JSON_BYTES)
        found = parsed_json(data)
        if found["version"] == _VERSION and found["sha256"] == _hash(found["rows"]):
            rows = {name: [state, row] for name, (state, row) in found["rows"].items() if len(row) == len(_KEPT)}
            return rows, written - _CLOCK_STEP
    return {}, 0


def _keep(root: Path, rows: dict[str, list[Any]]) -> None:
    with kept_if_possible(root):
        told = json.dumps(rows)  # once: it is long
        data = f'{{"version": {_VERSION}, "sha256": "{sha256(told.encode())}", "rows": {told}}}'
        write_atomically(root / LISTING, data.encode())


def _hash(rows: Any) -> str:
    return sha256(json.dumps(rows).encode())
