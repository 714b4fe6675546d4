"""Symmetric groups by hand: elements, tables, characters and the projectors on their irreducible representations."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from interp.harmonics import GroupHarmonics
from interp.tasks.task import TableTask, binary_operation

# Character tables (rows: irreducible representations, by cycle type), as they stand in every textbook.
CHARACTERS = {
    3: {
        "sign": {(1, 1, 1): 1, (2, 1): -1, (3,): 1},
        "standard": {(1, 1, 1): 2, (2, 1): 0, (3,): -1},
    },
    4: {
        "sign": {(1, 1, 1, 1): 1, (2, 1, 1): -1, (2, 2): 1, (3, 1): 1, (4,): -1},
        "two": {(1, 1, 1, 1): 2, (2, 1, 1): 0, (2, 2): 2, (3, 1): -1, (4,): 0},
        "standard": {(1, 1, 1, 1): 3, (2, 1, 1): 1, (2, 2): -1, (3, 1): 0, (4,): -1},
        "standard x sign": {(1, 1, 1, 1): 3, (2, 1, 1): -1, (2, 2): -1, (3, 1): 0, (4,): 1},
    },
}


def elements(n: int) -> list[tuple[int, ...]]:
    """All permutations of n things, in the order of `itertools.permutations`."""
    return list(permutations(range(n)))


def cycle_type(g: tuple[int, ...]) -> tuple[int, ...]:
    """Lengths of the cycles, longest first."""
    left, lengths = set(range(len(g))), []
    while left:
        at, length = left.pop(), 1
        while (at := g[at]) in left:
            left.remove(at)
            length += 1
        lengths.append(length)
    return tuple(sorted(lengths, reverse=True))


def cayley_table(n: int) -> np.ndarray:
    """Entry (g, h) is the number of the product g h, h applied first."""
    numbers = {g: i for i, g in enumerate(elements(n))}
    return np.array([[numbers[tuple(g[i] for i in h)] for h in elements(n)] for g in elements(n)])


def character(n: int, name: str) -> Tensor:
    """chi(x y^-1) for all x and y."""
    table, values = cayley_table(n), CHARACTERS[n][name]
    by_element = np.array([values[cycle_type(g)] for g in elements(n)], dtype=np.float64)
    inverse = np.argmax(table == 0, axis=1)
    return torch.from_numpy(by_element[table[:, inverse]])


def harmonics(n: int) -> GroupHarmonics:
    """The harmonics of the symmetric group of n things."""
    order = len(elements(n))
    dimensions = {name: values[(1,) * n] for name, values in CHARACTERS[n].items()}
    projectors = {name: d / order * character(n, name) for name, d in dimensions.items()}
    return GroupHarmonics(torch.from_numpy(cayley_table(n)).flatten(), projectors)


def task(n: int, *, equals_sign: bool = True) -> TableTask:
    """Learn to multiply permutations of n things."""
    return binary_operation(f"S{n}", cayley_table(n), equals_sign=equals_sign, harmonics=harmonics(n))


def character_logits(n: int, keys: list[str], *, amplitude: float) -> Tensor:
    """A planted circuit: the logit of c on (g, h) is amplitude times the sum of chi(g h c^-1) over the key representations."""
    return amplitude * sum(character(n, name) for name in keys)[torch.from_numpy(cayley_table(n)).flatten()]
