"""Irreducible representations of a finite group: by closed form where it has one, out of its table otherwise.

A representation gives each element g a unitary matrix rho(g) with rho(a b) = rho(a) rho(b); irreducible ones have no part that
all their matrices keep. Their characters chi(g) = tr rho(g) are orthonormal over the group, and the squares of their dimensions
sum up to its order. All four are checked whenever they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import product

import numpy as np
import torch
from jaxtyping import Complex128, Float64
from torch import Tensor

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.harmonics.harmonics import Name
from interp.harmonics.planar import cyclic_irreps, dihedral_irreps, quaternion_irreps
from interp.harmonics.regular import regular_irreps
from interp.harmonics.young import alternating_irreps, symmetric_irreps

# Largest entry by which what is checked may be off.
_ROUNDING = 1e-9

_IN_PLANES = {"cyclic": cyclic_irreps, "dihedral": dihedral_irreps, "quaternion": quaternion_irreps}


@dataclass(frozen=True, eq=False)
class Irrep:
    """An irreducible representation.

    Args:
        name: its standard label: a partition for S_n, a frequency for Z_n, A1, A2, B1, B2, E1, E2, ... for D_n and Q_m.
        matrices: the matrix of each element, real or complex, unitary.
    """

    name: Name
    matrices: Float64[Tensor, "n d d"] | Complex128[Tensor, "n d d"]

    def __repr__(self) -> str:
        return f"Irrep({self.name!r}, dimension {self.dimension})"

    @property
    def dimension(self) -> int:
        """Its dimension d."""
        return self.matrices.shape[1]

    @property
    def character(self) -> Complex128[Tensor, " n"]:
        """The trace of each element's matrix."""
        return torch.einsum("nii->n", self.matrices).to(torch.complex128)


@cache
def irreps(group: Group) -> tuple[Irrep, ...]:
    """All irreducible representations of a group, the trivial one first.

    Cyclic, dihedral and quaternion groups in closed form; symmetric groups in Young's orthogonal form, alternating groups by
    restricting it; direct products as tensor products; any other table of up to 200 elements out of its regular representation.

    Names: frequencies 0..n-1 for Z_n; Mulliken's for D_n and Q_m (A1, A2: r is 1; B1, B2: r is -1; E1, E2, ...: r turns by 1, 2,
    ... n-ths); partitions for S_n, and for A_n the first of a partition and its conjugate, with + and - where both are the same;
    ``name x name`` for products; dimension and a letter (1a, 2a, 2b) for tables.

    Raises:
        UsageError: for a table of more elements.

    >>> from interp.groups.by_name import group
    >>> [(rho.name, rho.dimension) for rho in irreps(group("S4"))]
    [('(4)', 1), ('(3,1)', 3), ('(2,2)', 2), ('(2,1,1)', 3), ('(1,1,1,1)', 1)]
    """
    found = tuple(Irrep(name, torch.from_numpy(np.ascontiguousarray(matrices))) for name, matrices in _matrices(group))
    check_irreps(group, found)
    return found


def check_irreps(group: Group, given: Sequence[Irrep]) -> None:
    """Error unless these are all irreducible representations of a group, each once.

    Raises:
        UsageError: naming the first that is no homomorphism or not unitary, or two whose characters are not orthonormal, or for
            squares of dimensions that do not sum up to the order.
    """
    table = torch.tensor(group.table)
    for rho in given:
        eye = torch.eye(rho.dimension, dtype=rho.matrices.dtype)
        products = rho.matrices.mT.conj() @ rho.matrices
        _refuse(group, rho.name, "not unitary", products - eye)
        _refuse(group, rho.name, "not 1 at the identity", rho.matrices[group.identity] - eye)
        for g in group.generators:  # enough: every element is a product of them
            _refuse(group, rho.name, "no homomorphism", rho.matrices[g] @ rho.matrices - rho.matrices[table[g]])
    characters = torch.stack([rho.character for rho in given])
    gram = characters @ characters.mH / group.order
    off = (gram - torch.eye(len(given))).abs()
    if float(off.max()) > _ROUNDING:
        i, j = divmod(int(off.argmax()), len(given))
        raise UsageError(
            f"irreps of {group.name}: the characters of {given[i].name!r} and {given[j].name!r} are not orthonormal "
            f"(off by {float(off.max()):.2g})"
        )
    squares = sum(rho.dimension**2 for rho in given)
    if squares != group.order:
        raise UsageError(f"irreps of {group.name}: squares of dimensions sum up to {squares}, expected {group.order}, its order")


def _refuse(group: Group, name: Name, what: str, difference: Tensor) -> None:
    off = float(difference.abs().max())
    if not off <= _ROUNDING:
        raise UsageError(f"irreps of {group.name}: {name!r} is {what} (off by {off:.2g})")


def _matrices(group: Group) -> list[tuple[Name, np.ndarray]]:
    """Name and matrices of each."""
    match group.made:
        case (str(family), int(n)) if family in _IN_PLANES:
            return _IN_PLANES[family](n)
        case ("symmetric", int(n)):
            return symmetric_irreps(group, n)
        case ("alternating", int(n)):
            return alternating_irreps(n)
        case ("product", *_):
            return _of_product(group)
    return regular_irreps(group)


def _of_product(group: Group) -> list[tuple[Name, np.ndarray]]:
    """Tensor products of one representation of each factor."""
    of_factors = [[(rho.name, rho.matrices.numpy()) for rho in irreps(factor)] for factor in group.factors]
    return [
        (" x ".join(str(name) for name, _ in chosen), reduce(_kronecker, (matrices for _, matrices in chosen)))
        for chosen in product(*of_factors)
    ]


def _kronecker(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The Kronecker product of every matrix of one with every matrix of the other, the latter running fastest."""
    both = np.einsum("gij,hkl->ghikjl", one, other)
    n, m, d, e = len(one), len(other), one.shape[1], other.shape[1]
    return both.reshape(n * m, d * e, d * e)
