"""A task as data: the table of a task and its harmonics in one file, read back without any of its code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import GroupHarmonics, Harmonics
from interp.store.tensors import pack, unpack
from interp.tasks.task import TableTask

_PROJECTOR = "harmonics.projector."


def pack_task(task: TableTask) -> bytes:
    """The bytes of a task's file.

    Raises:
        UsageError: if its harmonics cannot be read back.
    """
    tensors = {"inputs": torch.from_numpy(task.inputs), "labels": torch.from_numpy(task.labels)}
    facts: dict[str, Any] = {"name": task.name, "n_tokens": task.n_tokens, "classes": task.classes, "harmonics": None}
    if task.harmonics is not None:
        facts["harmonics"], waves = _of_harmonics(task.harmonics)
        tensors |= waves
    data = pack(tensors, facts)
    try:
        again = unpack_task(data, where=f"task {task.name!r}")
    except DataError as error:
        raise UsageError(f"task {task.name!r}: cannot be stored: {error}") from error
    if again != task:
        raise UsageError(f"task {task.name!r}: its harmonics change when they are stored: names must be integers and texts")
    return data


def unpack_task(data: bytes, *, where: str) -> TableTask:
    """The task in a file's bytes, equal to the one that was stored; `where` names the file in errors.

    Raises:
        DataError: if they are damaged, foreign, or do not fit together.
    """
    tensors, facts = unpack(data, where=where)
    try:
        return TableTask(
            name=str(facts["name"]),
            inputs=tensors["inputs"].numpy(),
            labels=tensors["labels"].numpy(),
            n_tokens=int(facts["n_tokens"]),
            classes=int(facts["classes"]),
            harmonics=None if facts["harmonics"] is None else _to_harmonics(facts["harmonics"], tensors),
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RuntimeError) as error:  # UsageError is a ValueError
        raise DataError(f"{where}: not a task ({type(error).__name__}: {error})") from error


def _of_harmonics(harmonics: Harmonics) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Harmonics as JSON values and tensors: those of addition by their modulus, others by their projectors."""
    found = {"rows": harmonics.rows, "classes": harmonics.classes}
    tensors = {f"harmonics.{name}": tensor for name, tensor in found.items() if tensor is not None}
    if isinstance(harmonics, CyclicHarmonics):
        return {"modulus": harmonics.modulus}, tensors
    tensors["harmonics.line"] = harmonics.line
    tensors |= {f"{_PROJECTOR}{i}": harmonics.projector([name]) for i, name in enumerate(harmonics.names)}
    return {"names": list(harmonics.names)}, tensors


def _to_harmonics(facts: dict[str, Any], tensors: dict[str, Tensor]) -> Harmonics:
    rows, classes = tensors.get("harmonics.rows"), tensors.get("harmonics.classes")
    if "modulus" in facts:
        return CyclicHarmonics(int(facts["modulus"]), rows=rows, classes=classes)
    projectors = {name: tensors[f"{_PROJECTOR}{i}"] for i, name in enumerate(facts["names"])}
    return GroupHarmonics(tensors["harmonics.line"], projectors, rows=rows, classes=classes)
