"""AdamW on the flat parameters, and the interventions that can be applied before and after it.

Each intervention is a small function on flat or named tensors; `Optimizer` composes those that the configuration asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from interp.config.run_config import OptimizerConfig
from interp.cores import torch_threads
from interp.training.parameters import Parameters


def warmup_factor(updates_done: int, warmup_steps: int) -> float:
    """Factor on the learning rate: ``min(n / warmup_steps, 1)`` for the update after n updates (so 0 for the first)."""
    return min(updates_done / warmup_steps, 1.0) if warmup_steps else 1.0


def grokfast_(gradient: Float[Tensor, " n"], memory: Float[Tensor, " n"], *, alpha: float, strength: float, first: bool) -> None:
    """Amplify slow gradients in place: ``h <- alpha h + (1 - alpha) g`` (h = g at first), ``g <- g + strength h``.

    Source: Lee et al. 2024, Grokfast (arXiv 2405.20233), algorithm 1 (EMA).
    """
    if first:
        memory.copy_(gradient)
    else:
        memory.lerp_(gradient, 1 - alpha)
    gradient.add_(memory, alpha=strength)


def perpendicular_(gradients: Mapping[str, Tensor], weights: Mapping[str, Tensor], *, rescale: bool, stacked: int = 0) -> None:
    """Remove from each gradient its part along the weights, in place: ``g <- g - (w.g / w.w) w``, tensor by tensor.

    With ``rescale`` each result is then scaled to the norm the gradient had, as the authors' code does. The first ``stacked``
    dimensions of every tensor are over runs, each of which is treated separately.
    Source: Prieto et al. 2025 (arXiv 2501.04697), section 5.
    """
    for name, g in gradients.items():
        w, own, tiny = weights[name], tuple(range(stacked, g.ndim)), torch.finfo(g.dtype).tiny
        before, square = torch.linalg.vector_norm(g, dim=own, keepdim=True), (w * w).sum(own, keepdim=True)
        g.sub_(w * torch.where(square > 0, (w * g).sum(own, keepdim=True) / square.clamp(min=tiny), 0))
        if rescale:
            after = torch.linalg.vector_norm(g, dim=own, keepdim=True)
            g.mul_(torch.where(after > 0, before / after.clamp(min=tiny), 1))


def rescale_to_norm_(flat: Float[Tensor, " n"], norm: float) -> None:
    """Scale all weights to a total norm, in place (Liu et al. 2022, Omnigrok, arXiv 2210.01117, section 3)."""
    flat.mul_(norm / flat.norm())


@runtime_checkable
class AdamW(Protocol):
    """One implementation of AdamW's update of a run's flat weights; every one uses torch's names in its `state`."""

    def step(self, lr: float) -> None:
        """Apply one update with the gradient that is in the parameters' buffer."""

    def use(self, config: OptimizerConfig) -> None:
        """Update with other settings from now on."""

    def state(self) -> dict[str, Tensor]:
        """Number of updates (`step`) and the moments (`exp_avg`, `exp_avg_sq`); empty before the first update."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved `state`."""


class TorchAdamW:
    """`torch.optim.AdamW`, fused: on any device, in any precision."""

    def __init__(self, config: OptimizerConfig, parameters: Parameters) -> None:
        self._flat = parameters.flat.requires_grad_(False)
        self._flat.grad = parameters.gradient
        self._adamw = torch.optim.AdamW(
            [self._flat],
            lr=config.lr,
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def step(self, lr: float) -> None:
        """Apply one update."""
        self._adamw.param_groups[0]["lr"] = lr
        self._adamw.step()

    def use(self, config: OptimizerConfig) -> None:
        """Other settings from now on."""
        given = {"betas": (config.beta1, config.beta2), "eps": config.eps, "weight_decay": config.weight_decay}
        self._adamw.param_groups[0].update(given)

    def state(self) -> dict[str, Tensor]:
        """Torch's state."""
        return dict(self._adamw.state.get(self._flat, {}))

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore torch's state."""
        self._adamw.state[self._flat] = {name: tensor.clone().to(self._flat.device) for name, tensor in state.items()}


class Optimizer:
    """AdamW with the configured interventions, acting on a run's `Parameters`.

    One update: Grokfast's filter, the perpendicular projection, AdamW at the warmed-up learning rate, the norm constraint.
    """

    def __init__(self, config: OptimizerConfig, parameters: Parameters, *, adamw: AdamW | None = None) -> None:
        self.config = config
        self.parameters = parameters
        self.updates = 0
        with torch_threads(1):  # any other number would sum in another order
            self._norm = float(parameters.flat.norm())
        self._memory = torch.zeros_like(parameters.flat) if config.grokfast_lambda else None
        self._memory_begins = True  # with the next gradient
        self._adamw = adamw or TorchAdamW(config, parameters)

    @torch.no_grad()
    def step(self) -> None:
        """Apply one update with the gradient that is in the parameters' buffer (the interventions change it)."""
        config, parameters = self.config, self.parameters
        if self._memory is not None:
            grokfast_(
                parameters.gradient,
                self._memory,
                alpha=config.grokfast_alpha,
                strength=config.grokfast_lambda,
                first=self._memory_begins,
            )
            self._memory_begins = False
        if config.perpendicular_gradient != "off":
            rescale = config.perpendicular_gradient == "rescale"
            perpendicular_(parameters.gradients, parameters.weights.tensors(), rescale=rescale)
        self._adamw.step(config.lr * warmup_factor(self.updates, config.warmup_steps))
        if config.norm_constraint:
            rescale_to_norm_(parameters.flat, self._norm)
        self.updates += 1

    @torch.no_grad()
    def use(self, config: OptimizerConfig) -> None:
        """Other settings from now on: a filter begins with the next gradient, a norm is kept that the weights have now."""
        if config == self.config:
            return
        if config.grokfast_lambda and self._memory is None:
            self._memory, self._memory_begins = torch.zeros_like(self.parameters.flat), True
        if config.norm_constraint and not self.config.norm_constraint:
            with torch_threads(1):
                self._norm = float(self.parameters.flat.norm())
        self.config = config
        self._adamw.use(config)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue exactly, by name; these are live tensors, to be written or copied at once."""
        state = {"updates": torch.tensor(self.updates), "norm": torch.tensor(self._norm, dtype=torch.float64)}
        state |= {f"adamw.{name}": tensor for name, tensor in self._adamw.state().items()}
        if self._memory is not None:
            state["grokfast.memory"] = self._memory
        return state

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved `state`."""
        self.updates = int(state["updates"])
        self._norm = float(state["norm"])
        moments = {name.removeprefix("adamw."): t for name, t in state.items() if name.startswith("adamw.")}
        if moments:
            self._adamw.load(moments)
        memory = state.get("grokfast.memory")
        self._memory_begins = self.updates == 0 or memory is None
        if memory is not None:
            self._memory = memory.clone().to(self.parameters.flat.device)
