"""Which rows are trained on: seeded splits by named rules."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int64

from interp.errors import UsageError
from interp.tasks.modular import ModularTask
from interp.tasks.pair_blocks import APART, blocks_of, read_blocks, twins_of
from interp.tasks.task import TableTask, Task, answered

SplitRule = Literal["torch", "python", "numpy", "numpy-generator", "sklearn", "random-split"]

SPLIT_RULES: tuple[SplitRule, ...] = get_args(SplitRule)

# Seeds of numpy's older generator have 32 bits.
_SEEDS: dict[str, int] = {"numpy": 2**32, "sklearn": 2**32}


@dataclass(frozen=True)
class Split:
    """Which pairs are trained on: row indices into ``task.inputs``, in the order the split rule drew them.

    Any sequences of integers are taken, and become arrays of int64.

    Args:
        train: rows that are trained on.
        test: rows that are not.
        left_out: rows of a table that have no answer, if there are any.

    Raises:
        UsageError: for what is no sequence of integers, or if they do not name every row once.

    >>> Split([0, 3], range(1, 3)).test
    array([1, 2])
    """

    train: Int64[np.ndarray, " train"]
    test: Int64[np.ndarray, " test"]
    left_out: Int64[np.ndarray, " hole"] | None = None

    def __repr__(self) -> str:
        return f"Split({len(self.train):,} rows to train on, {len(self.test):,} to test)"

    def __post_init__(self) -> None:
        for name in ("train", "test", *(() if self.left_out is None else ("left_out",))):
            object.__setattr__(self, name, _rows(name, getattr(self, name)))
        both = np.concatenate([self.train, self.test, *([] if self.left_out is None else [self.left_out])])
        if not np.array_equal(np.sort(both), np.arange(len(both))):
            raise UsageError(
                f"split: {len(self.train)} train and {len(self.test)} test indices do not name every pair exactly once"
            )


def _rows(name: str, given: object) -> Int64[np.ndarray, " row"]:
    """Row indices as an array of int64, of integers in any sequence: a list, a range, a tensor in the CPU's memory."""
    try:
        found = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"split.{name}: given {type(given).__name__} ({error}), expected row indices: integers") from error
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        of = f" of {found.dtype}, shape {found.shape}" if found.ndim else ""
        masks = "; np.flatnonzero(mask) gives those of a mask" if found.dtype == bool else ""
        raise UsageError(f"split.{name}: given {type(given).__name__}{of}, expected row indices: integers in one sequence{masks}")
    return found.astype(np.int64, copy=False)


