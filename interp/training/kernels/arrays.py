"""What the compiled passes are given: named tuples of arrays, which numba takes as they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pairs(NamedTuple):
    """The pairs of one pass, chunk by chunk and within a chunk by a; see `pair_chunks.share_out`."""

    a: np.ndarray  # int32 (pair,)
    b: np.ndarray  # int32 (pair,)
    label: np.ndarray  # int32 (pair,)
    chunk: np.ndarray  # int32 (chunk + 1,): chunk i has the pairs chunk[i] .. chunk[i + 1]
    group_a: np.ndarray  # int32 (chunk + 1,): and the groups of equal a group_a[i] .. group_a[i + 1]
    first_a: np.ndarray  # int32 (group + 1,): the pairs of such a group are first_a[j] .. first_a[j + 1]
    group_b: np.ndarray  # int32 (chunk + 1,): the same for groups of equal b,
    first_b: np.ndarray  # int32 (group + 1,): whose pairs are scattered over the chunk:
    by_b: np.ndarray  # int32 (pair,): place in its chunk of each pair, sorted by b
    span: np.ndarray  # int32 (thread + 1,): thread i has the chunks span[i] .. span[i + 1]
    tokens: np.ndarray  # int32 (thread + 1,): and so the tokens tokens[i] .. tokens[i + 1] at position a


class Tables(NamedTuple):
    """What `tables.Tables` holds, as float32 arrays."""

    v: np.ndarray  # (head, p + 1, d_head)
    head_to_columns: np.ndarray  # (head, d_head, column)
    far: np.ndarray  # (head, p + 1, column): their product, made by `Passes.prepare`
    base: np.ndarray  # (1 or p, column)
    scores: np.ndarray  # (head, 1, p + 1) or (head, p, p)
    W_L: np.ndarray  # (neuron column, logit column or more)


class Setting(NamedTuple):
    """The scalars of one pass."""

    neuron_columns: int
    classes: int
    rate: np.float32  # of attention
    stablemax: bool


class Chunk(NamedTuple):
    """Each thread's buffers for the pairs of a chunk."""

    active: np.ndarray  # int64 (thread, pair, word): bit j of a pair's words tells whether its neuron j is not 0
    columns: np.ndarray  # (thread, pair, column or more): neurons after the ReLU, and logits; their gradient takes their place
    softmax: np.ndarray  # (thread, 2, head, pair): of the scores at a and b
    weights: np.ndarray  # (thread, 2, head + 1, pair): attention to a and b; a row of ones for the base
    d_scores: np.ndarray  # (thread, 2, head, pair)
    near: np.ndarray  # (thread, head, column)
    d_neurons: np.ndarray  # (thread, row, neuron column or more): gradient between strips of classes, if several; last row: 0


class Gradients(NamedTuple):
    """The gradient of the tables; what has a thread dimension is to be summed over it, but for `both`, which is room.

    With ``=`` (one base) `near` has the base's gradient as its last row, a part for each a; without, `far` has it, for each b.
    """

    near: np.ndarray  # (head (+ 1), p, column): of `Tables.far` as it is used at position a
    far: np.ndarray  # (thread, head (+ 1), p, column): as it is used at position b
    both: np.ndarray  # (thread, token + 1, column): room for the sum of near and far of a thread's tokens, and that of its near
    v: np.ndarray  # (head, p + 1, d_head)
    last_v: np.ndarray  # (thread, head, d_head): parts of its last row
    parts: np.ndarray  # (thread, head * d_head + 1, column): of the heads' rows of `columns` and, with `=`, of the base
    columns: np.ndarray  # (head * d_head + (1 or p), column): of `Tables.head_to_columns`, and of the base
    scores: np.ndarray  # (thread, head, 1, p + 1) or (1, head, p, p)
    W_L: np.ndarray  # (thread, neuron column, logit column or more): in the end the first has the sum


class Sums(NamedTuple):
    """One value per thread."""

    loss: np.ndarray  # float64 (thread,)
    correct: np.ndarray  # int64 (thread,)
