"""What a network does on all pairs, in six numbers: the losses and accuracies, and the two losses that look inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import torch
from jaxtyping import Float
from torch import Tensor

from interp import measures
from interp.harmonics.harmonics import Name, positions, take_logits
from interp.losses import cross_entropy
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_logits
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split
from interp.tasks.task import TableTask

COLUMNS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "restricted_loss", "excluded_loss")


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads a network's logits on a task.

    Args:
        task: what is learned.
        split: which pairs are trained on.
        keys: the key frequencies of the restricted and the excluded loss.
    """

    task: ModularTask | TableTask
    split: Split
    keys: Sequence[Name]

    def of(self, weights: Weights) -> dict[str, float]:
        """The readings of a one-layer transformer, by the names of `COLUMNS`."""
        return self(pair_logits(weights))

    def __call__(self, logits: Float[Tensor, "pair p"]) -> dict[str, float]:
        """The readings of logits of the answers for all pairs; those that need harmonics are NaN where there are none."""
        labels = torch.from_numpy(self.task.labels)
        losses = cross_entropy(logits.double(), labels)
        right = logits.argmax(dim=1) == labels
        train, test = torch.from_numpy(self.split.train), torch.from_numpy(self.split.test)
        found = {
            "train_loss": float(losses[train].mean()),
            "test_loss": float(losses[test].mean()),
            "train_accuracy": float(right[train].double().mean()),
            "test_accuracy": float(right[test].double().mean()),
            "restricted_loss": nan,
            "excluded_loss": nan,
        }
        harmonics = self.task.harmonics
        if harmonics is not None and self.keys:
            taken, line = take_logits(harmonics, logits), harmonics.line
            restricted = measures.restricted_loss(taken, line, harmonics=harmonics, keys=self.keys)
            excluded = measures.excluded_loss(taken, line, harmonics=harmonics, keys=self.keys)
            found["restricted_loss"] = float(restricted.mean())
            found["excluded_loss"] = float(excluded[positions(harmonics, train)].mean())
        return found
