"""The reference engine for every other network and way of training: autograd, batches, dropout, torch's optimizers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.config.run_config import RunConfig
from interp.cores import torch_threads
from interp.losses import LOSSES, correct
from interp.networks.initial import initial_network
from interp.networks.layered import Layered
from interp.networks.layered_pass import Drop
from interp.networks.one_layer import Weights
from interp.training.autograd_engine import AutogradEngine
from interp.training.batch_order import Batches, dropping
from interp.training.engine import Evaluation
from interp.training.examples import Examples, examples_of
from interp.training.general_demand import EVALUATED_AT_ONCE
from interp.training.optimizer import Optimizer
from interp.training.parameters import Parameters
from interp.training.precision import full_precision
from interp.training.torch_optimizers import TorchOptimizer


class GeneralEngine(AutogradEngine):
    """Gradients of any of this toolkit's networks on the batch of each update, by autograd.

    A step's training loss is that of the batch of the update that follows it, with its dropout; without batches and dropout, that
    of all training examples. What is evaluated is evaluated on all examples, without dropout.
    """

    def __init__(self, config: RunConfig, examples: Examples | None = None) -> None:
        parameters = Parameters(initial_network(config))
        adamw = TorchOptimizer(config.optimizer, parameters)
        super().__init__(config, parameters, Optimizer(config.optimizer, parameters, adamw=adamw))
        self._dropout, self._seed = config.model.dropout, config.seed
        given, device = examples or examples_of(config), config.device
        inputs, labels = torch.from_numpy(config.task.inputs).to(device), torch.from_numpy(given.labels).to(device)
        self._train = inputs[given.train], labels[given.train]
        self._test = inputs[given.test], labels[given.test]
        self._batches = Batches(len(given.train), size=config.optimizer.batch_size, seed=config.seed)
        self._has_batches = config.optimizer.batch_size is not None

    def gradient(self) -> float:
        """Mean loss of the batch of the next update; its gradient by autograd."""
        update, (inputs, labels) = self._optimizer.updates, self._train
        if self._has_batches:
            rows = self._batches.rows(update).to(inputs.device)
            inputs, labels = inputs[rows], labels[rows]
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self.parameters.weights.tensors().items()}
        drop = dropping(self._dropout, seed=self._seed, update=update)
        with torch_threads(self.threads), full_precision(), torch.enable_grad():
            loss = LOSSES[self._loss](self._logits(leaves, inputs, drop), labels).mean()
            # What takes no part (queries and keys, with attention rate 0) has gradient zero.
            found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True, allow_unused=True)
        for name, gradient in zip(leaves, found, strict=True):
            self.parameters.gradients[name].copy_(gradient)
        return float(loss.detach())

    @torch.no_grad()
    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies, of all examples, without dropout."""
        with torch_threads(self.threads), full_precision():
            train = self._evaluated(self._train[0])
            test = self._evaluated(self._test[0])
            test_loss = LOSSES[self._loss](test, self._test[1]).mean()
        return Evaluation(
            test_loss=float(test_loss),
            train_accuracy=float(correct(train, self._train[1]).double().mean()),
            test_accuracy=float(correct(test, self._test[1]).double().mean()),
        )

    def _evaluated(self, inputs: Int[Tensor, "row pos"]) -> Float[Tensor, "row classes"]:
        tensors = self.parameters.weights.tensors()
        return torch.cat([self._logits(tensors, part, None) for part in torch.split(inputs, EVALUATED_AT_ONCE)])

    def _logits(
        self, tensors: Mapping[str, Tensor], inputs: Int[Tensor, "row pos"], drop: Drop | None
    ) -> Float[Tensor, "row classes"]:
        network = self.parameters.weights.with_tensors(tensors)
        return (Layered.of(network) if isinstance(network, Weights) else network).logits(inputs, drop=drop)
