"""The harmonics of a group: one part for each irreducible representation, complex conjugates joined to a real one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from interp.groups.cayley import Group
from interp.harmonics.frames import addition
from interp.harmonics.harmonics import GroupHarmonics, Harmonics, Name
from interp.harmonics.representations import Irrep, irreps


def group_harmonics(group: Group, answers: Int64[Tensor, " row"] | None = None) -> Harmonics:
    """The harmonics of a table whose answers are elements of a group.

    Args:
        group: of at least two elements.
        answers: the group element that each row's answer is; by default the products of all pairs (a, b), row-major. Of a cyclic
            group these have the harmonics of addition.

    >>> from interp.groups.by_name import group
    >>> group_harmonics(group("S3")).names, group_harmonics(group("Z5")).names
    (('(2,1)', '(1,1,1)'), (1, 2))
    """
    if answers is None and group.made[:1] == ("cyclic",):
        return addition(group.order)
    line = torch.tensor(group.table).flatten() if answers is None else answers
    return GroupHarmonics(line, dict(isotypic_projectors(group)))


@cache
def isotypic_projectors(group: Group) -> dict[Name, Float64[Tensor, "n n"]]:
    """For each part but the trivial one the matrix ``P[x, y] = d / n chi(x y^-1)``; of two complex conjugates their sum, which is
    real, under the name of the first.

    >>> from interp.groups.by_name import group
    >>> [(name, round(float(matrix.trace()))) for name, matrix in isotypic_projectors(group("A4")).items()]
    [('(3,1)', 9), ('(2,2)+', 2)]
    """
    quotients = torch.tensor(group.table[:, group.inverses])
    return {
        pair[0].name: torch.stack([rho.dimension / group.order * rho.character.real for rho in pair]).sum(dim=0)[quotients]
        for pair in parts(irreps(group))
        if not bool((pair[0].character.real - 1).abs().max() < 0.5)
    }


def parts(given: Sequence[Irrep]) -> list[tuple[Irrep, ...]]:
    """Representations whose parts of real functions are real: one alone, or two whose characters are complex conjugates."""
    found: list[tuple[Irrep, ...]] = []
    left = list(given)
    while left:
        rho = left.pop(0)
        is_real = float(rho.character.imag.abs().max()) < 1e-6
        mate = next((one for one in left if not is_real and _are_conjugate(rho, one)), None)
        if mate is not None:
            left.remove(mate)
        found.append((rho,) if mate is None else (rho, mate))
    return found


def _are_conjugate(rho: Irrep, other: Irrep) -> bool:
    return float((rho.character - other.character.conj()).abs().max()) < 1e-6
