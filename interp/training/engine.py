"""What an engine is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from interp.config.run_config import OptimizerConfig
from interp.training.parameters import Parameters


@dataclass(frozen=True)
class Evaluation:
    """What is measured between updates, at the current weights: the mean test loss and both accuracies."""

    test_loss: float
    train_accuracy: float
    test_accuracy: float


class Engine(Protocol):
    """Computes one run's losses, gradients and updates. Engines differ in speed, never in the function they compute."""

    name: str
    threads: int
    parameters: Parameters

    def gradient(self) -> float:
        """Mean training loss at the current weights; leaves its gradient in ``parameters.gradient``."""
        ...

    def update(self) -> None:
        """One optimizer update with the gradient that `gradient` left."""
        ...

    def use(self, optimizer: OptimizerConfig) -> None:
        """Compute and update with other settings of the optimizer from now on.

        Raises:
            UsageError: if this engine cannot change them while it trains.
        """
        ...

    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies at the current weights; changes nothing."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything besides the weights needed to continue exactly (live tensors: write or copy at once)."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved `state`; the weights have been set already."""
        ...
