"""What the compiled passes work on: named tuples of arrays, which they open by way of handles.py."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numba
import numpy as np

from interp.training.cpu.kernels.handles import Handle, Opened, opener

Float1 = Annotated[np.ndarray, numba.float32[::1]]
Float2 = Annotated[np.ndarray, numba.float32[:, ::1]]
Float3 = Annotated[np.ndarray, numba.float32[:, :, ::1]]
Float4 = Annotated[np.ndarray, numba.float32[:, :, :, ::1]]
Float64_1 = Annotated[np.ndarray, numba.float64[::1]]
Int32_1 = Annotated[np.ndarray, numba.int32[::1]]
Int64_1 = Annotated[np.ndarray, numba.int64[::1]]
Int64_2 = Annotated[np.ndarray, numba.int64[:, ::1]]
Index = Annotated[int, numba.int64]
Flag = Annotated[bool, numba.boolean]
Number = Annotated[float, numba.float32]


class Pairs(NamedTuple):
    """The pairs of one pass, ordered by chunk and within a chunk by a; see `pair_chunks.share_out`."""

    a: Int32_1  # (pair,)
    b: Int32_1  # (pair,)
    label: Int32_1  # (pair,)
    chunk: Int32_1  # (chunk + 1,): chunk i has the pairs chunk[i] .. chunk[i + 1]
    group_a: Int32_1  # (chunk + 1,): and the groups group_a[i] .. group_a[i + 1] of equal a
    first_a: Int32_1  # (group + 1,): the pairs of such a group are first_a[j] .. first_a[j + 1]
    new_a: Int32_1  # (group,): 1 where its thread meets that token for the first time, else 0
    group_b: Int32_1  # (chunk + 1,): the same for groups of equal b,
    first_b: Int32_1  # (group + 1,): whose pairs are scattered over the chunk:
    new_b: Int32_1  # (group,)
    by_b: Int32_1  # (pair,): place in its chunk of each pair, sorted by b
    span: Int32_1  # (thread + 1,): thread i has the chunks span[i] .. span[i + 1]
    tokens: Int32_1  # (thread + 1,): and with them the tokens tokens[i] .. tokens[i + 1] at position a


class Model(NamedTuple):
    """Weights, or their gradients, as float32 arrays; a bias that the model lacks has no elements."""

    W_E: Float2  # (p (+ 1), d_model)
    W_pos: Float2  # (position, d_model)
    W_Q: Float3  # (head, d_model, d_head)
    W_K: Float3  # (head, d_model, d_head)
    W_V: Float3  # (head, d_model, d_head)
    W_O: Float2  # (head * d_head, d_model)
    W_in: Float2  # (d_model, neuron)
    W_out: Float2  # (neuron, d_model)
    W_U: Float2  # (d_model, class)
    b_Q: Float2  # (head, d_head)
    b_K: Float2  # (head, d_head)
    b_V: Float2  # (head, d_head)
    b_O: Float1  # (d_model,)
    b_in: Float1  # (neuron,)
    b_out: Float1  # (d_model,)
    b_U: Float1  # (class,)


class Tables(NamedTuple):
    """What `token_tables.TokenTables` holds, and weights laid out as the products need them.

    Where two sizes are given, the first is for models with ``=``, the second for models without.
    """

    x: Float2  # (p + 2, d_model): residuals relative to the fixed position's; the difference of the positions; the fixed one
    to_columns: Float2  # (d_model, column): W_in times the signs, and the direct map to the logits, side by side, padded
    turned: Float4  # (3, head, d_head, d_model): W_Q, W_K (both without `=` only) and W_V, transposed
    v: Float3  # (head, p + 1, d_head)
    fixed_v: Float2  # (head, d_head)
    q: Float3  # (head, 1 or p, d_head), divided by sqrt(d_head)
    k: Float3  # (head, 1 or p + 1, d_model or d_head)
    k_turned: Float3  # (head, d_head, p); without `=` only
    resid: Float2  # (1 or p, d_model): residuals of the base
    head_to_columns: Float2  # (head * d_head, column)
    far: Float3  # (head, p + 1, column): v head_to_columns, for a token at position b
    near: Float3  # (head, p, column): for a token at position a: far plus its last row
    base: Float2  # (1 or p, column)
    scores: Float3  # (head, 1, p + 1) or (head, p, p)
    W_U: Float2  # (d_model, logit column): relative to its last column where logits are relative to the last class
    W_U_turned: Float2  # (logit column, d_model)
    W_L: Float2  # (neuron column, logit column or more)


class Signs(NamedTuple):
    """Which neurons are flipped; see signs.py."""

    sign: Float1  # (neuron column,): 1 or -1
    flipped: Int32_1  # (neuron,): the neurons with sign -1, in order; the rest is unused
    number: Int64_1  # (1,): how many these are
    active: Int64_2  # (thread, neuron column): for how many of a thread's pairs each was active; set to 0 when used


class Strips(NamedTuple):
    """The units that multiply with W_L in one direction, by their addresses: see active.py."""

    whole: Index  # for all strips of classes but the last
    last: Index
    number: Index  # of strips


class Setting(NamedTuple):
    """The scalars of one pass."""

    neuron_columns: Index
    classes: Index
    columns_of_W_L: Index  # those that products need: all classes or, if logits are relative to the last class, all others
    rate: Number  # of attention
    total: Number  # what the attention of one head to all positions adds up to
    forward: Annotated[Handle[Any], Opened(Strips)]
    backward: Annotated[Handle[Any], Opened(Strips)]
    loss: Index  # address of the unit that computes it


class Chunk(NamedTuple):
    """A thread's buffers for the pairs of a chunk."""

    active: Int64_2  # (pair, word): bit j of a pair's words is set if its neuron j is not 0
    columns: Float2  # (pair, column or more): neurons after the ReLU, and logits; their gradient takes their place
    softmax: Float3  # (2, head, pair): of the scores at a and b
    weights: Float3  # (2, head + 1, pair): attention to a and b; a row of ones for the base
    d_scores: Float3  # (2, head, pair)
    d_neurons: Float2  # (row, neuron column or more): gradient between strips of classes, if several; last row: 0


