"""The mean training loss of a run's networks, and its gradient, by whatever computes it fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from interp.config.changes import Change, SetField, SwapLabels
from interp.cores import torch_threads
from interp.errors import UsageError
from interp.losses import LOSSES
from interp.networks.initial import Trained
from interp.networks.layered import Layered
from interp.networks.network import Network
from interp.networks.one_layer import Weights, forward
from interp.networks.two_embeddings import TwoEmbeddings
from interp.store.run import Run
from interp.tasks.splits import Split
from interp.training.choice import cpu_config
from interp.training.examples import Examples
from interp.training.parameters import Parameters

if TYPE_CHECKING:
    from interp.training.cpu.cpu_engine import CpuEngine


def check_changes(run: Run, steps: Sequence[int]) -> None:
    """Refuse steps at which the run was trained on other answers than the task's, or by another loss than its config's.

    Raises:
        UsageError: naming the change.
    """
    for change in run.config.schedule if run.has_config else ():
        is_other = isinstance(change.what, SwapLabels) or (isinstance(change.what, SetField) and change.what.field == "loss")
        # A change that waits for a phase may act at any step.
        acts = [step for step in steps if isinstance(change.start, str) or _acts(change, step)] if is_other else []
        if acts:
            raise UsageError(
                f"run {run.name}: given step {acts[0]:,}, at which its change {str(change)!r} acts or may act; expected steps at "
                "which it is trained on the task's answers by the loss of its configuration"
            )


def _acts(change: Change, step: int) -> bool:
    return int(change.start) <= step and (change.until is None or step < change.until)


class TrainingLoss:
    """The mean loss of a run over the training pairs of a split; of its function alone, without dropout, batches or decay.

    Args:
        run: the run.
        split: whose training pairs.
        like: a network of the run.

    Raises:
        UsageError: if the network's function is not known.
    """

    def __init__(self, run: Run, split: Split, like: Network) -> None:
        if not isinstance(like, Weights | Layered | TwoEmbeddings):
            raise UsageError(
                f"run {run.name}: given a network of kind {like.kind!r}, expected a transformer or an MLP of two "
                "embeddings, whose gradient is known"
            )
        examples = Examples(np.sort(split.train), np.sort(split.test), run.task.labels)
        config = cpu_config(run.config, like) if run.has_config else None
        self._loss: CpuEngine | _ByAutograd
        if config is None:
            self._loss = _ByAutograd(like, run, examples)
        else:
            from interp.training.cpu.cpu_engine import CpuEngine  # with numba, only where it computes

            self._loss = CpuEngine(config, examples)

    @property
    def parameters(self) -> Parameters:
        """Where weights and gradient are."""
        return self._loss.parameters

    def gradient(self) -> float:
        """The mean loss; leaves its gradient in ``parameters.gradient``."""
        return self._loss.gradient()

    @torch.no_grad()
    def move_to(self, network: Network) -> None:
        """Take the weights of a network."""
        there = self.parameters.weights.tensors()
        for name, tensor in network.tensors().items():
            there[name].copy_(tensor)
        self._loss.adapt()


class _ByAutograd:
    """By autograd, over all pairs at once."""

    def __init__(self, network: Trained, run: Run, examples: Examples) -> None:
        self.parameters = Parameters(network)
        device = self.parameters.flat.device
        self._inputs = torch.from_numpy(run.task.inputs[examples.train]).to(device)
        self._labels = torch.from_numpy(examples.labels[examples.train]).to(device)
        self._loss = LOSSES[run.config.optimizer.loss if run.has_config else "cross_entropy"]

    def adapt(self) -> None:
        """Nothing here is chosen by the weights."""

    def gradient(self) -> float:
        """The mean loss; leaves its gradient."""
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in self.parameters.weights.tensors().items()}
        with torch_threads(1), torch.enable_grad():
            loss = self._loss(self._logits(self.parameters.weights.with_tensors(leaves)), self._labels).mean()
            found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True, allow_unused=True)
        for name, gradient in zip(leaves, found, strict=True):
            self.parameters.gradients[name].copy_(gradient)
        return float(loss.detach())

    def _logits(self, network: Trained) -> Tensor:
        if isinstance(network, Weights):
            return forward(network, self._inputs[:, :2]).all_logits
        return network.logits(self._inputs)
