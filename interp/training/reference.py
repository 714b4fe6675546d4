"""The reference engine: autograd through the plain forward pass. Any device, any architecture that Weights can hold."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.config.run_config import RunConfig
from interp.cores import torch_threads
from interp.losses import LOSSES, correct
from interp.networks.gradients import mean_loss_and_gradients
from interp.networks.initial import initial_weights
from interp.networks.one_layer import Weights, forward
from interp.training.autograd_engine import AutogradEngine
from interp.training.engine import Evaluation
from interp.training.examples import Examples, examples_of
from interp.training.optimizer import Optimizer
from interp.training.parameters import Parameters
from interp.training.precision import full_precision


class ReferenceEngine(AutogradEngine):
    """Full-batch gradients by autograd; what every other engine is tested against."""

    def __init__(self, config: RunConfig, examples: Examples | None = None) -> None:
        parameters = Parameters(initial_weights(config))
        super().__init__(config, parameters, Optimizer(config.optimizer, parameters))
        given, device = examples or examples_of(config), config.device
        pairs, labels = torch.from_numpy(config.task.pairs).to(device), torch.from_numpy(given.labels).to(device)
        self._train = pairs[given.train], labels[given.train]
        self._test = pairs[given.test], labels[given.test]

    def gradient(self) -> float:
        """Mean training loss; its gradient by autograd."""
        with torch_threads(self.threads), full_precision():
            loss, gradients, _ = mean_loss_and_gradients(self.parameters.weights, *self._train, loss=self._loss)
        for name, gradient in gradients.items():
            self.parameters.gradients[name].copy_(gradient)
        return float(loss)

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies."""
        with torch_threads(self.threads), full_precision():
            train_logits, _ = self._losses(self.parameters.weights, *self._train)
            test_logits, test_losses = self._losses(self.parameters.weights, *self._test)
        return Evaluation(
            test_loss=float(test_losses.mean()),
            train_accuracy=float(correct(train_logits, self._train[1]).double().mean()),
            test_accuracy=float(correct(test_logits, self._test[1]).double().mean()),
        )

    def _losses(
        self, weights: Weights, pairs: Int[Tensor, "pair 2"], labels: Int[Tensor, " pair"]
    ) -> tuple[Float[Tensor, "pair classes"], Float[Tensor, " pair"]]:
        logits = forward(weights, pairs).all_logits
        return logits, LOSSES[self._loss](logits, labels)
