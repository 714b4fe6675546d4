"""Binary operations by their formulas: polynomials and quotients modulo p, products in a group.

Those of Power et al. 2022 (arXiv 2201.02177, appendix A.1.1), by the names that they have there.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.harmonics.primes import is_prime

Integers = Int64[np.ndarray, "*shape"]

# How the name of a table of answers that were drawn by chance begins.
RANDOM = "random labels"

# x, y, p -> the answers; those that divide are given 1 in the place of a y that they leave out.
MODULAR: MappingProxyType[str, Callable[[Integers, Integers, int], Integers]] = MappingProxyType(
    {
        "x+y": lambda x, y, p: (x + y) % p,
        "x-y": lambda x, y, p: (x - y) % p,
        "x*y": lambda x, y, p: x * y % p,
        "x/y": lambda x, y, p: x * inverse(y, p) % p,
        "x/y if y odd else x-y": lambda x, y, p: np.where(y % 2 == 1, x * inverse(y, p), x - y) % p,
        "x^2+y^2": lambda x, y, p: (x**2 + y**2) % p,
        "x^2+xy+y^2": lambda x, y, p: (x**2 + x * y + y**2) % p,
        "x^2+xy+y^2+x": lambda x, y, p: (x**2 + x * y + y**2 + x) % p,
        "x^3+xy": lambda x, y, p: (x**3 + x * y) % p,
        "x^3+xy^2+y": lambda x, y, p: (x**3 + x * y**2 + y) % p,
    }
)

# Group, x, y -> the answers.
IN_GROUPS: MappingProxyType[str, Callable[[Group, Integers, Integers], Integers]] = MappingProxyType(
    {
        "x*y": lambda group, x, y: group.table[x, y],
        "x*y*x^-1": lambda group, x, y: group.table[group.table[x, y], group.inverses[x]],
        "x*y*x": lambda group, x, y: group.table[group.table[x, y], x],
    }
)

DIVIDING = ("x/y", "x/y if y odd else x-y")
# Cubes of residues must fit into 64 bits, and the n^2 pairs into a machine.
MOST_MODULUS = 10_000


def inverse(y: Integers, p: int) -> Integers:
    """1/y modulo a prime, ``y^(p-2)``; 0 of 0.

    >>> inverse(np.arange(5), 5).tolist()
    [0, 1, 3, 2, 4]
    """
    power, base, exponent = np.ones_like(y), y % p, p - 2
    while exponent:
        power = power * base % p if exponent % 2 else power
        base, exponent = base * base % p, exponent // 2
    return np.where(y % p == 0, 0, power)


def modular_table(formula: str, p: int) -> Int64[np.ndarray, "p p"]:
    """The answers of a formula of `MODULAR` to all pairs: row x, column y. Of x/y the column y = 0, which has none, is 0.

    Raises:
        UsageError: for a modulus out of 2..10,000, and where a formula divides by one that is not prime.

    >>> modular_table("x/y", 5)[3].tolist()
    [0, 3, 4, 1, 2]
    """
    if not 2 <= p <= MOST_MODULUS:
        raise UsageError(f"task {formula!r}: given modulus {p}, expected an integer in 2..{MOST_MODULUS:,}")
    if formula in DIVIDING and not is_prime(p):
        raise UsageError(f"task {formula!r}: given modulus {p}, expected a prime: else residues other than 0 have no inverse")
    x, y = np.meshgrid(np.arange(p), np.arange(p), indexing="ij")
    return MODULAR[formula](x, y, p)


def group_table(formula: str, group: Group) -> Int64[np.ndarray, "n n"]:
    """The answers of a formula of `IN_GROUPS` to all pairs of elements: row x, column y.

    >>> from interp.groups.by_name import group
    >>> group_table("x*y*x^-1", group("S3"))[1].tolist()
    [0, 1, 5, 4, 3, 2]
    """
    x, y = np.meshgrid(np.arange(group.order), np.arange(group.order), indexing="ij")
    return IN_GROUPS[formula](group, x, y)


def random_labels(p: int, seed: int) -> Int64[np.ndarray, "p p"]:
    """Answers drawn evenly from 0..p-1, for every pair by itself, by numpy's older generator, whose streams stay what they are.

    >>> random_labels(3, 0).tolist()
    [[0, 1, 0], [1, 1, 2], [0, 2, 0]]
    """
    if not 2 <= p <= MOST_MODULUS:
        raise UsageError(f"task 'random labels': given modulus {p}, expected an integer in 2..{MOST_MODULUS:,}")
    if not 0 <= seed < 2**32:
        raise UsageError(f"task 'random labels': given seed {seed}, expected an integer in 0..2^32-1")
    return np.random.RandomState(seed).randint(p, size=(p, p), dtype=np.int64)
