"""The examples of a run: which pairs are trained on, which are tested, and what is said to be their answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from interp.config.changes import SwapLabels, TrainOn
from interp.config.run_config import RunConfig
from interp.errors import UsageError


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of the task's pairs to train on and to test, and the label of every row."""

    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]
    labels: Int[np.ndarray, " row"]


def examples_of(config: RunConfig) -> Examples:
    """Those that a config's split draws, with the task's answers."""
    split = config.split.draw(config.task)
    return Examples(split.train, split.test, config.task.labels)


def check_batch(config: RunConfig) -> None:
    """Error if a batch is larger than the training set, which of whole blocks is drawn for it.

    Raises:
        UsageError: with the number of examples that the split draws.
    """
    if config.optimizer.batch_size is not None and config.split.blocks:
        config.optimizer.check_batch(len(config.split.draw(config.task).train))


def with_pairs(base: Examples, change: TrainOn) -> Examples:
    """A fraction of all pairs to train on: some of those that there are, or all of them and some more.

    What is taken out and what is added stands in one order, which the seed draws: a smaller fraction is part of a larger one, and
    going down and up again gives the same pairs. What is not trained on is tested.

    Raises:
        UsageError: if train or test would be empty.
    """
    rows = len(base.train) + len(base.test)
    number, generator = round(change.fraction * rows), np.random.Generator(np.random.PCG64(change.seed))
    if not 0 < number < rows:
        raise UsageError(f"changes: {change}: given {number} of {rows} pairs, expected some to train on and some to test")
    kept, added = generator.permutation(base.train)[:number], generator.permutation(base.test)
    chosen = np.concatenate([kept, added[: number - len(kept)]])
    if len(chosen) == len(base.train):
        return base
    # In the order that they had: the loss is summed in it.
    train = np.concatenate([base.train[np.isin(base.train, chosen)], base.test[np.isin(base.test, chosen)]])
    rest = np.concatenate([base.test, base.train])
    return Examples(train, rest[~np.isin(rest, chosen)], base.labels)


def with_swapped_labels(base: Examples, change: SwapLabels) -> Examples:
    """The labels of a share of the training pairs, each given to the next of them."""
    generator = np.random.Generator(np.random.PCG64(change.seed))
    chosen = generator.permutation(base.train)[: round(change.share * len(base.train))]
    labels = base.labels.copy()
    labels[chosen] = base.labels[np.roll(chosen, 1)]
    return Examples(base.train, base.test, labels)
