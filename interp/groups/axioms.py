"""Whether a table is a group: every axiom, exactly, and for each that fails the elements that show it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError


def as_table(given: object, *, name: str) -> Int64[np.ndarray, "n n"]:
    """The entries as integers in 0..n-1 (closure).

    Raises:
        UsageError: if they are not a square of them; with row and column.
    """
    where = f"group {name!r}"
    try:
        table = np.asarray(given)
    except ValueError:
        raise UsageError(f"{where}: its table is not square: given rows of different lengths, expected n rows of n") from None
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise UsageError(f"{where}: given a table of shape {table.shape}, expected (n, n): row a, column b, entry a b")
    if table.dtype.kind not in "iu":
        raise UsageError(f"{where}: given entries of type {table.dtype}, expected integers in 0..{len(table) - 1}")
    outside = np.argwhere((table < 0) | (table >= len(table)))
    if len(outside):
        a, b = outside[0]
        raise UsageError(f"{where}: not closed: row {a}, column {b} holds {table[a, b]}, expected an element 0..{len(table) - 1}")
    return np.ascontiguousarray(table, dtype=np.int64)


def identity_of(table: Int64[np.ndarray, "n n"], *, name: str) -> int:
    """The element e with e a = a e = a for every a.

    Raises:
        UsageError: if there is none; with an element that the nearest to one changes.
    """
    elements = np.arange(len(table))
    left, right = (table == elements).sum(axis=1), (elements == table.T).sum(axis=1)
    e = int((left + right).argmax())
    for product, row in (("{e} {a}", table[e]), ("{a} {e}", table[:, e])):
        moved = np.flatnonzero(row != elements)
        if len(moved):
            a = int(moved[0])
            said = product.format(e=e, a=a)
            raise UsageError(f"group {name!r}: no identity: the nearest to one is {e}, but {said} = {row[a]}, not {a}")
    return e


def inverses_of(table: Int64[np.ndarray, "n n"], identity: int, *, name: str) -> Int64[np.ndarray, " n"]:
    """For each element a the b with a b = b a = e.

    Raises:
        UsageError: if one has none; with that element.
    """
    is_inverse = (table == identity) & (identity == table.T)
    without = np.flatnonzero(~is_inverse.any(axis=1))
    if len(without):
        raise UsageError(
            f"group {name!r}: no inverse: no b has {without[0]} b = b {without[0]} = {identity}, the identity "
            f"({len(without)} of {len(table)} elements have none)"
        )
    return is_inverse.argmax(axis=1).astype(np.int64)


def generators_of(table: Int64[np.ndarray, "n n"], identity: int) -> tuple[int, ...]:
    """Few elements whose products, taken from the left, reach all: each the first that those before it do not reach."""
    reached = np.zeros(len(table), dtype=bool)
    reached[identity] = True
    found: list[int] = []
    while not reached.all():
        found.append(int(np.flatnonzero(~reached)[0]))
        edge = np.flatnonzero(reached)
        while len(edge):
            following = np.unique(table[found][:, edge])
            edge = following[~reached[following]]
            reached[edge] = True
    return tuple(found)


def check_associative(table: Int64[np.ndarray, "n n"], generators: tuple[int, ...], *, name: str) -> None:
    """Error unless (a b) c = a (b c) for all a, b, c, by Light's test: enough for every b of a generating set.

    If it holds for b and b' then for b b': (a (b b')) c = ((a b) b') c = (a b) (b' c) = a (b (b' c)) = a ((b b') c). It takes
    n^2 comparisons for each generator instead of n^3, and nothing is left to chance.

    Raises:
        UsageError: with three elements for which it fails.
    """
    for b in generators:
        one, other = table[table[:, b]], table[:, table[b]]  # (a b) c, a (b c)
        wrong = np.argwhere(one != other)
        if len(wrong):
            a, c = wrong[0]
            raise UsageError(f"group {name!r}: not associative: ({a} {b}) {c} = {one[a, c]}, but {a} ({b} {c}) = {other[a, c]}")
