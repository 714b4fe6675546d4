"""Whether a model works: how often it is right over all pairs, beside how often a constant answer would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Int64

from interp.cores import torch_threads
from interp.interop.held_network import Held, HeldTask, all_logits
from interp.losses import correct, cross_entropy
from interp.networks.one_layer import Weights, forward
from interp.tasks.modular import OPERATIONS, ModularTask, Operation
from interp.tasks.splits import Split

# To choose between readings of a file, a sample of the pairs is enough; a report of how good a model is takes them all.
_SAMPLE = 1024
# A model works if it is right for a tenth of the pairs that a constant answer gets wrong, and not by luck.
_SHARE, _SIGMAS = 0.1, 5.0
# Trained models are right for this share of their training pairs, and seldom trained on more than half of all.
_TRAINED, _HALF = 0.9, 0.5


@dataclass(frozen=True)
class Working:
    """How often a model is right.

    Attributes:
        operation: the operation whose answers were expected.
        accuracy: share of pairs with the right answer.
        chance: the share that the best constant answer gets.
        pairs: number of pairs looked at.
    """

    operation: str
    accuracy: float
    chance: float
    pairs: int

    @property
    def excess(self) -> float:
        """The share of what a constant answer gets wrong that the model gets right; 0 for chance, 1 for a perfect model."""
        return (self.accuracy - self.chance) / (1 - self.chance)

    @property
    def works(self) -> bool:
        """Whether this is far better than chance."""
        return self.excess > max(_SHARE, self._luck)

    @property
    def is_mostly_right(self) -> bool:
        """Whether it is right for more than half of the pairs."""
        return self.works and self.accuracy > _HALF

    @property
    def is_near_chance(self) -> bool:
        """Whether a constant answer would do about as well."""
        return self.excess <= max(0.02, self._luck)

    @property
    def _luck(self) -> float:
        return _SIGMAS * sqrt(self.chance / (1 - self.chance) / self.pairs)

    def is_far_better_than(self, other: Working) -> bool:
        """Whether this works, and is right at least twice as often above chance."""
        return self.works and self.excess > 2 * other.excess


@dataclass(frozen=True)
class Performance:
    """Mean loss over all output classes, and accuracy, of one model on all pairs and on each part of its split (if known)."""

    step: int | None
    loss: float
    accuracy: float
    train: tuple[float, float] | None
    test: tuple[float, float] | None
    working: Working

    @property
    def is_too_seldom_right(self) -> bool:
        """Whether a model that was trained to the end would be right more often on the pairs that it was trained on.

        Where these are not known: on half of all pairs, more than most train on.
        """
        return self.accuracy < _HALF if self.train is None else self.train[1] < _TRAINED

    @property
    def of(self) -> str:
        """Which model it is of: that of a step, where that is known."""
        return "model" if self.step is None else f"model of step {self.step:,}"

    def __str__(self) -> str:
        """In words."""
        parts = {"all pairs": (self.loss, self.accuracy)} if self.train is None else {"train": self.train, "test": self.test}
        return ", ".join(
            f"accuracy {part[1]:.4g} and loss {part[0]:.4g} on {name}" for name, part in parts.items() if part is not None
        )


@torch.no_grad()
def working(weights: Weights, operations: Sequence[Operation] = OPERATIONS) -> Working:
    """How well a model does the one of some operations that it does best, on a sample of the pairs."""
    task = ModularTask(weights.p, equals_sign=weights.equals_sign)
    chosen = _sampled(task.n_pairs)
    with torch_threads(1):  # a small model's matrices are too small to be shared out
        answers = forward(weights.to(device="cpu", dtype=torch.float64), task.pairs[chosen]).all_logits.argmax(dim=1).numpy()
    found = [_compared(answers, ModularTask(weights.p, name).labels, chosen, name) for name in operations]
    return max(found, key=lambda one: one.excess)


@torch.no_grad()
def performance(weights: Held, task: HeldTask, split: Split | None, *, step: int | None) -> Performance:
    """Loss and accuracy of one model on all pairs, and on train and test if the split is known; in float64."""
    labels = torch.from_numpy(task.labels)
    logits = all_logits(weights, task)
    losses, right = cross_entropy(logits, labels), correct(logits, labels).double()
    everything = np.arange(task.n_pairs)
    parts = [everything, *([split.train, split.test] if split is not None else [])]
    found = [(float(losses[index].mean()), float(right[index].mean())) for index in parts]
    how = _compared(logits.argmax(dim=1).numpy(), task.labels, everything, task.operation)
    train, test = found[1:] or (None, None)
    return Performance(step, *found[0], train, test, how)


def _sampled(n: int) -> Int64[np.ndarray, " pair"]:
    if n <= _SAMPLE:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, _SAMPLE, replace=False))


def _compared(
    answers: Int64[np.ndarray, " pair"],
    labels: Int64[np.ndarray, " all"],
    chosen: Int64[np.ndarray, " pair"],
    operation: str,
) -> Working:
    chance = np.bincount(labels).max() / len(labels)
    return Working(operation, float((answers == labels[chosen]).mean()), float(chance), len(chosen))
