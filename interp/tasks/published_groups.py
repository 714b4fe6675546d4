"""Tasks of the group-representation code of Chughtai et al. (2023): a group's products in its own numbering."""

from __future__ import annotations

from interp.groups.by_name import group
from interp.groups.published_orders import PERMUTED, numbers_in_ours, published_group
from interp.tasks.known_forms import group_task
from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask, binary_operation


def published_task(name: str, *, equals_sign: bool = True) -> ModularTask | TableTask:
    """The product of a group's elements, numbered and multiplied as that code does; its parts have the names of `interp.group`'s.

    Cyclic groups are addition modulo n, dihedral ones the task of `interp.task`. Of permutations the answer to (a, b) is a, then
    b.

    Args:
        name: ``C113``, ``D59``, ``S5``, ``A5``.
        equals_sign: read ``a b =``, as its transformers do, instead of ``a b``.

    Raises:
        UsageError: for another group.

    >>> published_task("S3").harmonics.names, published_task("S3").elements[1]
    (('(2,1)', '(1,1,1)'), '231')
    """
    found = published_group(name)
    if found.made[:1] == ("cyclic",):
        return ModularTask(found.order, equals_sign=equals_sign)
    if name not in PERMUTED:
        return group_task(found, equals_sign=equals_sign)
    import torch  # only here: names must not wait for torch

    from interp.harmonics.harmonics import GroupHarmonics
    from interp.harmonics.of_group import isotypic_projectors

    numbers = torch.from_numpy(numbers_in_ours(name))
    named = {part: matrix[numbers][:, numbers] for part, matrix in isotypic_projectors(group(name)).items()}
    harmonics = GroupHarmonics(torch.from_numpy(found.table.flatten()), named)
    return binary_operation(found.name, found.table, equals_sign=equals_sign, harmonics=harmonics, elements=found.elements)
