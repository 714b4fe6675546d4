"""Fork: a run that goes on from a step of another, with something changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from interp.config.changed_fields import with_fields
from interp.config.differences import differences
from interp.config.run_config import EngineName, RunConfig
from interp.errors import UsageError, unknown
from interp.keeping.naming import fork_name
from interp.keeping.recorder import record_source
from interp.keeping.sources import Configured
from interp.store.locking import LockKind
from interp.store.manifest import RECORD
from interp.store.missing import nearest_step
from interp.store.run import Run, RunLike, as_run
from interp.store.run_paths import run_path
from interp.training.choice import cannot
from interp.training.loop import CHANGES, MASK
from interp.training.start import FromState, FromWeights, begun_at_phases, moments_in

log = logging.getLogger("interp")

# What becomes of the optimizer's moments: kept, fresh, or those of another run at a step.
Moments = Literal["kept", "fresh"] | tuple[RunLike, int]
# What makes the initial weights, which a fork does not have.
_OF_THE_BEGINNING = ("seed", "model.init", "model.init_scale")


def fork(
    run: RunLike,
    step: int,
    *,
    moments: Moments = "kept",
    root: str | Path | None = None,
    name: str | None = None,
    progress: bool = True,
    force: bool = False,
    lock: LockKind | None = None,
    **changes: Any,
) -> Run:
    """Train on from a step of a run with something changed, as a run of its own; returns it when it is finished.

    The fork begins with the checkpoint of that step and has no steps before it. With the moments kept and nothing changed it
    equals its parent from there on, byte for byte. Its lineage (parent, step, hashes, what was changed) is in its run.json under
    ``start``. The parent is only read. Called again, it resumes.

    Args:
        run: the parent, or where it lies.
        step: the step to begin at, one that was saved.
        moments: of the optimizer: ``kept`` (of a step of which the whole state was kept: the last one, and those of
            ``checkpoints.moments``), ``fresh``, as before a first update, or (run, step): those that another run, or the parent
            itself, has at a step of which it kept the whole state.
        root: directory of runs; by default the parent's.
        name: of the fork; by default the parent's with the step and what is changed, such as ``demo-from500-wd0``.
        progress: show a progress bar, if stderr is a terminal or this is a notebook.
        force: as for `record`.
        lock: as for `record`.
        changes: fields of the parent's configuration, by dotted name, with other values.

    Raises:
        UsageError: for a step that was not saved (with the nearest one that was) or whose moments were not kept; for a field that
            is not there, that has no effect on a fork, or does not fit the weights.
        DataError, TrainingError: as `record`.

    >>> from dataclasses import replace
    >>> import tempfile, interp
    >>> config = replace(interp.recipe("demo"), steps=30, checkpoints=interp.CheckpointConfig(moments=(10,)), engine="reference")
    >>> root = tempfile.mkdtemp()
    >>> parent = interp.record(config, root, "parent", progress=False)
    >>> child = interp.fork(parent, 10, progress=False, **{"optimizer.weight_decay": 0.0})
    >>> child.name, child.steps[0], child.sha256(10) == parent.sha256(10)
    ('parent-from10-wd0', 10, True)
    """
    parent = as_run(run)
    if not parent.has_config:
        raise UsageError(
            f"run {parent.path} was recorded from a training of kind {parent.kind!r}, which this toolkit cannot make"
        )
    source = fork_source(parent, step, config=with_fields(parent.config, changes), moments=moments)
    where = fork_path(parent, source, root=root, name=name)
    return record_source(source, where, progress=progress, force=force, lock=lock)


def fork_source(parent: Run, step: int, *, config: RunConfig, moments: Moments = "kept") -> Configured:
    """What `fork` records, of the whole configuration that the fork has."""
    parent.check_table()
    changed = _checked_changes(parent, step, config)
    start = _start(parent, step, moments=moments, changed=changed)
    return Configured(config, start.facts(), start, _means(parent, config, changed))


def fork_path(parent: Run, source: Configured, *, root: str | Path | None = None, name: str | None = None) -> Path:
    """Where a fork is kept; see `fork`."""
    path, facts = parent.path.resolve(), source.start
    if name is None:
        moments = f"moments-{facts['moments_of']}-{facts['moments_step']}" if "moments_of" in facts else facts["moments"]
        name = fork_name(parent.name, facts["step"], config=source.config, base=parent.config, moments=moments)
    where = run_path(path.parent if root is None else root, name)
    if where.resolve() == path:
        raise UsageError(f"name: given {name!r}, which is the parent's; choose another with --name")
    return where


def _checked_changes(parent: Run, step: int, config: RunConfig) -> dict[str, list[Any]]:
    """What is changed, as JSON values before and after, if a run can go on with that."""
    if step not in parent.steps:
        parent[step]  # raises, and names the nearest
    found = differences(parent.config, config)
    for name in _OF_THE_BEGINNING:
        if name in found:
            raise UsageError(f"{name}: given {found[name][1]!r}, but a fork has its parent's weights: it has no effect there")
    if shaped := [name for name in found if name.startswith(("task", "model.")) and name != "model.attention_rate"]:
        given = "; ".join(f"{name}: given {found[name][1]!r}, the parent's is {found[name][0]!r}" for name in shaped)
        raise UsageError(f"{given}: a fork goes on with its parent's weights, so its task and model are the same")
    if "dtype" in found:
        raise UsageError(f"dtype: given {config.dtype!r}, but the parent's weights are {parent.config.dtype}")
    if config.steps <= step:
        raise UsageError(f"steps: given {config.steps}, expected more than {step}, the step to begin at; add --steps")
    before, after = parent.config.to_dict(), config.to_dict()
    said = {name: [_said(parent.config, before, name), _said(config, after, name)] for name in found}
    return dict(json.loads(json.dumps(said)))


def _said(config: RunConfig, values: Mapping[str, Any], name: str) -> Any:
    """The value of a field in a configuration's values, or its default where it is left out as such."""
    found, (room, _, field) = _at(values, name), name.partition(".")
    part = getattr(config, room, None)
    return getattr(part, field) if found is None and field in getattr(part, "later", ()) else found


