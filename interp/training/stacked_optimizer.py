"""The optimizer of many runs at once: the updates of optimizer.py on stacked weights, in tensor operations alone.

Nothing is decided on the host between two updates, so that an update can be recorded in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.config import OptimizerConfig
from interp.errors import UsageError
from interp.training.optimizer import perpendicular_

# These may differ between stacked runs; everything else decides which operations there are.
OWN = ("lr", "weight_decay", "beta1", "beta2", "eps", "warmup_steps", "grokfast_alpha", "grokfast_lambda")


class StackedOptimizer:
    """AdamW with the configured interventions on ``flat (run, n)``, with each run's own learning rate, weight decay and so on."""

    def __init__(
        self, configs: Sequence[OptimizerConfig], flat: Float[Tensor, "run n"], gradient: Float[Tensor, "run n"]
    ) -> None:
        self._config, self._flat, self._gradient = configs[0], flat, gradient
        for config in configs:
            if any(getattr(config, name) != getattr(configs[0], name) for name in ("loss", "perpendicular_gradient")):
                raise UsageError("stacked runs must have the same optimizer.loss and optimizer.perpendicular_gradient")
        self._own = {
            name: torch.tensor([[float(getattr(config, name))] for config in configs], dtype=flat.dtype, device=flat.device)
            for name in OWN
        }
        self._constrained = torch.tensor([[config.norm_constraint] for config in configs], device=flat.device)
        self._state = {
            "updates": torch.zeros((), dtype=torch.float64, device=flat.device),
            "norm": flat.norm(dim=1, keepdim=True),
            "mean": torch.zeros_like(flat),
            "square": torch.zeros_like(flat),
            "memory": torch.zeros_like(flat),
        }

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        """One update of every run; `gradients` and `weights` are the named views of the flat buffers."""
        own, state, flat, g = self._own, self._state, self._flat, self._gradient
        done = state["updates"]
        # Grokfast's memory begins with the first gradient: alpha is 0 then.
        state["memory"].lerp_(g, 1 - own["grokfast_alpha"] * (done > 0))
        g.add_(own["grokfast_lambda"] * state["memory"])
        if self._config.perpendicular_gradient != "off":
            perpendicular_(gradients, weights, rescale=self._config.perpendicular_gradient == "rescale", stacked=1)
        warm = torch.where(own["warmup_steps"] > 0, (done / own["warmup_steps"].clamp(min=1)).clamp(max=1), 1)
        lr, count = own["lr"] * warm, done + 1
        state["mean"].lerp_(g, 1 - own["beta1"])
        state["square"].lerp_(g * g, 1 - own["beta2"])
        mean = state["mean"] / (1 - own["beta1"] ** count)
        square = state["square"] / (1 - own["beta2"] ** count)
        flat.mul_(1 - lr * own["weight_decay"]).sub_(lr * mean / (square.sqrt() + own["eps"]))
        flat.mul_(torch.where(self._constrained, state["norm"] / flat.norm(dim=1, keepdim=True), 1))
        done.add_(1)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly, by name; live tensors, to be written or copied at once."""
        return dict(self._state)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved `state`."""
        for name, tensor in self._state.items():
            tensor.copy_(state[name])
