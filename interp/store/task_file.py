"""A task as data: the table of a task and its harmonics in one file, read back without any of its code; and its split."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.groups.cayley import Group
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import GroupHarmonics, Harmonics
from interp.store.tensors import pack, unpack
from interp.tasks.splits import Split
from interp.tasks.task import TableTask

_PROJECTOR = "harmonics.projector."
_FUNCTIONS = "harmonics.functions"


def pack_task(task: TableTask) -> bytes:
    """The bytes of a task's file.

    Raises:
        UsageError: if its harmonics cannot be read back.
    """
    tensors = {"inputs": torch.from_numpy(task.inputs), "labels": torch.from_numpy(task.labels)}
    facts: dict[str, Any] = {"name": task.name, "n_tokens": task.n_tokens, "classes": task.classes, "harmonics": None}
    if task.left_out is not None:
        tensors["left_out"] = torch.from_numpy(task.left_out)
    if task.elements:
        facts["elements"] = list(task.elements)
    if task.harmonics is not None:
        functions = _functions(task) if task.elements else None  # other tables have the files that they always had
        if functions is None:
            facts["harmonics"], waves = _of_harmonics(task.harmonics)
            tensors |= waves
        else:
            facts["harmonics"] = {"names": list(task.harmonics.names)}
            tensors[_FUNCTIONS] = functions
    data = pack(tensors, facts)
    try:
        again = unpack_task(data, where=f"task {task.name!r}")
    except DataError as error:
        raise UsageError(f"task {task.name!r}: cannot be stored: {error}") from error
    if again != task:
        raise UsageError(f"task {task.name!r}: its harmonics change when they are stored: names must be integers and texts")
    return data


def pack_split(split: Split) -> bytes:
    """The bytes of a split's file."""
    parts = {"train": split.train, "test": split.test} | ({} if split.left_out is None else {"left_out": split.left_out})
    return pack({name: torch.from_numpy(rows) for name, rows in parts.items()}, {})


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
            elements=tuple(map(str, facts.get("elements", ()))),
            left_out=tensors["left_out"].numpy() if "left_out" in tensors else None,
        )
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RuntimeError) as error:  # UsageError is a ValueError
        raise DataError(f"{where}: not a task ({type(error).__name__}: {error})") from error


def _functions(task: TableTask) -> Tensor | None:
    """For each part f with P[x, y] = f(x y^-1), where the answers are the products of a group: n numbers in place of n^2."""
    harmonics = task.harmonics
    if not isinstance(harmonics, GroupHarmonics) or harmonics.rows is not None or harmonics.classes is not None:
        return None
    if len(task.labels) != harmonics.n**2:
        return None
    try:
        quotients, identity = _quotients(task.labels.reshape(harmonics.n, harmonics.n))
    except UsageError:  # no group, such as conjugates in one
        return None
    whole = torch.stack([harmonics.projector([name]) for name in harmonics.names])
    found = whole[:, :, identity].contiguous()
    return found if torch.equal(found[:, quotients], whole) else None


def _quotients(table: np.ndarray) -> tuple[Tensor, int]:
    """x y^-1 for all x and y, and the identity."""
    group = Group.from_table(table)
    return torch.tensor(group.table[:, group.inverses]), group.identity


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
    if _FUNCTIONS in tensors:
        functions, line = tensors[_FUNCTIONS], tensors["labels"]
        quotients, _ = _quotients(line.reshape(functions.shape[1], functions.shape[1]).numpy())
        made = {name: functions[i][quotients] for i, name in enumerate(facts["names"])}
        return GroupHarmonics(line, made)
    projectors = {name: tensors[f"{_PROJECTOR}{i}"] for i, name in enumerate(facts["names"])}
    return GroupHarmonics(tensors["harmonics.line"], projectors, rows=rows, classes=classes)
