"""A task from outside: multiply permutations of three things, given by its table, with the projectors on its waves."""

from __future__ import annotations

from itertools import permutations

import torch

from interp import binary_operation
from interp.harmonics import GroupHarmonics

ELEMENTS = list(permutations(range(3)))
NUMBER = {g: i for i, g in enumerate(ELEMENTS)}
TABLE = [[NUMBER[tuple(g[i] for i in h)] for h in ELEMENTS] for g in ELEMENTS]

# Characters by the number of things that stay where they are: 3 for the identity, 1 for a swap, 0 for a cycle.
CHARACTERS = {"sign": (1, {3: 1, 1: -1, 0: 1}), "standard": (2, {3: 2, 1: 0, 0: -1})}


def projector(name: str) -> torch.Tensor:
    """P[x, y] = d / 6 * chi(x y^-1)."""
    dimension, chi = CHARACTERS[name]
    fixed = [[sum(x[i] == y[i] for i in range(3)) for y in ELEMENTS] for x in ELEMENTS]  # of x y^-1: where x and y agree
    return dimension / 6 * torch.tensor([[chi[n] for n in row] for row in fixed], dtype=torch.float64)


S3 = binary_operation(
    "products of permutations of three things",
    TABLE,
    harmonics=GroupHarmonics(torch.tensor(TABLE).flatten(), {name: projector(name) for name in CHARACTERS}),
)
