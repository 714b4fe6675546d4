"""Group: a finite group as a value, its Cayley table and the names of its elements in a fixed order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError
from interp.groups.axioms import as_table, check_associative, generators_of, identity_of, inverses_of

# The largest group whose table is made: beyond, the n^2 pairs are more than a network learns on a machine.
MOST_ELEMENTS = 1024


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group. Groups that were made alike, of equal tables and names of elements, are equal.

    ``table[a, b]`` is the product a b, and so the answer to the pair (a, b): where elements are maps, b acts first, then a.

    Args:
        name: such as ``S5``.
        table: entry (a, b) is the number of the product a b.
        elements: the name of each element, in the order of the table.
        made: how it was made in closed form, such as ``("symmetric", 5)``: by it irreducible representations are found. Empty
            for a table.
        factors: of a direct product.

    Raises:
        UsageError: if the table is not a group: each violation with the elements that show it.

    >>> xor = Group.from_table([[0, 1], [1, 0]], name="xor")
    >>> xor.order, xor.identity, xor.inverses.tolist(), xor.is_abelian
    (2, 0, [0, 1], True)
    """

    name: str
    table: Int64[np.ndarray, "n n"]
    elements: tuple[str, ...]
    made: tuple[str | int, ...] = ()
    factors: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        table = as_table(self.table, name=self.name)
        if len(table) > MOST_ELEMENTS:
            raise UsageError(f"group {self.name!r}: given {len(table):,} elements, expected at most {MOST_ELEMENTS:,}")
        if len(self.elements) != len(table) or len(set(self.elements)) != len(table):
            raise UsageError(
                f"group {self.name!r}: given {len(set(self.elements))} different names for {len(table)} elements, "
                "expected as many"
            )
        table.flags.writeable = False
        object.__setattr__(self, "table", table)
        assert len(self.inverses) == len(table)  # the errors for an axiom that fails
        check_associative(table, self.generators, name=self.name)

    @classmethod
    def from_table(cls, table: object, *, name: str = "table", elements: Sequence[str] | None = None) -> Group:
        """The group of a Cayley table: row a, column b, entry a b, in 0..n-1.

        Args:
            table: n x n integers; the identity may be any of them.
            name: of the group.
            elements: the name of each; by default its number.

        Raises:
            UsageError: if it is not a group: not closed, no identity, an element without inverse, or not associative.
        """
        checked = as_table(table, name=name)
        return cls(name, checked, tuple(map(str, range(len(checked)) if elements is None else elements)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Group({self.name!r}, {self.order} elements)"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its table, the names of its elements, and how it was made."""
        texts = "\0".join(map(str, (*self.elements, *self.made)))
        return hashlib.sha256(self.table.tobytes() + texts.encode()).hexdigest()

    @property
    def order(self) -> int:
        """Number of elements."""
        return len(self.table)

    @cached_property
    def identity(self) -> int:
        """Number of the identity."""
        return identity_of(self.table, name=self.name)

    @cached_property
    def inverses(self) -> Int64[np.ndarray, " n"]:
        """Number of each element's inverse."""
        return inverses_of(self.table, self.identity, name=self.name)

    @cached_property
    def generators(self) -> tuple[int, ...]:
        """Few elements whose products are all elements."""
        return generators_of(self.table, self.identity)

    @cached_property
    def is_abelian(self) -> bool:
        """Whether a b = b a for all pairs."""
        return bool((self.table == self.table.T).all())

    @cached_property
    def classes(self) -> Int64[np.ndarray, " n"]:
        """The conjugacy class of each element, numbered by their first elements.

        >>> from interp.groups.by_name import group
        >>> group("S3").classes.tolist()
        [0, 1, 1, 2, 2, 1]
        """
        conjugates = self.table[self.table, self.inverses[:, None]]  # [g, x] -> g x g^-1
        first = conjugates.min(axis=0)
        return np.searchsorted(np.unique(first), first).astype(np.int64)

    def index(self, element: str) -> int:
        """Number of the element with a name.

        Raises:
            UsageError: if none has it.

        >>> from interp.groups.by_name import group
        >>> group("S3").index("213")
        2
        """
        if element not in self.elements:
            few = ", ".join(self.elements[:8]) + (", ..." if self.order > 8 else "")
            raise UsageError(f"group {self.name}: given element {element!r}, expected one of {few}")
        return self.elements.index(element)

    def subgroup(self, generators: Sequence[str | int]) -> Int64[np.ndarray, " member"]:
        """The elements of the subgroup that some elements generate, ascending.

        >>> from interp.groups.by_name import group
        >>> group("S3").subgroup(["231"]).tolist()
        [0, 3, 4]
        """
        numbers = [self.index(one) if isinstance(one, str) else int(one) for one in generators]
        if any(not 0 <= one < self.order for one in numbers):
            raise UsageError(f"group {self.name}: given elements {numbers}, expected numbers in 0..{self.order - 1}")
        reached = np.zeros(self.order, dtype=bool)
        edge = np.array([self.identity])
        while len(edge):
            reached[edge] = True
            following = np.unique(self.table[numbers][:, edge])
            edge = following[~reached[following]]
        return np.flatnonzero(reached)
