"""What the engines have in common that take gradients by autograd: their optimizer does the rest."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from interp.config.run_config import OptimizerConfig, RunConfig
from interp.cores import torch_threads
from interp.training.optimizer import Optimizer
from interp.training.parameters import Parameters
from interp.training.threads import threads_for


class AutogradEngine:
    """An engine's optimizer, and the loss whose gradient it follows.

    Args:
        config: the run.
        parameters: what is trained.
        optimizer: of these parameters.
    """

    name = "reference"

    def __init__(self, config: RunConfig, parameters: Parameters, optimizer: Optimizer) -> None:
        self.threads = threads_for(config)
        self.parameters = parameters
        self._optimizer, self._loss = optimizer, config.optimizer.loss

    def update(self) -> None:
        """One optimizer update."""
        with torch_threads(self.threads):
            self._optimizer.step()

    def use(self, optimizer: OptimizerConfig) -> None:
        """Other settings of the optimizer from now on."""
        self._optimizer.use(optimizer)
        self._loss = optimizer.loss

    def state(self) -> dict[str, Tensor]:
        """The optimizer's state; what else differs from step to step follows from the number of updates in it."""
        return self._optimizer.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the optimizer's state."""
        self._optimizer.load(state)
