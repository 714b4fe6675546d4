"""Residues modulo n under multiplication: units, zero divisors, and the discrete logarithm that turns products into sums.

The units of a prime p are the powers g^0 .. g^(p-2) of a primitive root g. Written by their exponents, a b = c (mod p) is
i + j = k (mod p - 1). A composite modulus has no such reindexing in general; its pairs divide into those of units and those with
a zero divisor.
"""

from __future__ import annotations

from math import gcd

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.harmonics.primes import is_prime, powers_of_root


def units(n: int) -> Int64[Tensor, " unit"]:
    """The residues with an inverse modulo n, ascending.

    >>> units(6).tolist()
    [1, 5]
    """
    return torch.tensor([a for a in range(n) if gcd(a, n) == 1], dtype=torch.int64)


def zero_divisors(n: int) -> Int64[Tensor, " divisor"]:
    """The residues without an inverse modulo n, including 0, ascending.

    >>> zero_divisors(6).tolist()
    [0, 2, 3, 4]
    """
    return torch.tensor([a for a in range(n) if gcd(a, n) != 1], dtype=torch.int64)


def both_units(n: int) -> Bool[Tensor, " pair"]:
    """For each of the n^2 pairs in row-major order: whether both a and b have an inverse."""
    unit = torch.zeros(n, dtype=torch.bool)
    unit[units(n)] = True
    return (unit[:, None] & unit).flatten()


def powers(p: int) -> Int64[Tensor, " exponent"]:
    """``g^0, g^1, .., g^(p-2)`` modulo a prime p, g being the smallest primitive root.

    Raises:
        UsageError: if p is not a prime greater than 2 (whose units have no wave but the constant).

    >>> powers(7).tolist()
    [1, 3, 2, 6, 4, 5]
    """
    if not is_prime(p) or p == 2:
        raise UsageError(
            f"given p = {p}, expected a prime greater than 2: only then are the units powers of one root and have "
            "waves; for a composite modulus measure the pairs of `both_units` and the others separately"
        )
    return torch.tensor(powers_of_root(p), dtype=torch.int64)


def discrete_logarithm(p: int) -> Int64[Tensor, " p"]:
    """The exponent of each residue, ``g^log(a) = a``; -1 for 0, which has none.

    Raises:
        UsageError: as `powers`.

    >>> discrete_logarithm(7).tolist()
    [-1, 0, 2, 1, 4, 5, 3]
    """
    logarithm = torch.full((p,), -1)
    logarithm[powers(p)] = torch.arange(p - 1)
    return logarithm


def unit_pairs(p: int) -> Int64[Tensor, " unit_pair"]:
    """Indices of the (p-1)^2 pairs of units in the order of their exponents: entry i (p-1) + j is the pair (g^i, g^j).

    >>> unit_pairs(3).tolist()  # (1, 1), (1, 2), (2, 1), (2, 2)
    [4, 5, 7, 8]
    """
    power = powers(p)
    return (power[:, None] * p + power).flatten()
