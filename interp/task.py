"""The task: a binary operation modulo p, its pairs, labels, tokens and seeded train/test splits.

Everything here is integers. Pairs (a, b) are in row-major order, so that pair (a, b) has index ``a * p + b``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import isqrt
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError

Operation = Literal["add", "subtract", "multiply", "x2xyy2"]
SplitRule = Literal["torch", "python"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
SPLIT_RULES: tuple[SplitRule, ...] = get_args(SplitRule)


def is_prime(n: int) -> bool:
    """True if n is a prime number."""
    return n >= 2 and all(n % d for d in range(2, isqrt(n) + 1))


@dataclass(frozen=True)
class ModularTask:
    """Learn ``a operation b (mod p)`` from examples.

    Args:
        p: the modulus, any integer >= 2; even and composite ones too.
        operation: ``add`` a+b, ``subtract`` a-b, ``multiply`` a*b, ``x2xyy2`` a^2+ab+b^2, all mod p.
        equals_sign: read ``a b =`` (answer at ``=``, which is token p) instead of ``a b`` (answer at ``b``).

    >>> task = ModularTask(5)
    >>> task.labels[task.index(3, 4)]
    np.int64(2)
    """

    p: int = 113
    operation: Operation = "add"
    equals_sign: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.p, int) or isinstance(self.p, bool) or self.p < 2:
            raise UsageError(f"task.p: given {self.p!r}, expected an integer >= 2 (the modulus)")
        if self.operation not in OPERATIONS:
            raise UsageError(f"task.operation: given {self.operation!r}, expected one of {', '.join(OPERATIONS)}")
        if not isinstance(self.equals_sign, bool):
            raise UsageError(f"task.equals_sign: given {self.equals_sign!r}, expected true or false")

    @property
    def n_pairs(self) -> int:
        """Number of pairs, p^2."""
        return self.p * self.p

    @property
    def n_ctx(self) -> int:
        """Number of input positions: 3 with ``=``, 2 without."""
        return 3 if self.equals_sign else 2

    @property
    def d_vocab(self) -> int:
        """Number of input tokens: p residues, and ``=`` where it is read."""
        return self.p + int(self.equals_sign)

    @property
    def pairs(self) -> Int64[np.ndarray, "pair 2"]:
        """All p^2 pairs (a, b), row-major."""
        return np.stack(np.divmod(np.arange(self.n_pairs, dtype=np.int64), self.p), axis=1)

    @property
    def labels(self) -> Int64[np.ndarray, " pair"]:
        """The right answer for each of the p^2 pairs, in the order of `pairs`."""
        return self.answer(*self.pairs.T)

    def answer(self, a: Int64[np.ndarray, "*shape"], b: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The operation itself, elementwise, as residues in 0..p-1."""
        match self.operation:
            case "add":
                return (a + b) % self.p
            case "subtract":
                return (a - b) % self.p
            case "multiply":
                return (a * b) % self.p
            case "x2xyy2":
                return (a * a + a * b + b * b) % self.p

    def index(self, a: int, b: int) -> int:
        """Row of the pair (a, b)."""
        if not (0 <= a < self.p and 0 <= b < self.p):
            raise UsageError(f"pair: given ({a}, {b}), expected two residues in 0..{self.p - 1}")
        return a * self.p + b


@dataclass(frozen=True)
class Split:
    """Which pairs are trained on: row indices into ``task.pairs``, in the order the split rule drew them."""

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

    def draw(self, task: ModularTask) -> Split:
        """Draw the split of all p^2 pairs of a task.

        Raises:
            UsageError: if train or test would be empty.
        """
        n_train = int(self.fraction * task.n_pairs)
        if not 0 < n_train < task.n_pairs:
            raise UsageError(
                f"split: fraction {self.fraction} of {task.n_pairs} pairs (p = {task.p}) leaves the "
                f"{'train' if n_train == 0 else 'test'} set empty; choose another fraction or a larger p"
            )
        order = _torch_order(task.n_pairs, self.seed) if self.rule == "torch" else _python_order(task.n_pairs, self.seed)
        return Split(train=order[:n_train], test=order[n_train:])


def _python_order(n: int, seed: int) -> Int64[np.ndarray, " n"]:
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return np.array(order, dtype=np.int64)


def _torch_order(n: int, seed: int) -> Int64[np.ndarray, " n"]:
    import torch  # only here: the configuration and the command line must not wait for torch

    order: Int64[np.ndarray, " n"] = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).numpy()
    return order
