"""A run's facts in plain values, for people and tables."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.store.manifest import checkpoint_name
from interp.store.run_log import created
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask

if TYPE_CHECKING:
    from interp.store.run import Run


def facts(run: Run) -> dict[str, Any]:
    """What a run is: status, task, split, steps, sizes in bytes, engine, when and with what it was begun."""
    files, config = run.manifest.files, run.config if run.has_config else None
    task = run.task if config is None else config.task  # of which nothing is made: it may be one for a larger machine
    return {
        "name": run.name,
        "path": str(run.path),
        "status": run.status,
        "reason": run.reason,
        "kind": run.kind,
        "recipe": config.recipe if config else None,
        **({"start": run.record["start"]} if "start" in run.record else {}),
        "seed": config.seed if config else None,
        "p": elements(task),
        "operation": task.operation,
        "train_pairs": len(run.split.train),
        "test_pairs": len(run.split.test),
        **({"train_pairs_from": sizes} if (sizes := run.train_pairs_from) else {}),
        "n_parameters": run.n_parameters,
        "last_step": last_known_step(run),
        "checkpoints": len(run.steps),
        "checkpoint_bytes": sum(files[checkpoint_name(step)].size for step in run.steps),
        "total_bytes": bytes_in(run.path),
        "engine": run.engine,
        "threads": run.threads,
        "created": created(run.path),
        **({"stored_precision": stored} if (stored := run.provenance.get("stored_precision")) else {}),
        "provenance": dict(run.provenance),
    }


def last_known_step(run: Run) -> int | None:
    """The last step that is committed; None where there is none, or it is the number of a model whose step nothing tells."""
    return run.manifest.step if run.knows_step else run.manifest.step or None


def bytes_in(folder: str | Path) -> int:
    """Bytes of all files in a folder and the folders inside it."""
    found, folders = 0, [os.fspath(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:  # what goes meanwhile is not counted
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    found += entry.stat(follow_symlinks=False).st_size
    return found


def elements(task: ModularTask | TableTask) -> int | None:
    """Number of elements of a binary operation; None for other tables."""
    return task.p if isinstance(task, ModularTask) or task.is_binary_operation else None