def _at(values: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        values = values.get(part, {}) if isinstance(values, Mapping) else {}
    return values if values != {} else None


def _start(parent: Run, step: int, *, moments: Moments, changed: Mapping[str, Any]) -> FromState | FromWeights:
    if moments not in ("kept", "fresh") and not isinstance(moments, tuple):
        raise unknown("moments", moments, ("kept", "fresh"))
    lineage: dict[str, Any] = {
        "from": "run",
        "parent": parent.name,
        "run": parent.manifest.files[RECORD].sha256,
        "checkpoint": parent.sha256(step),
        "changed": dict(changed),
    }
    if isinstance(moments, tuple):
        donor = as_run(moments[0])
        taken = moments_in(_kept(donor, moments[1]))
        lineage |= {"moments_of": donor.name, "moments_step": moments[1]}
        return FromWeights(parent[step].weights, step, _evaluations(parent, step), lineage, _mask(parent), taken)
    if moments == "fresh":
        return FromWeights(parent[step].network, step, _evaluations(parent, step), lineage, _mask(parent))
    state = _kept(parent, step)
    if changed.get("optimizer.norm_constraint", [0, False])[1]:  # to hold the norm that the weights have here
        state["engine.norm"] = torch.full_like(state["engine.norm"], float(state["flat"].norm()))
    if "changes" in changed:  # the state of the parent's own means nothing for others
        state = {name: tensor for name, tensor in state.items() if not name.startswith(CHANGES)}
    elif begun := begun_at_phases(parent.config.schedule, state):
        lineage["changes_began"] = begun
    return FromState(state, "kept", lineage)


def _mask(parent: Run) -> dict[str, Tensor] | None:
    """Which weights a masked run has; any of its kept states says it."""
    if "mask" not in parent.record.get("start", {}):
        return None
    if not parent.manifest.moments:
        raise UsageError(
            f"moments: run {parent.path} has a mask, and none of its states was kept, which have it; record it again"
        )
    state = parent.moments(parent.manifest.moments[-1])
    return {name.removeprefix(MASK): mask for name, mask in state.items() if name.startswith(MASK)}


def _kept(parent: Run, step: int) -> dict[str, Tensor]:
    kept = parent.manifest.moments
    if step in kept:
        return parent.moments(step)
    near = f"those at step {nearest_step(kept, step)} are the nearest that were" if kept else "none were"
    raise UsageError(
        f"moments: the optimizer's moments at step {step} were not kept in {parent.path}; {near}. Begin with a new optimizer "
        f"(--moments fresh), or record the run with --checkpoints.moments {step}, about three checkpoints' size"
    )


def _evaluations(parent: Run, step: int) -> tuple[tuple[float, float, float], ...]:
    """What was measured until a step, as a training remembers it."""
    columns = parent.columns
    rows = zip(*(columns[name].tolist() for name in ("step", "sum_squared_weights", "test_accuracy")), strict=True)
    return tuple((float(at), norm, accuracy) for at, norm, accuracy in rows if at <= step and not isnan(norm + accuracy))


def _means(parent: Run, config: RunConfig, changed: Mapping[str, Any]) -> tuple[EngineName, int | None] | None:
    """The parent's engine and threads, by which rounding is the same, unless others are asked for or they cannot do it."""
    if {"engine", "threads", "device"} & changed.keys() or parent.is_imported or "batch" in parent.record:
        return None
    means = cast(EngineName, parent.engine), parent.threads
    reason = cannot(replace(config, engine=means[0], threads=means[1]))
    if reason and config.engine == "auto":
        log.info("engine: not that of the parent, because %s", reason)
        return None
    return means
