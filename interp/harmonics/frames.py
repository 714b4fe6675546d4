"""Frames: operations that become addition when pairs and residues are reordered, so that every measure of addition applies.

Multiplying units modulo a prime p adds their exponents to a primitive root modulo p - 1: the waves of Z/(p-1) over exponents are
the multiplicative characters.
"""

from __future__ import annotations

from functools import cache

import torch

from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.residues import powers, unit_pairs


@cache
def addition(p: int) -> CyclicHarmonics:
    """a + b modulo p, as it is."""
    return CyclicHarmonics(p)


@cache
def subtraction(p: int) -> CyclicHarmonics:
    """a - b modulo p: b is replaced by -b.

    >>> subtraction(3).rows.tolist()
    [0, 2, 1, 3, 5, 4, 6, 8, 7]
    """
    residue = torch.arange(p)
    return CyclicHarmonics(p, rows=(residue[:, None] * p + (-residue) % p).flatten())


@cache
def multiplication(p: int) -> CyclicHarmonics:
    """a b modulo a prime p > 2: units by their exponents, modulo p - 1; pairs with 0 and the class 0 are left out.

    Raises:
        UsageError: if p is not a prime greater than 2.

    >>> multiplication(3).rows.tolist(), multiplication(3).classes.tolist()
    ([4, 5, 7, 8], [1, 2])
    """
    return CyclicHarmonics(p - 1, rows=unit_pairs(p), classes=powers(p))


@cache
def division(p: int) -> CyclicHarmonics:
    """a / b modulo a prime p > 2: as multiplication, with 1/b in the place of b: a difference of exponents.

    Raises:
        UsageError: if p is not a prime greater than 2.

    >>> division(5).rows.tolist()[:4], division(5).classes.tolist()
    ([6, 8, 9, 7], [1, 2, 4, 3])
    """
    power = powers(p)
    inverse = power[(-torch.arange(p - 1)) % (p - 1)]  # g^-j
    return CyclicHarmonics(p - 1, rows=(power[:, None] * p + inverse).flatten(), classes=power)
