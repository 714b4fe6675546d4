"""The order in which the fast CPU engine visits a run's pairs: chunk by chunk, each thread its own."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, sqrt

import numpy as np
from jaxtyping import Int

from interp.tasks.modular import ModularTask
from interp.tasks.task import TableTask
from interp.training.cpu.kernels import Pairs

_PAIRS = 128  # aimed at in a chunk: their columns, and the rows of the tables they need, fit into a second-level cache


def share_out(
    index: Int[np.ndarray, " n"], task: ModularTask | TableTask, *, threads: int, labels: Int[np.ndarray, " row"] | None = None
) -> Pairs:
    """Some of a task's p^2 pairs, given by their rows, in chunks, each a rectangle of tokens a and b.

    Each thread gets consecutive tokens a, with about equally many pairs; its tokens are cut into blocks, and so are the tokens b.
    They have the task's labels, if no others are given.
    """
    p, index = task.p, np.sort(index)
    side = min(p, max(1, round(sqrt(_PAIRS * task.n_pairs / max(len(index), 1)))))
    a, b = np.divmod(index, p)
    tokens = _cuts(np.searchsorted(a, np.arange(p + 1)), threads)
    # The block of each token at position a: no block spans two threads.
    block_a, starts = np.zeros(p, dtype=np.int64), [0]
    for first, last in pairwise(tokens.tolist()):
        blocks = ceil((last - first) / side)
        block_a[first:last] = starts[-1] + np.arange(last - first) * blocks // max(last - first, 1)
        starts.append(starts[-1] + blocks)
    blocks_b = ceil(p / side)
    chunk = block_a[a] * blocks_b + b * blocks_b // p
    order = np.lexsort((b, a, chunk))
    a, b, chunk = a[order], b[order], chunk[order]
    n_chunks = starts[-1] * blocks_b
    ends = np.searchsorted(chunk, np.arange(n_chunks + 1))
    by_b = np.lexsort((a, b, chunk))
    places, spans, label = (
        by_b - ends[chunk],
        np.array(starts) * blocks_b,
        (task.labels if labels is None else labels)[index[order]],
    )
    thread = np.searchsorted(spans, chunk, side="right")
    of_a, of_b = _groups(a, chunk, thread, n_chunks), _groups(b[by_b], chunk, thread, n_chunks)
    parts = (a, b, label, ends, *of_a, *of_b, places, spans, tokens)
    return Pairs(*(part.astype(np.int32) for part in parts))


def _cuts(first: Int[np.ndarray, " start"], threads: int) -> Int[np.ndarray, " cut"]:
    """Where each thread's tokens begin, given where each token's pairs begin."""
    middle = (first[1:] + first[:-1]) / 2
    cuts = np.searchsorted(middle, np.linspace(0, first[-1], threads + 1))
    cuts[0], cuts[-1] = 0, len(middle)
    return cuts


def _groups(
    token: Int[np.ndarray, " n"], chunk: Int[np.ndarray, " n"], thread: Int[np.ndarray, " n"], n_chunks: int
) -> tuple[Int[np.ndarray, " chunk_start"], Int[np.ndarray, " group_start"], Int[np.ndarray, " group"]]:
    """Runs of equal tokens within chunks: which runs each chunk has, where each begins, and which are the first in a thread."""
    is_new = np.ones(len(token), dtype=bool)
    is_new[1:] = (token[1:] != token[:-1]) | (chunk[1:] != chunk[:-1])
    first = np.flatnonzero(is_new)
    is_first = np.zeros(len(first), dtype=np.int64)
    is_first[np.unique(np.stack([thread[first], token[first]]), axis=1, return_index=True)[1]] = 1
    return np.searchsorted(chunk[first], np.arange(n_chunks + 1)), np.append(first, len(token)), is_first
