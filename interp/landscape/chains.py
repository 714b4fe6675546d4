"""Chains of Langevin dynamics: draws of weights around those that they begin with."""

from __future__ import annotations

from math import isfinite
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from interp.cores import torch_threads
from interp.landscape.langevin import Langevin


class Flat(Protocol):
    """Weights and their gradient, each as one vector."""

    @property
    def flat(self) -> Float[Tensor, " n"]:
        """The weights, which are changed in place."""
        ...

    @property
    def gradient(self) -> Float[Tensor, " n"]:
        """The gradient that was computed last."""
        ...


class Loss(Protocol):
    """A mean loss as a function of weights; every `interp.training` engine is one."""

    @property
    def parameters(self) -> Flat:
        """Where weights and gradient are."""
        ...

    def gradient(self) -> float:
        """The mean loss at the present weights; leaves its gradient in ``parameters.gradient``."""
        ...


@torch.no_grad()
def chain(
    loss: Loss, how: Langevin, *, n_beta: float, noise: int, where: Float[Tensor, " n"]
) -> tuple[float, Float64[np.ndarray, " draw"], Float64[np.ndarray, " draw"]]:
    """The mean loss at the weights as they are; at every draw of one chain that begins there, the loss and the distance |w - w*|.

    Afterwards the weights are put back. A chain that diverges is NaN from there on.

    Args:
        loss: of which weights.
        how: they are drawn.
        n_beta: see `Langevin`.
        noise: the seed of its noise.
        where: 1 for every number that is drawn, 0 for those that stay.
    """
    flat, gradient = loss.parameters.flat, loss.parameters.gradient
    generator = torch.Generator().manual_seed(noise)
    centre, moved = flat.clone(), torch.empty(flat.shape, dtype=flat.dtype)
    losses, distances = np.full(how.draws, np.nan), np.full(how.draws, np.nan)
    start = loss.gradient()
    for step in range(how.burn_in + how.draws):
        with torch_threads(1):
            moved.normal_(generator=generator)
            flat.lerp_(centre, how.step_size * how.localization / 2)
            flat.addcmul_(gradient, where, value=-how.step_size * n_beta / 2)
            flat.addcmul_(moved.to(flat.device), where, value=how.step_size**0.5)
        at = loss.gradient()
        if not isfinite(at):
            break
        if step >= how.burn_in:
            losses[step - how.burn_in], distances[step - how.burn_in] = at, float(torch.dist(flat, centre))
    flat.copy_(centre)
    return start, losses, distances
