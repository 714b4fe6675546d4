"""The first triples of a shuffle by Python's `random`, without shuffling: the paper's sample, in a tenth of the time.

``random.shuffle`` swaps element i with a random j_i <= i for i = n-1 .. 1; j_i is the first number in a stream of random words,
each cut to as many bits as i + 1 has, that does not exceed i. The j_i are computed block by block; the place where an element
ends up is then traced back from the last swap to the first.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

# Up to this p the shuffle's swaps fit into a few hundred MB.
LARGEST = 255


def symmetricity_triples(p: int, *, n: int = 100) -> Int64[Tensor, "n 3"]:
    """The first n of all p^3 triples (a, b, c), in order, shuffled by Python's ``random.Random(42)``, as the paper's code has it.

    Above p = 255, where even this takes long, they are ``random.Random(42).sample(range(p^3), n)``. If there are fewer than n
    triples, all are returned.

    >>> symmetricity_triples(59)[0].tolist()
    [29, 1, 57]
    """
    number = torch.tensor(_numbers(p, n), dtype=torch.int64)
    return torch.stack([number // p**2, number // p % p, number % p], dim=1)


@cache
def _numbers(p: int, n: int) -> tuple[int, ...]:
    if p > LARGEST:
        return tuple(random.Random(42).sample(range(p**3), n))
    return tuple(shuffled_head(p**3, n, seed=42))


def shuffled_head(size: int, n: int, *, seed: int) -> list[int]:
    """The first n elements of ``list(range(size))`` after ``random.Random(seed).shuffle``.

    >>> shuffled_head(5, 3, seed=42)
    [3, 1, 2]
    """
    swaps = _swaps(size, seed)
    where = list(range(min(n, size)))
    for i in range(1, min(n, size)):
        other = int(swaps[i])
        where = [other if at == i else i if at == other else at for at in where]
    # From here on every element traced lies below i, and moves only when i is swapped with it.
    traced = {at: element for element, at in enumerate(where)}
    start = len(where)
    while start < size:
        stop = min(size, start + max(64, start // 16))
        block = swaps[start:stop]
        lookup = np.zeros(stop, dtype=bool)
        lookup[list(traced)] = True
        lookup[start:] = True
        for offset in np.nonzero(lookup[block])[0].tolist():
            i, other = start + offset, int(block[offset])
            if other in traced and other != i:
                traced[i] = traced.pop(other)
        start = stop
    ends = {element: at for at, element in traced.items()}
    return [ends[element] for element in range(len(where))]


def _swaps(size: int, seed: int) -> Int64[np.ndarray, " size"]:
    """j_i for i = 1 .. size - 1 (entry 0 is unused), as ``random.Random(seed).shuffle`` draws them."""
    generator, swaps, bound = random.Random(seed), np.zeros(size, dtype=np.int64), size
    words = np.empty(0, dtype=np.uint32)
    while bound > 1:
        bits = bound.bit_length()
        wanted = max(64, bound // 64)
        if len(words) < wanted:
            # A long random integer is the stream of 32-bit words, lowest first.
            more = max(wanted, 2**16)
            drawn = generator.getrandbits(32 * more).to_bytes(4 * more, "little")
            words = np.concatenate([words, np.frombuffer(drawn, dtype="<u4")])
        values = (words[:wanted] >> np.uint32(32 - bits)).astype(np.int64)
        taken = _accepted(values, bound)
        # The number of bits changes when the bound falls below a power of two.
        left = min(bound - 2 ** (bits - 1) + 1, bound - 1)
        places = np.nonzero(taken)[0][:left]
        used = places[-1] + 1 if len(places) == left else wanted
        swaps[bound - 1 - np.arange(len(places))] = values[places]
        words, bound = words[used:], bound - len(places)
    return swaps


def _accepted(values: Int64[np.ndarray, " word"], bound: int) -> np.ndarray:
    """Which words are below the bound, which falls by one with every word accepted."""
    taken = values < bound
    while True:
        again = values < bound - (np.cumsum(taken) - taken)
        if np.array_equal(again, taken):
            return taken
        taken = again
