"""Irreducible representations of permutations: Young's orthogonal form, and its restriction to even permutations.

One for each partition of n, on the standard tableaux of its shape. The exchange of i and i+1 acts on a tableau T by

    rho(i, i+1) T = 1/r T + sqrt(1 - 1/r^2) T',   r = content of i+1 - content of i in T,

T' being T with i and i+1 exchanged, the content of a box its column minus its row. These matrices are real and orthogonal, and
every other one is a product of them.

Source: A. Young, On quantitative substitutional analysis VI, Proc. London Math. Soc. 34 (1932).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from interp.groups.cayley import Group
from interp.groups.families import permutations_of, signs, symmetric
from interp.harmonics.harmonics import Name

Partition = tuple[int, ...]
# For each number from 0 on, the row in which it stands.
Tableau = tuple[int, ...]


def partitions(n: int, most: int | None = None) -> Iterator[Partition]:
    """The partitions of n, the largest parts first.

    >>> list(partitions(4))
    [(4,), (3, 1), (2, 2), (2, 1, 1), (1, 1, 1, 1)]
    """
    if n == 0:
        yield ()
    for first in range(min(n, n if most is None else most), 0, -1):
        for rest in partitions(n - first, first):
            yield (first, *rest)


def conjugate(partition: Partition) -> Partition:
    """The partition with rows and columns exchanged.

    >>> conjugate((3, 1))
    (2, 1, 1)
    """
    return tuple(sum(part > column for part in partition) for column in range(partition[0]))


def label(partition: Partition) -> str:
    """A partition as the name of its representation.

    >>> label((3, 1, 1))
    '(3,1,1)'
    """
    return f"({','.join(map(str, partition))})"


def tableaux(partition: Partition) -> list[Tableau]:
    """The standard tableaux of a shape, each as the row of every number.

    >>> tableaux((2, 1))
    [(0, 1, 0), (0, 0, 1)]
    """
    if sum(partition) == 0:
        return [()]
    found = []
    for row, length in enumerate(partition):
        if length > (partition[row + 1] if row + 1 < len(partition) else 0):
            smaller = (*partition[:row], length - 1, *partition[row + 1 :])
            found += [(*one, row) for one in tableaux(smaller)]
    return found


def exchange(partition: Partition, i: int) -> np.ndarray:
    """The matrix of the exchange of i and i+1 (numbered from 0)."""
    shapes = tableaux(partition)
    number = {one: k for k, one in enumerate(shapes)}
    matrix = np.zeros((len(shapes), len(shapes)))
    for k, one in enumerate(shapes):
        r = _content(one, i + 1) - _content(one, i)
        matrix[k, k] = 1 / r
        if abs(r) > 1:  # else they stand side by side or one above the other
            matrix[number[(*one[:i], one[i + 1], one[i], *one[i + 2 :])], k] = np.sqrt(1 - 1 / r**2)
    return matrix


def symmetric_irreps(group: Group, n: int) -> list[tuple[Name, np.ndarray]]:
    """S_n: name and matrices for every partition, from the trivial one, (n), to the sign."""
    images = permutations_of(n)
    swaps = [_swap(n, i, images) for i in range(n - 1)]
    return [(label(one), _extended(group, swaps, [exchange(one, i) for i in range(n - 1)], one)) for one in partitions(n)]


def alternating_irreps(n: int) -> list[tuple[Name, np.ndarray]]:
    """A_n: a partition and its conjugate restrict to the same; a partition that is its own conjugate splits in two."""
    even = np.flatnonzero(signs(permutations_of(n)) > 0)
    found: list[tuple[Name, np.ndarray]] = []
    for name, matrices in zip(partitions(n), (m for _, m in symmetric_irreps(symmetric(n), n)), strict=True):
        if name > conjugate(name) or n == 1:
            found.append((label(name), matrices[even]))
        elif name == conjugate(name):
            halves = _halves(matrices[even])
            found += [(f"{label(name)}{sign}", half) for sign, half in zip("+-", halves, strict=True)]
    return found


def _content(tableau: Tableau, i: int) -> int:
    row = tableau[i]
    return tableau[:i].count(row) - row  # its column is how many stand before it


def _swap(n: int, i: int, images: np.ndarray) -> int:
    swapped = np.arange(n)
    swapped[[i, i + 1]] = [i + 1, i]
    return int(np.flatnonzero((images == swapped).all(axis=1))[0])


def _extended(group: Group, generators: list[int], given: list[np.ndarray], shape: Partition) -> np.ndarray:
    """The matrices of all elements, from those of generators: ``rho(s g) = rho(s) rho(g)``, outwards from the identity."""
    d = len(tableaux(shape))
    matrices = np.zeros((group.order, d, d))
    matrices[group.identity] = np.eye(d)
    is_known = np.zeros(group.order, dtype=bool)
    is_known[group.identity] = True
    edge = np.array([group.identity])
    while not is_known.all():
        reached = []
        for s, matrix in zip(generators, given, strict=True):
            new = ~is_known[group.table[s, edge]]
            to = group.table[s, edge[new]]
            matrices[to] = matrix @ matrices[edge[new]]
            is_known[to] = True
            reached.append(to)
        edge = np.concatenate(reached)
    return matrices


def _halves(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two parts of the restriction to A_n of a partition that is its own conjugate; first the one whose character is larger
    at the first element where they differ.

    A Hermitian matrix, averaged over the group, commutes with it, and has one eigenvalue on each part. Where the parts are real
    a real matrix tells them apart.
    """
    d = matrices.shape[1]
    generator = np.random.default_rng(0)
    for unit in (0, 1j):
        drawn = generator.standard_normal((d, d)) + unit * generator.standard_normal((d, d))
        average = np.einsum("nij,jk,nlk->il", matrices, drawn + drawn.conj().T, matrices) / len(matrices)
        values, vectors = np.linalg.eigh(average)
        if values[-1] - values[0] > 1e-6:
            break
    one, other = (v.conj().T @ matrices @ v for v in (vectors[:, : d // 2], vectors[:, d // 2 :]))
    difference = np.einsum("nii->n", one) - np.einsum("nii->n", other)
    first = difference[np.flatnonzero(np.abs(difference) > 1e-6)[0]]
    is_larger = first.real > 1e-6 or (abs(first.real) < 1e-6 and first.imag > 0)
    return (one, other) if is_larger else (other, one)