class Gradients(NamedTuple):
    """The gradient of the tables; arrays with a thread dimension are to be summed over it, except `both`, which is scratch space.

    With ``=`` (one base) the gradient of the base comes after the heads in `near`, one part per a; without, in `far`, one per b.
    """

    near: Float3  # (head (+ 1), p, column): of `Tables.far` as it is used at position a
    far: Float4  # (thread, head (+ 1), p, column): as it is used at position b
    both: Float3  # (thread, token + 1, column): scratch: near + far of a thread's tokens; last row: the sum of its near
    v: Float3  # (head, p + 1, d_head)
    last_v: Float3  # (thread, head, d_head): parts of its last row
    parts: Float3  # (thread, head * d_head + 1, column): of the heads' rows of `columns` and, with `=`, of the base
    columns: Float2  # (head * d_head + (1 or p), column): of `Tables.head_to_columns`, and of the base
    scores: Float4  # (thread, head, 1, p + 1), where the first ends up with the sum, or (1, head, p, p)
    W_L: Float3  # (thread, neuron column, logit column or more): the first ends up with the sum
    direct: Float2  # (d_model, logit column): of the direct map to the logits
    linear: Float2  # (neuron, logit column): scratch: what flipped neurons add to the gradient of W_L
    rows: Float2  # (head * d_head + (1 or p), d_model): of W_O and, after it, of the base's residuals
    base: Float2  # (thread, column): of the base, summed over its rows
    resid: Float2  # (thread, d_model): of the residuals of the base, summed over them
    fixed_v: Float3  # (thread, head, d_head)
    q: Float3  # (head, 1 or p, d_head)
    k: Float3  # (head, 1 or p + 1, d_model or d_head)
    asking: Float2  # (head, d_model): of the residual of `=` by way of W_Q
    tokens: Float2  # (thread, d_model): of a thread's share of W_E, summed over tokens


class Sums(NamedTuple):
    """One value per thread."""

    loss: Float64_1  # (thread,)
    correct: Int64_1  # (thread,)


class Moments(NamedTuple):
    """What AdamW updates, and the numbers it needs for that."""

    flat: Float1  # all weights
    gradient: Float1
    mean: Float1  # of gradients
    square: Float1  # mean of their squares
    rates: Float1  # 1 - lr weight_decay, lr / (1 - beta1^n), 1 - beta1, beta2, 1 - beta2, sqrt(1 - beta2^n), eps


class Work(NamedTuple):
    """Number of threads that share the passes and everything the passes work on."""

    threads: Index
    chunks: Int64_1  # (thread,): the address of each thread's `Chunk`
    pairs: Annotated[Handle[Any], Opened(Pairs)]
    model: Annotated[Handle[Any], Opened(Model)]
    tables: Annotated[Handle[Any], Opened(Tables)]
    gradients: Annotated[Handle[Any], Opened(Gradients)]
    setting: Annotated[Handle[Any], Opened(Setting)]
    into: Annotated[Handle[Any], Opened(Model)]  # the gradient of the weights
    sums: Annotated[Handle[Any], Opened(Sums)]
    signs: Annotated[Handle[Any], Opened(Signs)]
    moments: Annotated[Handle[Any], Opened(Moments)]


open_work, open_chunk = opener(Work), opener(Chunk)
