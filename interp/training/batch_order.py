"""The training examples of each update, and the numbers that are dropped in it: functions of the run's seed and the update alone.

So nothing of a generator is stored, and a resumed run draws what an uninterrupted one draws.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from interp.networks.layered_pass import Drop

# What a seed is for, beside the initial weights.
_ORDER, _DROPOUT = 1, 2


class Batches:
    """The examples in batches: every one once in an epoch, whose order is drawn anew; its last batch is what is left.

    Args:
        n: number of examples.
        size: of a batch; None for all of them, in their own order.
        seed: of the run.

    >>> batches = Batches(5, size=2, seed=0)
    >>> sorted(row for update in range(3) for row in batches.rows(update).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, n: int, *, size: int | None, seed: int) -> None:
        self._n, self._size, self._seed = n, size, seed
        self._epoch, self._order = -1, np.arange(n)

    def rows(self, update: int) -> Int64[Tensor, " batch"]:
        """The rows of the batch of an update, counted from 0."""
        if self._size is None:
            return torch.from_numpy(self._order)
        epoch, number = divmod(update, -(-self._n // self._size))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, _generator(self._seed, _ORDER, epoch).permutation(self._n)
        return torch.from_numpy(self._order[number * self._size : (number + 1) * self._size])


def dropping(share: float, *, seed: int, update: int) -> Drop | None:
    """What sets a share of numbers to 0 and divides the others by the rest of it, in an update; None for a share of 0."""
    if not share:
        return None
    drawn = int(_generator(seed, _DROPOUT, update).integers(2**63))
    generator = torch.Generator().manual_seed(drawn)

    def drop(x: Tensor) -> Tensor:
        # Drawn by the CPU, so that every device drops the same.
        kept = torch.rand(x.shape, generator=generator) >= share
        return x * kept.to(x.device) / (1 - share)

    return drop


def _generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose, number])))
