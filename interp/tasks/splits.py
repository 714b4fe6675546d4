"""Which rows are trained on: seeded splits by named rules."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError
from interp.tasks.task import Task

SplitRule = Literal["torch", "python"]

SPLIT_RULES: tuple[SplitRule, ...] = get_args(SplitRule)


@dataclass(frozen=True)
class Split:
    """Which pairs are trained on: row indices into ``task.inputs``, in the order the split rule drew them."""

    train: Int64[np.ndarray, " train"]
    test: Int64[np.ndarray, " test"]

    def __post_init__(self) -> None:
        both = np.concatenate([self.train, self.test])
        if not np.array_equal(np.sort(both), np.arange(len(both))):
            raise UsageError(
                f"split: {len(self.train)} train and {len(self.test)} test indices do not name every pair exactly once"
            )


@dataclass(frozen=True)
class SplitConfig:
    """How the train/test split is drawn.

    Args:
        rule: ``torch``: the first int(fraction * p^2) of ``torch.randperm(p^2)`` on the CPU after seeding, as
            TransformerLens' grokking demo does; ``python``: all pairs in order, ``random.seed``, ``random.shuffle``,
            first int(fraction * p^2), as the official grokking code does, so that its seeds give its splits exactly.
        seed: seed of the split; independent of the seed of the weights.
        fraction: share of all pairs that is trained on, strictly between 0 and 1.
    """

    rule: SplitRule = "torch"
    seed: int = 598
    fraction: float = 0.3

    def __post_init__(self) -> None:
        if self.rule not in SPLIT_RULES:
            raise UsageError(f"split.rule: given {self.rule!r}, expected one of {', '.join(SPLIT_RULES)}")
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or not 0 <= self.seed < 2**63:
            raise UsageError(f"split.seed: given {self.seed!r}, expected an integer in 0..2^63-1")
        if not isinstance(self.fraction, int | float) or not 0 < self.fraction < 1:
            raise UsageError(f"split.fraction: given {self.fraction!r}, expected a number strictly between 0 and 1")

    def draw(self, task: Task) -> Split:
        """Draw the split of all inputs of a task (of a modular one: p^2 pairs).

        Raises:
            UsageError: if train or test would be empty.
        """
        rows = len(task.labels)
        n_train = int(self.fraction * rows)
        if not 0 < n_train < rows:
            raise UsageError(
                f"split: fraction {self.fraction} of {rows} pairs ({task.name}) leaves the "
                f"{'train' if n_train == 0 else 'test'} set empty; choose another fraction or a larger task"
            )
        order = _torch_order(rows, self.seed) if self.rule == "torch" else _python_order(rows, self.seed)
        return Split(train=order[:n_train], test=order[n_train:])


def _python_order(n: int, seed: int) -> Int64[np.ndarray, " n"]:
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return np.array(order, dtype=np.int64)


def _torch_order(n: int, seed: int) -> Int64[np.ndarray, " n"]:
    import torch  # only here: the configuration and the command line must not wait for torch

    order: Int64[np.ndarray, " n"] = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).numpy()
    return order
