"""Beginning a run: what never changes is written once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from interp.config.run_config import RunConfig
from interp.errors import UsageError
from interp.networks.shapes import KIND as ONE_LAYER
from interp.reading import parsed_json
from interp.store.durable import explained, make_directory, write_atomically
from interp.store.manifest import CHECKPOINTS, FORMAT, MANIFEST, MOMENTS, RECORD, SPLIT, TASK, Entry, Manifest
from interp.store.run_log import write_log
from interp.store.task_file import pack_split, pack_task
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask
from interp.training.stream import Plan


def begin(path: Path, plan: Plan, *, provenance: Mapping[str, object]) -> None:
    """Write what never changes in a run: run.json, the split, a task that is a table. The manifest comes last: now it is a run.

    Args:
        path: its directory, held by `writing`.
        plan: what it is made from.
        provenance: what it is begun with, or comes from.

    Raises:
        UsageError: if the settings are not JSON, or the task cannot be stored.
    """
    files = {
        SPLIT: pack_split(plan.split),
        RECORD: _record(path, plan, provenance),
    }
    if not isinstance(plan.task, ModularTask):
        files[TASK] = pack_task(TableTask.of(plan.task))
    with explained(path):
        make_directory(path / CHECKPOINTS)
        if plan.moments:
            make_directory(path / MOMENTS)
        for name, data in files.items():
            write_atomically(path / name, data)
        write_log(path, "begun")
        manifest = Manifest(files={name: Entry.of(data) for name, data in files.items()})
        write_atomically(path / MANIFEST, manifest.to_json(growing=True))


def plan_values(plan: Plan) -> dict[str, object]:
    """What run.json says of a plan whose settings are not this toolkit's, as JSON values; a table is known by its hash."""
    task = (
        asdict(plan.task)
        if isinstance(plan.task, ModularTask)
        else {"table": plan.task.name, "sha256": TableTask.of(plan.task).digest}
    )
    values = {
        "settings": plan.settings, "task": task, "steps": plan.steps, "saved": [*plan.saved], "moments": plan.moments,
        "may_end_early": plan.may_end_early,
    }  # fmt: skip
    return dict(parsed_json(json.dumps(values)))


def _record(path: Path, plan: Plan, provenance: Mapping[str, object]) -> bytes:
    """The bytes of run.json. What is usual is left out, as before anything else existed."""
    try:
        made = {"config": plan.settings.to_dict()} if isinstance(plan.settings, RunConfig) else plan_values(plan)
        unusual = {
            **({} if plan.kind == ONE_LAYER else {"kind": plan.kind}),
            **({} if plan.batch == 1 else {"batch": plan.batch}),
            **({"start": dict(plan.start)} if plan.start else {}),
        }
        facts = {
            "engine": plan.engine,
            "threads": plan.threads,
            "n_parameters": plan.n_parameters,
            "provenance": dict(provenance),
        }
        return (json.dumps({"format": FORMAT, **made, **facts, **unusual}, indent=1) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: the settings of this training cannot be stored as JSON ({error})") from error
