"""Multiplication modulo p: units, zero divisors, and the discrete logarithm that turns products into sums.

The units of a prime p are the powers g^0 .. g^(p-2) of a primitive root g. Written by their exponents, a b = c (mod p) is
i + j = k (mod p - 1): the waves of Z/(p-1) over exponents are the multiplicative characters, and every measure of addition
applies to units, with ``FourierBasis(p - 1)``. A composite modulus has no such reindexing in general; its pairs divide into
those of units and those with a zero divisor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.measures.grid import line_index
from interp.task import Operation, is_prime


@dataclass(frozen=True, eq=False)
class Frame:
    """How an operation is read as addition: reorder pairs and residues, and every measure of addition applies.

    Args:
        modulus: of that addition.
        pairs: for its modulus^2 pairs in row-major order, their indices among the p^2 pairs.
        residues: for its residues in order, the residues modulo p (rows of W_E and W_L, classes of the logits).
    """

    modulus: int
    pairs: Int64[Tensor, " pair"]
    residues: Int64[Tensor, " residue"]

    @property
    def labels(self) -> Int64[Tensor, " pair"]:
        """The right answers, in the frame's own order of classes."""
        return line_index(self.modulus, "sum")

    def logits(self, logits: Float[Tensor, "all_pairs classes"]) -> Float[Tensor, "pair residue"]:
        """Logits of all p^2 pairs, in the frame's order of pairs and classes."""
        return logits if self._is_plain and logits.shape[1] == self.modulus else logits[self.pairs][:, self.residues]

    def rows(self, values: Float[Tensor, "all_pairs ..."]) -> Float[Tensor, "pair ..."]:
        """Neurons or attention of all p^2 pairs, in the frame's order of pairs; not a copy where that order is the usual one."""
        return values if self._is_plain else values[self.pairs]

    @cached_property
    def _is_plain(self) -> bool:
        return all(torch.equal(order, torch.arange(len(order))) for order in (self.pairs, self.residues))

    def positions(self, pairs: Int[Tensor, " chosen"]) -> Int64[Tensor, " found"]:
        """Where pairs, given by their indices among all p^2, lie in the frame; those that it leaves out are dropped."""
        where = torch.full((int(self.pairs.max()) + 1,), -1)
        where[self.pairs] = torch.arange(len(self.pairs))
        found = where[pairs[pairs < len(where)]]
        return found[found >= 0]


def addition_frame(p: int, operation: Operation) -> Frame:
    """The frame in which an operation is addition.

    ``add``: as it is. ``subtract``: b is replaced by -b. ``multiply`` modulo a prime > 2: units by their exponents, modulo
    p - 1; pairs with 0 and the class 0 are left out.

    Raises:
        UsageError: for multiplication modulo anything else, and for x2xyy2: no reordering makes them addition.

    >>> addition_frame(3, "subtract").pairs.tolist()
    [0, 2, 1, 3, 5, 4, 6, 8, 7]
    """
    residue = torch.arange(p)
    match operation:
        case "add":
            return Frame(p, torch.arange(p * p), residue)
        case "subtract":
            return Frame(p, (residue[:, None] * p + (-residue) % p).flatten(), residue)
        case "multiply":
            return Frame(p - 1, unit_pairs(p), powers(p))
    raise UsageError(f"operation {operation}: no reordering makes it an addition, so that measures of waves do not apply")


def units(n: int) -> Int64[Tensor, " unit"]:
    """The residues with an inverse modulo n, ascending.

    >>> units(6).tolist()
    [1, 5]
    """
    return torch.tensor([a for a in range(n) if gcd(a, n) == 1], dtype=torch.int64)


def zero_divisors(n: int) -> Int64[Tensor, " divisor"]:
    """The residues without an inverse modulo n, 0 among them, ascending.

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
            f"given p = {p}, expected a prime greater than 2: only then are the units of multiplication powers of one root with "
            "waves; for a composite modulus measure the pairs of `both_units` and the others apart"
        )
    for root in range(2, p):
        found = [1]
        while (following := found[-1] * root % p) != 1:
            found.append(following)
        if len(found) == p - 1:
            return torch.tensor(found, dtype=torch.int64)
    raise AssertionError(f"every prime has a primitive root, {p} too")


def discrete_logarithm(p: int) -> Int64[Tensor, " p"]:
    """For each residue its exponent, ``g^log(a) = a``; -1 for 0, which has none.

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


def by_exponent(logits: Float[Tensor, "pair p"]) -> Float[Tensor, "unit_pair exponent"]:
    """Logits of multiplication modulo a prime as logits of addition modulo p - 1: pairs and classes are units, by exponent.

    The class 0 and pairs with a 0 are left out. Labels are then ``line_index(p - 1, "sum")``, the basis ``FourierBasis(p - 1)``;
    neurons and attention are reordered by `unit_pairs` alone, W_E and W_L by `powers`.

    >>> from interp.task import ModularTask
    >>> right = torch.nn.functional.one_hot(torch.from_numpy(ModularTask(5, "multiply").labels)).double()
    >>> by_exponent(right).argmax(dim=1).tolist() == [(i + j) % 4 for i in range(4) for j in range(4)]
    True
    """
    p = logits.shape[1]
    if logits.shape[0] != p * p:
        raise UsageError(f"logits: given shape {tuple(logits.shape)}, expected (p^2, p)")
    return logits[unit_pairs(p)][:, powers(p)]
