"""All subgroups of a group, by classes of conjugates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Int64

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.groups.subgroup_names import structure_of

# The most subgroups that are listed; S5 has 156, A6 501, D256 520. Z2xZ2xZ2xZ2xZ2xZ2 has 2,825, with nothing to tell them apart.
MOST_SUBGROUPS = 600


@dataclass(frozen=True, eq=False)
class SubgroupClass:
    """A subgroup and its conjugates.

    Args:
        name: its structure, such as ``S4`` or ``Z2xZ2``, or its order where this says no more; in angles elements that
            generate it, where another class has the same.
        members: the elements of each conjugate, ascending.
        index: how many cosets each has.
    """

    name: str
    members: Int64[np.ndarray, "conjugate member"]
    index: int

    def __repr__(self) -> str:
        return f"SubgroupClass({self.name!r}, {len(self.members)} conjugates of order {self.order})"

    @property
    def order(self) -> int:
        """Number of elements of each."""
        return self.members.shape[1]


@cache
def subgroup_classes(group: Group) -> tuple[SubgroupClass, ...]:
    """The subgroups of a group but itself and the identity alone, by classes of conjugates, the largest first.

    Every subgroup is one that was found before and one more element of prime-power order. Those elements are tried once for each
    class of subgroups, and one of those that elements which leave the subgroup as it is move to each other.

    Raises:
        UsageError: if there are more than 600.

    >>> from interp.groups.by_name import group
    >>> [(one.name, len(one.members)) for one in subgroup_classes(group("S3"))]
    [('Z3', 1), ('Z2', 3)]
    >>> [one.name for one in subgroup_classes(group("Q8"))]
    ['Z4 ⟨i⟩', 'Z4 ⟨j⟩', 'Z4 ⟨k⟩', 'Z2']
    """
    trivial = np.array([group.identity])
    seeds, known = _of_prime_powers(group), {trivial.tobytes()}
    found, left = [], [trivial[None]]
    while left:
        conjugates = left.pop()
        for seed in _up_to_normalizer(group, conjugates[0], seeds):
            larger = _generated(group, conjugates[0], seed)
            if larger.tobytes() not in known:
                its = _conjugates(group, larger)
                known.update(one.tobytes() for one in its)
                if len(known) > MOST_SUBGROUPS:
                    raise UsageError(f"group {group.name}: it has more than {MOST_SUBGROUPS} subgroups, too many to list")
                left.append(its)
                found.append(its)
    proper = sorted((its for its in found if its.shape[1] < group.order), key=lambda its: (-its.shape[1], its[0].tolist()))
    return tuple(
        SubgroupClass(name, its, group.order // its.shape[1]) for name, its in zip(_names(group, proper), proper, strict=True)
    )


def orders_of(group: Group) -> Int64[np.ndarray, " n"]:
    """The order of each element: the least k > 0 with g^k = 1."""
    every, orders = np.arange(group.order), np.zeros(group.order, dtype=np.int64)
    power, k = every, 1
    while not orders.all():
        orders[(power == group.identity) & (orders == 0)] = k
        power, k = group.table[power, every], k + 1
    return orders


def _of_prime_powers(group: Group) -> Int64[np.ndarray, " seed"]:
    """One generator of each cyclic subgroup of prime-power order: together they generate every subgroup that has them."""
    seeds: dict[bytes, int] = {}
    for g in np.flatnonzero([_is_prime_power(int(order)) for order in orders_of(group)]).tolist():
        seeds.setdefault(group.subgroup([g]).tobytes(), g)
    return np.array(list(seeds.values()), dtype=np.int64)


def _is_prime_power(n: int) -> bool:
    p = next((p for p in range(2, n + 1) if n % p == 0), n)
    while n > 1 and n % p == 0:
        n //= p
    return p > 1 and n == 1


def _up_to_normalizer(group: Group, members: np.ndarray, seeds: np.ndarray) -> list[int]:
    """Seeds outside a subgroup, one of each orbit of cyclic subgroups under the elements that leave the subgroup as it is."""
    inside = _mask(group, members)
    moved = group.table[group.table[:, members], group.inverses[:, None]]
    normalizer = np.flatnonzero(inside[moved].all(axis=1))
    done, chosen = inside.copy(), []
    for seed in seeds[~inside[seeds]].tolist():
        if not done[seed]:
            chosen.append(seed)
            done[group.table[group.table[normalizer, seed], group.inverses[normalizer]]] = True
    return chosen


def _generated(group: Group, members: np.ndarray, seed: int) -> Int64[np.ndarray, " member"]:
    """The subgroup that a subgroup and one more element generate."""
    found = np.append(members, seed)
    while True:
        products = np.flatnonzero(_mask(group, group.table[found[:, None], found]))
        if len(products) == len(found):
            return products
        found = products


def _conjugates(group: Group, members: np.ndarray) -> Int64[np.ndarray, "conjugate member"]:
    moved = group.table[group.table[:, members], group.inverses[:, None]]  # [g, k] -> g k g^-1
    return np.unique(np.sort(moved, axis=1), axis=0)


def _mask(group: Group, elements: np.ndarray) -> Bool[np.ndarray, " n"]:
    found = np.zeros(group.order, dtype=bool)
    found[elements] = True
    return found


def _names(group: Group, classes: list[np.ndarray]) -> list[str]:
    """Structures, and what generates the first of the conjugates where several classes have the same."""
    orders = orders_of(group)
    names = [structure_of(group.table, its[0], orders) for its in classes]
    return [
        f"{name} ⟨{', '.join(group.elements[g] for g in _generators(group, its[0], orders))}⟩" if names.count(name) > 1 else name
        for name, its in zip(names, classes, strict=True)
    ]


def _generators(group: Group, members: np.ndarray, orders: np.ndarray) -> list[int]:
    """Few elements that generate a subgroup: each the first of the largest order that those before it do not reach."""
    reached, chosen = np.array([group.identity]), []
    while len(reached) < len(members):
        others = np.setdiff1d(members, reached)
        chosen.append(int(others[orders[others].argmax()]))
        reached = group.subgroup(chosen)
    return chosen
