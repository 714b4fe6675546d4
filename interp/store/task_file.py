"""A task as data: the table of a task and its harmonics in one file, read back without any of its code; and its split.

A table is read with numpy alone. Its harmonics are made when they are first asked for: who lists runs does not wait for torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import DataError, UsageError
from interp.groups.cayley import Group
from interp.store.packed import Array, pack_arrays, unpack_arrays
from interp.tasks.splits import Split
from interp.tasks.task import TableTask, check_harmonics, with_waves

if TYPE_CHECKING:
    from torch import Tensor

    from interp.harmonics.harmonics import Harmonics

_PROJECTOR = "harmonics.projector."
_FUNCTIONS = "harmonics.functions"


# What reading a damaged or foreign file may raise; a UsageError is a ValueError.
_DAMAGED = (KeyError, TypeError, ValueError, IndexError, OverflowError, RuntimeError)


@dataclass(frozen=True)
class _Waves:
    """What a file says of harmonics; called with its table, it makes them.

    Raises:
        DataError: if that is damaged, foreign, or of other answers.
    """

    facts: dict[str, Any]
    arrays: dict[str, Array]
    where: str

    def __call__(self, task: TableTask) -> Harmonics:
        try:
            found = _to_harmonics(self.facts, self.arrays)
            check_harmonics(task, found)
        except _DAMAGED as error:
            raise _no_task(error, self.where) from error
        return found


def _no_task(error: Exception, where: str) -> DataError:
    return DataError(f"{where}: not a task ({type(error).__name__}: {error})")


def pack_task(task: TableTask) -> bytes:
    """The bytes of a task's file.

    Raises:
        UsageError: if its harmonics cannot be read back.
    """
    arrays: dict[str, Array] = {"inputs": task.inputs, "labels": task.labels}
    facts: dict[str, Any] = {"name": task.name, "n_tokens": task.n_tokens, "classes": task.classes, "harmonics": None}
    if task.left_out is not None:
        arrays["left_out"] = task.left_out
    if task.elements:
        facts["elements"] = list(task.elements)
    if task.harmonics is not None:
        functions = _functions(task) if task.elements else None  # other tables have the files that they always had
        if functions is None:
            facts["harmonics"], waves = _of_harmonics(task.harmonics)
            arrays |= {name: wave.detach().cpu().numpy() for name, wave in waves.items()}
        else:
            facts["harmonics"] = {"names": list(task.harmonics.names)}
            arrays[_FUNCTIONS] = functions.numpy()
    data = pack_arrays(arrays, facts)
    try:
        is_same = unpack_task(data, where=f"task {task.name!r}") == task
    except DataError as error:
        raise UsageError(f"task {task.name!r}: cannot be stored: {error}") from error
    if not is_same:
        raise UsageError(f"task {task.name!r}: its harmonics change when they are stored: names must be integers and texts")
    return data


def pack_split(split: Split) -> bytes:
    """The bytes of a split's file."""
    parts = {"train": split.train, "test": split.test} | ({} if split.left_out is None else {"left_out": split.left_out})
    return pack_arrays(parts, {})


def unpack_task(data: bytes, *, where: str) -> TableTask:
    """The task in a file's bytes, equal to the one that was stored; `where` names the file in errors.

    Its harmonics are made, and checked, when they are first asked for.

    Raises:
        DataError: if they are damaged, foreign, or do not fit together.
    """
    arrays, facts = unpack_arrays(data, where=where)
    try:
        table: dict[str, Any] = {
            "name": str(facts["name"]),
            "inputs": arrays["inputs"],
            "labels": arrays["labels"],
            "n_tokens": int(facts["n_tokens"]),
            "classes": int(facts["classes"]),
            "elements": tuple(map(str, facts.get("elements", ()))),
            "left_out": arrays.get("left_out"),
        }
        task, waves = TableTask(**table), {name: each for name, each in arrays.items() if name not in ("inputs", "left_out")}
        return task if facts["harmonics"] is None else with_waves(task, _Waves(facts["harmonics"], waves, where))
    except _DAMAGED as error:
        raise _no_task(error, where) from error


def _functions(task: TableTask) -> Tensor | None:
    """For each part f with P[x, y] = f(x y^-1), where the answers are the products of a group: n numbers in place of n^2."""
    import torch  # only here and below, as above

    from interp.harmonics.harmonics import GroupHarmonics

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
    import torch

    group = Group.from_table(table)
    return torch.tensor(group.table[:, group.inverses]), group.identity


def _of_harmonics(harmonics: Harmonics) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Harmonics as JSON values and tensors: those of addition by their modulus, others by their projectors."""
    from interp.harmonics.cyclic import CyclicHarmonics

    found = {"rows": harmonics.rows, "classes": harmonics.classes}
    tensors = {f"harmonics.{name}": tensor for name, tensor in found.items() if tensor is not None}
    if isinstance(harmonics, CyclicHarmonics):
        return {"modulus": harmonics.modulus}, tensors
    tensors["harmonics.line"] = harmonics.line
    tensors |= {f"{_PROJECTOR}{i}": harmonics.projector([name]) for i, name in enumerate(harmonics.names)}
    return {"names": list(harmonics.names)}, tensors


def _to_harmonics(facts: dict[str, Any], arrays: dict[str, Array]) -> Harmonics:
    import torch

    from interp.harmonics.cyclic import CyclicHarmonics
    from interp.harmonics.harmonics import GroupHarmonics

    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    rows, classes = tensors.get("harmonics.rows"), tensors.get("harmonics.classes")
    if "modulus" in facts:
        n, given = int(facts["modulus"]), len(arrays["labels"] if rows is None else rows)
        if n * n != given:  # before anything of that size is made
            raise ValueError(f"given addition modulo {n} on {given} rows, expected {n * n}")
        return CyclicHarmonics(n, rows=rows, classes=classes)
    if _FUNCTIONS in tensors:
        functions, line = tensors[_FUNCTIONS], tensors["labels"]
        quotients, _ = _quotients(line.reshape(functions.shape[1], functions.shape[1]).numpy())
        made = {name: functions[i][quotients] for i, name in enumerate(facts["names"])}
        return GroupHarmonics(line, made)
    projectors = {name: tensors[f"{_PROJECTOR}{i}"] for i, name in enumerate(facts["names"])}
    return GroupHarmonics(tensors["harmonics.line"], projectors, rows=rows, classes=classes)
