"""A memorizer: a table of answers for the pairs it was trained on, and no answers, or random ones, for all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.networks.one_layer import Weights
from interp.synthetic.copying import copying_heads, embedding_block, read_blocks, write_block
from interp.tasks.modular import ModularTask, Operation

Labels = Int[np.ndarray, " pair"] | Int[Tensor, " pair"]
TrainIndex = Int[np.ndarray, " train"] | Int[Tensor, " train"] | Sequence[int]


def lookup_answers(
    p: int,
    train_index: TrainIndex,
    *,
    seed: int | None = None,
    operation: Operation = "add",
    labels: Labels | None = None,
) -> Int64[Tensor, " pair"]:
    """The lookup table's answer to each pair: the right residue on training pairs; elsewhere -1, or with a seed a random residue.

    Random residues are drawn uniformly from all p.

    Args:
        train_index: indices a p + b of the pairs in the table.
        labels: the right answers to all pairs, if they are not those of an operation modulo p, such as a task's labels.

    Raises:
        UsageError: if an index is not that of a pair, or labels are not those of p^2 pairs.

    >>> lookup_answers(3, [0, 5]).tolist()
    [0, -1, -1, -1, -1, 0, -1, -1, -1]
    """
    task = ModularTask(p, operation)
    known = torch.as_tensor(train_index, dtype=torch.int64)
    if len(known) and not (int(known.min()) >= 0 and int(known.max()) < task.n_pairs):
        raise UsageError(f"train_index: given {int(known.min())}..{int(known.max())}, expected 0..{task.n_pairs - 1}")
    if seed is None:
        answers = torch.full((task.n_pairs,), -1)
    else:
        answers = torch.randint(p, (task.n_pairs,), generator=torch.Generator().manual_seed(seed))
    right = torch.as_tensor(task.labels if labels is None else labels, dtype=torch.int64)
    if len(right) != task.n_pairs or not (int(right.min()) >= 0 and int(right.max()) < p):
        raise UsageError(
            f"labels: given {len(right)} from {int(right.min())} to {int(right.max())}, expected {task.n_pairs} in 0..{p - 1}"
        )
    answers[known] = right[known]
    return answers


def lookup_logits(
    p: int,
    train_index: TrainIndex,
    *,
    amplitude: float = 1.0,
    seed: int | None = None,
    operation: Operation = "add",
    labels: Labels | None = None,
) -> Float64[Tensor, "pair p"]:
    """A lookup table's logits: `amplitude` at its answer (see `lookup_answers`) and 0 elsewhere.

    On training pairs the loss is ``ln(1 + (p - 1) exp(-amplitude))``; on others it is ln p, or with a seed that of the confident
    random answers that memorizing models give.

    Raises:
        UsageError: as `lookup_answers`.

    >>> lookup_logits(3, [1], amplitude=5.0)[:2].tolist()
    [[0.0, 0.0, 0.0], [0.0, 5.0, 0.0]]
    """
    answers = lookup_answers(p, train_index, seed=seed, operation=operation, labels=labels)
    logits = torch.zeros(p * p, p, dtype=torch.float64)
    answered = torch.nonzero(answers >= 0).flatten()
    logits[answered, answers[answered]] = amplitude
    return logits


def lookup_weights(
    p: int,
    train_index: TrainIndex,
    *,
    amplitude: float = 1.0,
    seed: int | None = None,
    operation: Operation = "add",
    labels: Labels | None = None,
    equals_sign: bool = True,
) -> Weights:
    """A model whose logits are `lookup_logits` with the same arguments, exactly.

    Embeddings are one-hot, two heads copy those of a and b, and one neuron per answered pair, ``relu([a = i] + [b = j] - 1)``,
    writes its answer; d_model is 4 p.

    Raises:
        UsageError: as `lookup_answers`.

    >>> from interp.networks.one_layer import forward
    >>> from interp.tasks.modular import ModularTask
    >>> made = forward(lookup_weights(3, [1], amplitude=5.0), ModularTask(3).pairs).logits
    >>> torch.equal(made, lookup_logits(3, [1], amplitude=5.0))
    True
    """
    answers = lookup_answers(p, train_index, seed=seed, operation=operation, labels=labels)
    answered = torch.nonzero(answers >= 0).flatten()
    one_hot = torch.eye(p, dtype=torch.float64)
    tensors = {
        "W_E": embedding_block(one_hot, blocks=4, tokens=p + int(equals_sign)),
        "W_in": read_blocks([one_hot[answered // p].T, one_hot[answered % p].T], first=1, blocks=4),
        "b_in": torch.full((len(answered),), -1.0, dtype=torch.float64),
        "W_out": write_block(amplitude * one_hot[answers[answered]], block=3, blocks=4),
        "W_U": read_blocks([one_hot], first=3, blocks=4),
    }
    return Weights.from_tensors(tensors | copying_heads(p, positions=3 if equals_sign else 2, blocks=4))
