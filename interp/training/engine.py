"""What an engine is, and which one a run gets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from interp.config import RunConfig
from interp.errors import UsageError
from interp.training.parameters import Parameters

log = logging.getLogger("interp")


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

    def evaluate(self) -> Evaluation:
        """Test loss and both accuracies at the current weights; changes nothing."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything besides the weights that is needed to go on exactly (live tensors: write or copy at once)."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved `state`; the weights have been set already."""
        ...


def make_engine(config: RunConfig) -> Engine:
    """The engine a config asks for, holding its initial weights.

    ``auto`` takes the fastest that can do what the config asks, and logs why a faster one cannot.

    Raises:
        UsageError: if the named engine cannot do what the config asks; the message says what.
    """
    if config.device != "cpu" and not torch.cuda.is_available():
        raise UsageError(f"device: given {config.device!r}, but no CUDA device is available here; use --device cpu")
    if config.engine == "reference":
        return _reference(config)
    reason, make = _faster(config)
    if reason and config.engine == "auto":
        log.info("engine: reference, because %s", reason)
        return _reference(config)
    return make(config)


def _faster(config: RunConfig) -> tuple[str | None, Callable[[RunConfig], Engine]]:
    """The engine that is faster than the reference, and why it should not be taken."""
    if config.engine == "cuda" or (config.engine == "auto" and config.device != "cpu"):
        from interp.training import cuda

        reason = cuda.refusal(config)
        if reason:
            return f"the cuda engine cannot do {reason}", cuda.CudaEngine
        return None if cuda.is_worth_it(config) else "with so many classes it is the faster one", cuda.CudaEngine
    from interp.training import cpu

    reason = cpu.refusal(config)
    if reason:
        return f"the cpu engine cannot do {reason}", cpu.CpuEngine
    return None if cpu.is_worth_it(config) else "with so few training pairs it is the faster one", cpu.CpuEngine


def _reference(config: RunConfig) -> Engine:
    from interp.training.reference import ReferenceEngine

    return ReferenceEngine(config)
