"""One moment of a training: the module as it is now, asked once, and its ordinary curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import UsageError, unknown
from interp.losses import LOSSES, correct
from interp.networks.module_network import LOGITS, ModuleNetwork
from interp.tasks.splits import Split
from interp.tasks.task import Task

# Of the logits (row, class) and the labels of some rows: a loss for each, or their mean.
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Watched:
    """What is looked at, again and again.

    Args:
        network: the module that is trained.
        task: what it learns.
        split: which rows it is trained on.
        loss: of logits and labels.
    """

    network: ModuleNetwork
    task: Task
    split: Split
    loss: Loss

    def now(self) -> Moment:
        """The module as it is at this moment."""
        return Moment(self.network, self.task.inputs)

    def check(self) -> None:
        """Ask for a few answers, in which every token has its turn, before anything is written.

        Raises:
            UsageError: if the module cannot be called, or does not answer with logits of the task's classes.
        """
        if not self.network.tensors():
            raise UsageError(f"model: {type(self.network.module).__name__} has no tensors, expected something that is trained")
        some = np.arange(len(self.task.inputs))[:2]
        self._check_loss(self._asked(some), some)
        self._asked(_rows_of_all_tokens(self.task.inputs))

    def _asked(self, rows: Int[np.ndarray, " row"]) -> Tensor:
        network, some = self.network, self.task.inputs[rows]
        try:
            logits = network.activations(some)[LOGITS]
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"model: {type(network.module).__name__} cannot be called with tokens of shape {some.shape} "
                f"({type(error).__name__}: {error}); inputs=, a function of the tokens, returns what it "
                "is called with: a tensor, a tuple or a dict"
            ) from error
        if logits.shape[1] < self.task.classes:
            raise UsageError(
                f"model: given logits of shape {tuple(logits.shape)} for tokens of shape {some.shape}, expected at least the "
                f"{self.task.classes} classes of {self.task.name!r} along the last axis"
            )
        return logits

    def _check_loss(self, logits: Tensor, rows: Int[np.ndarray, " row"]) -> None:
        labels = torch.from_numpy(self.task.labels[rows]).to(logits.device)
        try:
            with torch.no_grad():
                value = self.loss(logits, labels)
        except Exception as error:
            raise UsageError(
                f"loss: cannot be called with logits of shape {tuple(logits.shape)} and labels of shape {tuple(labels.shape)} "
                f"({type(error).__name__}: {error})"
            ) from error
        if not isinstance(value, Tensor) or value.shape not in ((), (len(rows),)):
            given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UsageError(
                f"loss: given {given} for {len(rows)} rows, expected a tensor: one value for each row, or their mean"
            )

    def is_finite(self) -> bool:
        """Whether the weights are finite, as far as their sums tell: where they are not, the loss is not."""
        with torch.no_grad():
            sums = [parameter.sum().double().cpu() for parameter in self.network.module.parameters()]
            return not sums or bool(torch.stack(sums).isfinite().all())

    def curves(self, moment: Moment) -> dict[str, float | None]:
        """Loss and accuracy on the rows that are trained on and on the others, and the sum of squared parameters."""
        with torch.no_grad():
            logits = moment.activations(self.task.inputs)[LOGITS]
            labels = torch.from_numpy(self.task.labels).to(logits.device)
            right = correct(logits, labels)
            # Ours give a loss for each row: no rows need be copied. Somebody's own may see only those that it is to be a mean of.
            each = self.loss(logits, labels).double() if self.loss in LOSSES.values() else None
            found: dict[str, float | None] = {}
            for name, rows in (("train", self.split.train), ("test", self.split.test)):
                if len(rows):
                    part = torch.from_numpy(rows).to(logits.device)
                    of_part = self.loss(logits[part], labels[part]).double() if each is None else each[part]
                    found[f"{name}_loss"] = float(of_part.mean())
                    found[f"{name}_accuracy"] = float(right[part].double().mean())
            squares = [parameter.double().square().sum() for parameter in self.network.module.parameters()]
            return {**found, "sum_squared_weights": float(torch.stack([one.cpu() for one in squares]).sum()) if squares else None}


@dataclass(frozen=True, eq=False)
class Moment:
    """A `Network` that is asked once: all that look at one step see the same answers, on all inputs of the task.

    Args:
        network: the module.
        inputs: the task's inputs.
    """

    network: ModuleNetwork
    inputs: Int[np.ndarray, "row pos"]

    @property
    def kind(self) -> str:
        """That of the module."""
        return self.network.kind

    def tensors(self) -> dict[str, Tensor]:
        """Copies of those of the module: whoever looks cannot change what is trained."""
        return {name: tensor.detach().clone() for name, tensor in self.network.tensors().items()}

    def facts(self) -> Mapping[str, Any]:
        """Those of the module."""
        return self.network.facts()

    def activations(self, inputs: Int[np.ndarray, "row pos"]) -> dict[str, Float[Tensor, "row ..."]]:
        """What the module computes; of the task's inputs computed once."""
        if inputs is not self.inputs and not np.array_equal(inputs, self.inputs):
            return self.network.activations(inputs)
        known: dict[str, Tensor] | None = self.__dict__.get("_known")
        if known is None:
            known = self.network.activations(inputs)
            object.__setattr__(self, "_known", known)
        return known


def _rows_of_all_tokens(inputs: Int[np.ndarray, "row pos"]) -> Int[np.ndarray, " row"]:
    """The first row of each token at each position."""
    return np.unique(np.concatenate([np.unique(column, return_index=True)[1] for column in inputs.T]))


def loss_named(loss: str | Loss) -> tuple[Loss, str]:
    """A loss and its name, of either.

    Raises:
        UsageError: for an unknown name, or what is no function.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise unknown("loss", loss, LOSSES)
        return LOSSES[loss], loss
    if isinstance(loss, type):
        raise UsageError(
            f"loss: given the class {loss.__name__}, expected a function of (logits, labels), such as {loss.__name__}()"
        )
    if not callable(loss):
        raise UsageError(
            f"loss: given {type(loss).__name__}, expected one of {', '.join(LOSSES)}, or a function of (logits, labels)"
        )
    return loss, getattr(loss, "__name__", type(loss).__name__)
