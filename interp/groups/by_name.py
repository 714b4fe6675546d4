"""Groups by name: ``S5``, ``A5``, ``D12``, ``Q8``, ``Z113``, ``Z2xZ4``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.groups.families import alternating, cyclic, dihedral, direct_product, quaternion, symmetric

FAMILIES: dict[str, Callable[[int], Group]] = {
    "Z": cyclic,
    "D": dihedral,
    "S": symmetric,
    "A": alternating,
    "Q": quaternion,
}

KNOWN = (
    "Z113 (integers modulo 113), D12 (symmetries of a 12-gon, of order 24), S5 (permutations of 5 things), A5 (the even ones), "
    "Q8 (quaternions; Q12, Q16, ... by their order), and products such as Z2xZ4"
)

_FACTOR = "[ZDSAQ][1-9][0-9]{0,3}"


def is_group_name(name: str) -> bool:
    """Whether a text has the form of a group's name.

    >>> is_group_name("Z2xZ4"), is_group_name("S"), is_group_name("x+y")
    (True, False, False)
    """
    return re.fullmatch(f"{_FACTOR}(x{_FACTOR})*", name) is not None


@cache
def group(name: str) -> Group:
    """The group with a name: a letter and a number, or several joined by ``x``.

    ``Zn`` the integers modulo n; ``Dn`` the dihedral group of ORDER 2n; ``Sn``, ``An`` permutations of n things; ``Qm`` the
    generalised quaternion group of ORDER m. Elements stand in the orders that `interp.groups.families` defines.

    Raises:
        UsageError: for another name, and a group of more than 1,024 elements.

    >>> group("S5").order, group("D12").order, group("Z2xZ4").order
    (120, 24, 8)
    """
    if not isinstance(name, str) or not is_group_name(name):
        raise UsageError(f"group: given {name!r:.80}, expected a name such as {KNOWN}; another by its table: Group.from_table")
    factors = [FAMILIES[part[0]](int(part[1:])) for part in name.split("x")]
    return factors[0] if len(factors) == 1 else direct_product(*factors)
