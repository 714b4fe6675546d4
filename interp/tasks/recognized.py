"""What a table is that was given as numbers: the harmonics of the group whose table it is, and whether its name is another's."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.tasks.known_forms import known_task
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask, Task

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Harmonics

# The largest group without a name whose representations are looked for; a cyclic one has frequencies whatever its order.
MOST = 200


def harmonics_of_table(table: Int64[np.ndarray, "n n"]) -> Harmonics | None:
    """Those of the group whose products the entries are; None for a table that is no group's, or one of more than 200 elements.

    A cyclic group is addition of exponents: its elements are reordered as powers of one that generates it.

    >>> harmonics_of_table(np.array([[0, 1], [1, 0]])).names, harmonics_of_table(np.array([[0, 1], [1, 1]]))
    ((1,), None)
    """
    every = np.arange(len(table))
    if len(table) < 2 or not (np.array_equal(np.sort(table), np.broadcast_to(every, table.shape))):
        return None
    try:
        group = Group.from_table(table)
    except UsageError:
        return None
    powers = _powers_of_generator(group)
    if powers is not None:
        return _of_exponents(powers)
    if group.order > MOST:
        return None
    from interp.harmonics.of_group import group_harmonics  # only here: tables must not wait for torch

    return group_harmonics(group)


def residues_of(task: Task) -> Literal["add", "subtract"] | None:
    """Whether all pairs of residues are added, or subtracted, modulo p, by whatever name; None if neither.

    >>> residues_of(known_task("x-y mod 5")), residues_of(known_task("Z6")), residues_of(known_task("x*y mod 5"))
    ('subtract', 'add', None)
    """
    if isinstance(task, ModularTask):
        return "add" if task.operation == "add" else "subtract" if task.operation == "subtract" else None
    table = TableTask.of(task)
    if not table.is_binary_operation or table.p != table.classes or table.left_out is not None:
        return None
    a, b = np.divmod(np.arange(table.p**2), table.p)
    if np.array_equal(table.labels, (a + b) % table.p):
        return "add"
    return "subtract" if np.array_equal(table.labels, (a - b) % table.p) else None


def group_of(task: Task) -> Group | None:
    """The group whose products the answers to all pairs are; None if there is none.

    >>> group_of(known_task("S3")), group_of(known_task("x*y*x^-1 in S3"))
    (Group('S3', 6 elements), None)
    """
    return _group_of(TableTask.of(task))


@cache
def _group_of(task: TableTask) -> Group | None:
    if not task.is_binary_operation or task.p != task.classes or task.left_out is not None:
        return None
    table = task.labels.reshape(task.p, task.p)
    try:
        return Group.from_table(table, name=task.name, elements=task.elements or None)
    except UsageError:
        return None


def is_name_of_another(name: str, table: Int64[np.ndarray, "n n"]) -> bool:
    """Whether `interp.task` knows a name, and as another table.

    >>> is_name_of_another("Z2", np.array([[0, 1], [1, 0]])), is_name_of_another("S3", np.array([[0, 1], [1, 0]]))
    (False, True)
    """
    try:
        known = known_task(" ".join(name.replace("·", "*").split()))
    except UsageError:
        return False
    return not np.array_equal(known.labels, table.flatten())


def _powers_of_generator(group: Group) -> Int64[np.ndarray, " n"] | None:
    """g^0, g^1, .. of the first element g whose powers are all elements; None if there is none."""
    if not group.is_abelian:
        return None
    every = np.arange(group.order)
    powers = np.empty((group.order, group.order), dtype=np.int64)  # [k, g] -> g^k
    powers[0] = group.identity
    for k in range(1, group.order):
        powers[k] = group.table[powers[k - 1], every]
    generators = np.flatnonzero((powers == group.identity).sum(axis=0) == 1)
    return powers[:, generators[0]] if len(generators) else None


def _of_exponents(powers: Int64[np.ndarray, " n"]) -> Harmonics:
    import torch  # only here, as above

    from interp.harmonics.cyclic import CyclicHarmonics
    from interp.harmonics.frames import addition

    n, power = len(powers), torch.from_numpy(powers.copy())
    if np.array_equal(powers, np.arange(n)):
        return addition(n)
    return CyclicHarmonics(n, rows=(power[:, None] * n + power).flatten(), classes=power)
