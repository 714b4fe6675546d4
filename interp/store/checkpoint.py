"""One saved step of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from interp.networks.network import Network
from interp.networks.one_layer import Weights


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One saved step.

    Attributes:
        step: number of updates applied.
        weights: the model, on the CPU; see `network` for any other kind of network.
        losses: this step's line of the history: train_loss, test_loss, train_accuracy, test_accuracy, sum_squared_weights;
            None where not measured.
        sha256: hash of the checkpoint's file.
        path: where the file is.
    """

    step: int
    weights: Weights
    losses: Mapping[str, float | None]
    sha256: str
    path: Path

    @property
    def network(self) -> Network:
        """The model, whatever its kind: the same object as `weights`."""
        return self.weights