@dataclass(frozen=True)
class SplitConfig:
    """How the train/test split is drawn.

    In every rule all pairs stand in order, (0, 0), (0, 1), ..., and are shuffled by somebody's generator; n = p^2.

    Args:
        rule: ``torch``: the first int(fraction * n) of ``torch.randperm(n)`` on the CPU after seeding, as TransformerLens'
            grokking demo does; ``python``: ``random.seed``, ``random.shuffle``, first int(fraction * n), as the official
            grokking code does, so that its seeds give its splits exactly; ``numpy``: the first int(fraction * n) of
            ``np.random.seed(seed); np.random.permutation(n)`` (``np.random.shuffle`` draws the same); ``numpy-generator``:
            those of ``np.random.default_rng(seed).permutation(n)``; ``sklearn``: ``train_test_split(pairs,
            train_size=fraction, random_state=seed)``; ``random-split``: ``torch.utils.data.random_split(pairs, [fraction,
            1 - fraction])`` after seeding, whose train set is one pair larger than int(fraction * n) where n is not divided
            evenly (given lengths instead of fractions it is ``torch``). numpy keeps the streams of its older generator for
            good; those of ``default_rng`` may change with its version, and so may ``numpy-generator``.
        seed: seed of the split; independent of the seed of the weights. Those of ``numpy`` and ``sklearn`` are below 2^32.
        fraction: share of all pairs that is trained on, strictly between 0 and 1; with blocks, share of the blocks.
        blocks: pairs that are trained on together or not at all: `a`, `b`, `answer`, `a mod 4`, `a in cosets of 21345`, `twins`,
            or `twins apart` (docs/tasks.md says what each tests); by default every pair by itself.
    """

    rule: SplitRule = "torch"
    seed: int = 598
    fraction: float = 0.3
    blocks: str = ""

    def __post_init__(self) -> None:
        read_blocks(self.blocks)
        if self.rule not in SPLIT_RULES:
            raise UsageError(f"split.rule: given {self.rule!r}, expected one of {', '.join(SPLIT_RULES)}")
        most = _SEEDS.get(self.rule, 2**63)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or not 0 <= self.seed < most:
            is_long = isinstance(self.seed, int) and self.seed.bit_length() > 256  # Python does not write out the longest
            given = f"an integer of {self.seed.bit_length():,} bits" if is_long else repr(self.seed)
            raise UsageError(f"split.seed: given {given}, expected an integer in 0..2^{most.bit_length() - 1}-1")
        if not isinstance(self.fraction, int | float) or not 0 < self.fraction < 1:
            raise UsageError(f"split.fraction: given {self.fraction!r}, expected a number strictly between 0 and 1")

    def draw(self, task: Task) -> Split:
        """Draw the split of all inputs of a task (of a modular one: p^2 pairs).

        Raises:
            UsageError: if train or test would be empty.
        """
        among = answered(task)
        if not self.blocks:
            train, test = self._cut(among, task.name, "pairs")
            return Split(train, test, _left_out(task))
        train = self._apart(task, among) if self.blocks == APART else self._whole(task, among)
        return Split(train, among[~np.isin(among, train)], _left_out(task))

    def _cut(
        self, among: Int64[np.ndarray, " n"], where: str, what: str
    ) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " test"]]:
        """A fraction of some things and the others, in the order in which the rule draws them."""
        n, n_train = len(among), self.count(len(among))
        if not 0 < n_train < n:
            raise UsageError(
                f"split: fraction {self.fraction} of {n} {what} ({where}) leaves the "
                f"{'train' if n_train == 0 else 'test'} set empty; choose another fraction or a larger task"
            )
        order = among[shuffled(self.rule, self.seed, n)]
        if self.rule == "sklearn":  # the test set is taken first, then the train set
            return order[n - n_train :], order[: n - n_train]
        return order[:n_train], order[n_train:]

    def _whole(self, task: Task, among: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " train"]:
        """Whole blocks: a fraction of the blocks, one after the other."""
        numbers, block = np.unique(blocks_of(task, self.blocks)[among], return_inverse=True)
        chosen, _ = self._cut(np.arange(len(numbers)), task.name, f"blocks of {self.blocks!r}")
        place = np.full(len(numbers), len(numbers))
        place[chosen] = np.arange(len(chosen))
        order = np.argsort(place[block], kind="stable")
        return among[order[: int(np.isin(block, chosen).sum())]]

    def _apart(self, task: Task, among: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " train"]:
        """Pairs of which the twin is not among them: each that is drawn before its twin, until there are enough."""
        n, rank = len(among), np.full(len(task.labels), len(among))
        order = among[shuffled(self.rule, self.seed, n)]
        rank[order] = np.arange(n)
        twin = twins_of(task)
        before = order[(rank[order] < rank[twin[order]]) | (twin[order] == order)]
        n_train = self.count(n)
        if not 0 < n_train <= len(before):
            raise UsageError(
                f"split: fraction {self.fraction} of {n} pairs ({task.name}) is {n_train} pairs, expected 1..{len(before)}: more "
                "cannot be trained on without a pair and its twin"
            )
        return before[:n_train]

    def count_of(self, task: Task) -> int:
        """The number of a task's rows that are trained on."""
        return self.count(_n_answered(task))

    def count(self, rows: int) -> int:
        """The number of rows that are trained on.

        >>> SplitConfig(fraction=0.3).count(49), SplitConfig("random-split", fraction=0.3).count(49)
        (14, 15)
        """
        if self.rule == "random-split":
            return rows - int(rows * (1 - self.fraction))
        return int(self.fraction * rows)


def _n_answered(task: Task) -> int:
    """As many as `answered`, without making them: a modular task may be one for a larger machine."""
    if isinstance(task, TableTask):
        return len(answered(task))
    return task.n_pairs if isinstance(task, ModularTask) else len(task.labels)


def _left_out(task: Task) -> Int64[np.ndarray, " hole"] | None:
    return task.left_out if isinstance(task, TableTask) else None


def shuffled(rule: SplitRule, seed: int, n: int) -> Int64[np.ndarray, " n"]:
    """The numbers below n in the order in which a rule draws them; a split cuts it in two.

    >>> shuffled("numpy", 0, 5).tolist()
    [2, 0, 1, 3, 4]
    """
    if rule == "python":
        order = list(range(n))
        random.Random(seed).shuffle(order)
        return np.array(order, dtype=np.int64)
    if rule in ("numpy", "sklearn"):
        legacy = np.random.RandomState(seed)  # the stream that splits were drawn from
        return legacy.permutation(n).astype(np.int64)
    if rule == "numpy-generator":
        return np.random.default_rng(seed).permutation(n).astype(np.int64)
    import torch  # only here: the configuration and the command line must not wait for torch

    found: Int64[np.ndarray, " n"] = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).numpy()
    return found
