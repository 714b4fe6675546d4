"""Irreducible representations of any group out of its table: the regular representation, taken apart by numbers.

Functions on the group, moved by multiplication from the left, contain every irreducible representation as often as its dimension.
What commutes with all these moves is multiplication from the right, so that a Hermitian combination of right multiplications,
drawn once with a fixed seed, has eigenspaces that are irreducible: d of them, of dimension d, for each representation.
"""

from __future__ import annotations

import numpy as np

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.harmonics.harmonics import Name

# The largest table that is taken apart.
MOST = 200

# Eigenvalues, and entries of characters, that are nearer than this are the same.
_SAME = 1e-7


def regular_irreps(group: Group) -> list[tuple[Name, np.ndarray]]:
    """Name and matrices of each: its dimension and a letter, by dimension and then by characters, larger ones first.

    Raises:
        UsageError: for a group of more than 200 elements.
    """
    if group.order > MOST:
        raise UsageError(
            f"group {group.name}: its irreducible representations are looked for in tables of at most {MOST} elements, given "
            f"{group.order}; name it (such as S6), or make it a direct product of groups that can be named"
        )
    found: list[tuple[np.ndarray, np.ndarray]] = []
    values, vectors = np.linalg.eigh(_right_multiplications(group))
    cuts = np.flatnonzero(np.diff(values) > _SAME) + 1
    for space in np.split(vectors, cuts, axis=1):
        matrices = _restricted(group, space)
        character = np.einsum("nii->n", matrices)
        if all(np.abs(character - known).max() > _SAME for known, _ in found):
            found.append((character, matrices))
    found.sort(key=lambda one: _rank(one[0]))
    return [(f"{d}{_letters(k)}", matrices) for d, k, matrices in _numbered([matrices for _, matrices in found])]


def _right_multiplications(group: Group) -> np.ndarray:
    """A Hermitian matrix that commutes with all multiplications from the left: M[x, y] = h(x^-1 y), h(g^-1) = conj(h(g))."""
    generator = np.random.default_rng(0)
    drawn = generator.standard_normal(group.order) + 1j * generator.standard_normal(group.order)
    h = drawn + drawn[group.inverses].conj()
    return h[group.table[group.inverses]] / np.sqrt(group.order)


def _restricted(group: Group, space: np.ndarray) -> np.ndarray:
    """Multiplication from the left, (L(g) f)(x) = f(g^-1 x), on a space that it keeps."""
    moved = space[group.table[group.inverses]]  # [g, x] -> f(g^-1 x)
    return np.einsum("xi,gxj->gij", space.conj(), moved, optimize=True)


def _rank(character: np.ndarray) -> tuple[int, list[tuple[float, float]]]:
    """The trivial one first, then by dimension and values."""
    rounded = np.round(character, 6) + 0.0
    return round(character.real.max()), [(-value.real, -value.imag) for value in rounded]


def _numbered(of_all: list[np.ndarray]) -> list[tuple[int, int, np.ndarray]]:
    found: list[tuple[int, int, np.ndarray]] = []
    for matrices in of_all:
        d = matrices.shape[1]
        found.append((d, sum(known == d for known, _, _ in found), matrices))
    return found


def _letters(k: int) -> str:
    """a, b, .. z, aa, ab, ..."""
    return (_letters(k // 26 - 1) if k >= 26 else "") + chr(ord("a") + k % 26)
