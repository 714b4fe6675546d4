"""Tasks of a known form: a group, a formula modulo p or in a group, random labels."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from interp.errors import UsageError
from interp.groups.by_name import KNOWN as GROUPS
from interp.groups.by_name import group as group_by_name
from interp.groups.by_name import is_group_name
from interp.groups.cayley import Group
from interp.harmonics.primes import is_prime
from interp.tasks.operators import IN_GROUPS, MODULAR, RANDOM, group_table, modular_table, random_labels
from interp.tasks.task import TableTask, binary_operation, with_waves

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Harmonics

# Of Power et al. 2022.
THEIR_P, THEIR_GROUP = 97, "S5"

FORMS = (
    f"a group: {GROUPS}; a formula modulo p: {', '.join(MODULAR)}, such as 'x^2+y^2 mod 97'; one in a group: "
    f"{', '.join(IN_GROUPS)}, such as 'x*y*x^-1 in S5'; 'random labels mod 97, seed 3'; or a file of a table (.csv, .json)"
)


def group_task(group: Group, *, formula: str = "x*y", equals_sign: bool = True) -> TableTask:
    """The task of an operation in any group, with its harmonics and the names of its elements.

    Args:
        group: a group by name or by its table.
        formula: ``x*y``, ``x*y*x^-1`` or ``x*y*x``.
        equals_sign: read ``a b =`` instead of ``a b``.

    Raises:
        UsageError: for a group of one element, an unknown formula, or a table too large to find its irreducible representations.

    >>> group_task(Group.from_table([[0, 1], [1, 0]], name="xor")).harmonics.names
    ('1b',)
    """
    if formula not in IN_GROUPS:
        raise UsageError(f"task: given formula {formula!r}, expected one of {', '.join(IN_GROUPS)}")
    if group.order < 2:
        raise UsageError(f"task: given {group.name}, a group of one element, expected one with something to learn")
    table = group_table(formula, group)
    name = group.name if formula == "x*y" else f"{formula} in {group.name}"
    made = binary_operation(name, table, equals_sign=equals_sign, elements=group.elements)
    waves = partial(_in_group, group, formula, table)
    if not (is_group_name(group.name) and group is group_by_name(group.name)):  # whose representations may not be found
        waves(made)
    return with_waves(made, waves)


@cache
def known_task(name: str, *, equals_sign: bool = True) -> TableTask:
    """The task with a name that is no file's, single spaces between its words; made once.

    Raises:
        UsageError: as `interp.task`.

    >>> known_task("Z3")
    TableTask('Z3', 9 inputs, 3 answers)
    """
    squeezed = name.replace(" ", "")
    if is_group_name(squeezed):
        return group_task(group_by_name(squeezed), equals_sign=equals_sign)
    if found := re.fullmatch(r"randomlabelsmod([0-9]{1,6})(?:,?seed([0-9]{1,10}))?", squeezed):
        p, seed = int(found[1]), int(found[2] or 0)
        return binary_operation(f"{RANDOM} mod {p}, seed {seed}", random_labels(p, seed), equals_sign=equals_sign)
    for formula in MODULAR:
        if found := re.fullmatch(f"{_pattern(formula)}(?:mod([0-9]{{1,6}}))?", squeezed):
            return _modular(formula, int(found[1] or THEIR_P), equals_sign=equals_sign)
    for formula in IN_GROUPS:
        if found := re.fullmatch(f"{_pattern(formula)}(?:in(.+))?", squeezed):
            return group_task(group_by_name(found[1] or THEIR_GROUP), formula=formula, equals_sign=equals_sign)
    raise UsageError(f"task: given {name!r:.80}, expected {FORMS}")


def _pattern(formula: str) -> str:
    return re.escape(formula.replace(" ", ""))


def _modular(formula: str, p: int, *, equals_sign: bool) -> TableTask:
    table = modular_table(formula, p)
    by_zero = np.broadcast_to(np.arange(p) == 0, (p, p)) if formula == "x/y" else None
    made = binary_operation(f"{formula} mod {p}", table, equals_sign=equals_sign, left_out=by_zero)
    # Where an order makes a formula addition; modulo 2 the units have no wave but the constant.
    has_waves = formula in ("x+y", "x-y") or (formula in ("x*y", "x/y") and p > 2 and is_prime(p))
    return with_waves(made, partial(_modulo, formula, p)) if has_waves else made


def _modulo(formula: str, p: int, _: TableTask) -> Harmonics:
    from interp.harmonics import frames  # only here: names must not wait for torch

    kinds = {"x+y": frames.addition, "x-y": frames.subtraction, "x*y": frames.multiplication, "x/y": frames.division}
    return kinds[formula](p)


def _in_group(group: Group, formula: str, table: object, _: TableTask) -> Harmonics:
    import torch  # only here, as above

    from interp.harmonics.of_group import group_harmonics

    return group_harmonics(group, None if formula == "x*y" else torch.tensor(table).flatten())
