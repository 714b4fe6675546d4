"""Groups by closed form. The order of elements is part of each definition: runs are stored in it.

Z_n     0..n-1: k is the sum of k ones
D_n     of order 2 n: r^0 .. r^{n-1}, then r^0 s .. r^{n-1} s, with s r s = r^-1
S_n     permutations of 1..n in lexicographic order of their images, as `itertools.permutations` gives them; a b is b, then a
A_n     the even ones, in the same order
Q_4n    of order 4 n: a^0 .. a^{2n-1}, then a^0 x .. a^{2n-1} x, with x^2 = a^n, x a x^-1 = a^-1
G x H   pairs (g, h), the last factor running fastest
"""

from __future__ import annotations

from itertools import permutations, product
from math import factorial, prod

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError
from interp.groups.cayley import MOST_ELEMENTS, Group

Permutations = Int64[np.ndarray, "element point"]


def cyclic(n: int) -> Group:
    """The integers modulo n under addition.

    >>> cyclic(3).table.tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    _check("Z", n, n)
    k = np.arange(n)
    return Group(f"Z{n}", (k[:, None] + k) % n, tuple(map(str, k)), ("cyclic", n))


def dihedral(n: int) -> Group:
    """The symmetries of a regular polygon with n corners: 2 n elements.

    >>> dihedral(3).elements
    ('e', 'r', 'r2', 's', 'rs', 'r2s')
    """
    _check("D", n, 2 * n)
    k, flip = np.arange(2 * n) % n, np.arange(2 * n) // n
    turns = (k[:, None] + np.where(flip[:, None], -1, 1) * k) % n
    names = [*_powers("r", n), *(("" if name == "e" else name) + "s" for name in _powers("r", n))]
    return Group(f"D{n}", turns + n * (flip[:, None] ^ flip), tuple(names), ("dihedral", n))


def quaternion(order: int) -> Group:
    """The generalised quaternion (dicyclic) group of an order that is a multiple of four; of order 8, Hamilton's units.

    >>> quaternion(8).elements
    ('1', 'i', '-1', '-i', 'j', 'k', '-j', '-k')
    >>> quaternion(12).elements[:7]
    ('e', 'a', 'a2', 'a3', 'a4', 'a5', 'x')
    """
    if order < 8 or order % 4:
        raise UsageError(f"group Q{order}: given order {order}, expected a multiple of 4 from 8 on (Q8, Q12, Q16, ...)")
    _check("Q", order, order)
    half = order // 2
    k, flip = np.arange(order) % half, np.arange(order) // half
    power = k[:, None] + np.where(flip[:, None], -1, 1) * k + (half // 2) * (flip[:, None] & flip)
    names = [*_powers("a", half), *(("" if name == "e" else name) + "x" for name in _powers("a", half))]
    if order == 8:
        names = ["1", "i", "-1", "-i", "j", "k", "-j", "-k"]
    return Group(f"Q{order}", power % half + half * (flip[:, None] ^ flip), tuple(names), ("quaternion", order))


def symmetric(n: int) -> Group:
    """All permutations of n things, named by their images: ``213`` exchanges the first two.

    >>> symmetric(3).elements
    ('123', '132', '213', '231', '312', '321')
    """
    _check("S", n, factorial(min(n, 20)))
    return _of_permutations(f"S{n}", permutations_of(n), ("symmetric", n))


def alternating(n: int) -> Group:
    """The even permutations of n things.

    >>> alternating(3).elements
    ('123', '231', '312')
    """
    _check("A", n, factorial(min(n, 20)) // 2)
    every = permutations_of(n)
    return _of_permutations(f"A{n}", every[signs(every) > 0], ("alternating", n))


def direct_product(*factors: Group) -> Group:
    """Tuples of elements of several groups, multiplied in each place.

    >>> direct_product(cyclic(2), cyclic(2)).elements
    ('(0,0)', '(0,1)', '(1,0)', '(1,1)')
    """
    name = "x".join(one.name for one in factors)
    if len(factors) < 2:
        raise UsageError(f"direct product: given {len(factors)} groups, expected two or more")
    _check(name, 1, prod(one.order for one in factors))
    table = factors[0].table
    for other in factors[1:]:
        n, m = len(table), other.order
        table = (table[:, None, :, None] * m + other.table[None, :, None, :]).reshape(n * m, n * m)
    names = tuple(f"({','.join(names)})" for names in product(*(one.elements for one in factors)))
    return Group(name, table, names, ("product", *(one.name for one in factors)), factors)


def permutations_of(n: int) -> Permutations:
    """All permutations of 0..n-1, in lexicographic order."""
    return np.array(list(permutations(range(n))), dtype=np.int64).reshape(factorial(n), n)


def signs(images: Permutations) -> Int64[np.ndarray, " element"]:
    """1 for even and -1 for odd permutations.

    >>> signs(permutations_of(3)).tolist()
    [1, -1, -1, 1, 1, -1]
    """
    n = images.shape[1]
    swapped = sum((images[:, i] > images[:, j] for i in range(n) for j in range(i + 1, n)), start=np.zeros(len(images), int))
    return 1 - 2 * (np.asarray(swapped, dtype=np.int64) % 2)


def _of_permutations(name: str, images: Permutations, made: tuple[str | int, ...]) -> Group:
    n = images.shape[1]
    weights = n ** np.arange(n)[::-1]  # a permutation as a number, ascending in lexicographic order
    codes = images @ weights
    products = images[:, images] @ weights  # [a, b] -> the code of i -> a[b[i]]
    named = tuple("".join(map(str, image + 1)) for image in images)
    return Group(name, np.searchsorted(codes, products), named, made)


def _powers(letter: str, n: int) -> list[str]:
    return ["e", letter, *(f"{letter}{k}" for k in range(2, n))][:n]


def _check(name: str, n: int, order: int) -> None:
    if n < 1:
        raise UsageError(f"group {name}{n}: given {n}, expected a number >= 1")
    if order > MOST_ELEMENTS:
        raise UsageError(f"group {name}{'' if 'x' in name else n}: it has {order:,} elements, expected at most {MOST_ELEMENTS:,}")
