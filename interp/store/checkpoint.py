"""One saved step of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from interp.errors import UsageError
from interp.networks.network import Network
from interp.networks.one_layer import Weights


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One saved step.

    Attributes:
        step: number of updates applied.
        network: the model, on the CPU; `weights` is the same, where it is a one-layer transformer.
        losses: this step's line of the history: train_loss, test_loss, train_accuracy, test_accuracy, sum_squared_weights;
            None where not measured.
        sha256: hash of the checkpoint's file.
        path: where the file is.
    """

    step: int
    network: Network
    losses: Mapping[str, float | None]
    sha256: str
    path: Path

    def __repr__(self) -> str:
        known = {name: value for name, value in self.losses.items() if value is not None and not name.startswith("sum")}
        told = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in known.items())
        return f"Checkpoint(step {self.step:,}{f': {told}' if told else ''}; {self.network!r})"

    @property
    def weights(self) -> Weights:
        """The one-layer transformer.

        Raises:
            UsageError: if the network is another.
        """
        if not isinstance(self.network, Weights):
            raise UsageError(
                f"step {self.step}: this needs a one-layer transformer, given a network of kind {self.network.kind!r}; "
                "its tensors are in checkpoint.network"
            )
        return self.network
