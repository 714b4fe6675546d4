"""The structure of a subgroup in a word, where counting the orders of its elements settles it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import log, prod

import numpy as np
from jaxtyping import Int64

Orders = Mapping[int, int]


def structure_of(table: Int64[np.ndarray, "n n"], members: Int64[np.ndarray, " member"], orders: Int64[np.ndarray, " n"]) -> str:
    """What a subgroup is, such as ``S4``, ``D5`` (of order 10), ``Z2xZ4``; else its order, such as ``order 18``.

    Args:
        table: of the whole group.
        members: the elements of the subgroup.
        orders: of all elements of the group.
    """
    counts, own = Counter(orders[members].tolist()), table[np.ix_(members, members)]
    commutes = (own == own.T).all(axis=1)
    if commutes.all():
        return _abelian(counts)
    name = _dihedral_or_quaternion(table, members, orders) or _known(len(members), counts, centre=int(commutes.sum()))
    return name or f"order {len(members)}"


def _known(m: int, counts: Orders, *, centre: int) -> str | None:
    """A group that few numbers tell from all others of its order.

    Of the groups of order 12 only A4 has 8 elements of order 3. Of those of order 20 only F20, the maps x -> u x + v modulo 5,
    and of those of order 24 only S4 has nothing but the identity that commutes with all. 24 elements of order 5 are those of six
    subgroups, which a solvable group of order 60 or 120 cannot have: A5 is the only other of order 60; of order 120 S5 is the
    only one in which nothing else commutes with all.
    """
    if centre != 1:
        return None
    found = {(12, 8): "A4"}.get((m, counts.get(3, 0))) or {(60, 24): "A5", (120, 24): "S5"}.get((m, counts.get(5, 0)))
    return found or {20: "F20", 24: "S4"}.get(m)


def _dihedral_or_quaternion(table: np.ndarray, members: np.ndarray, orders: np.ndarray) -> str | None:
    """``D`` or ``Q`` where outside a cyclic half all elements are of order 2, or all of order 4 with the same square.

    Then s r s^-1 = r^-1 for r in that half and s outside, since s and s r have the same square, which commutes with r.
    """
    half = _cyclic_half(table, members, orders)
    if half is None:
        return None
    m, outside = len(members), np.setdiff1d(members, half)
    if (orders[outside] == 2).all():
        return f"D{m // 2}" if m > 6 else "S3"
    same = (orders[outside] == 4).all() and len(np.unique(table[outside, outside])) == 1
    return f"Q{m}" if same else None


def _cyclic_half(table: np.ndarray, members: np.ndarray, orders: np.ndarray) -> np.ndarray | None:
    """The powers of an element of half the order; None if there is none."""
    generators = members[orders[members] * 2 == len(members)]
    if not len(generators):
        return None
    powers = [generators[0]]
    while len(powers) * 2 < len(members):
        powers.append(table[powers[-1], generators[0]])
    return np.array(powers)


def _abelian(counts: Orders) -> str:
    """Z_m x Z_n x .. with m a divisor of n, and so on, of an abelian group with so many elements of each order.

    p^i x = 1 has p^(sum_j min(e_j, i)) solutions in the product of the cyclic groups of orders p^(e_j): the number of factors
    with e_j >= i is by how much the exponent grows from i - 1 to i.
    """
    total, factors = sum(counts.values()), []
    for p in (p for p in range(2, total + 1) if total % p == 0 and all(p % q for q in range(2, p))):
        logs = [0]
        while len(logs) == 1 or logs[-1] > logs[-2]:
            solutions = sum(number for order, number in counts.items() if p ** len(logs) % order == 0)
            logs.append(round(log(solutions, p)))
        ranks = np.diff(logs)  # how many factors have e_j >= 1, 2, ..
        factors.append([p ** int((ranks > j).sum()) for j in range(int(ranks[0]))])
    longest = max(len(powers) for powers in factors)
    filled = [powers + [1] * (longest - len(powers)) for powers in factors]
    return "x".join(f"Z{prod(column)}" for column in reversed(list(zip(*filled, strict=True))))
