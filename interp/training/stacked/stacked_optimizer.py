"""The optimizer of many runs at once: the updates of optimizer.py on stacked weights, in tensor operations alone.

The host decides nothing during an update, so that an update can be recorded in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.config.run_config import OptimizerConfig
from interp.errors import UsageError
from interp.training.optimizer import perpendicular_


class StackedOptimizer:
    """AdamW with the configured interventions on ``flat (run, n)``, with each run's own learning rate, weight decay and so on.

    Raises:
        UsageError: if the runs differ in the loss or the perpendicular gradient, which determine the operations of an update.
    """

    def __init__(
        self, configs: Sequence[OptimizerConfig], flat: Float[Tensor, "run n"], gradient: Float[Tensor, "run n"]
    ) -> None:
        for config in configs:
            if any(getattr(config, name) != getattr(configs[0], name) for name in ("loss", "perpendicular_gradient")):
                raise UsageError("stacked runs must have the same optimizer.loss and optimizer.perpendicular_gradient")
        self._perpendicular = configs[0].perpendicular_gradient
        self._flat, self._gradient = flat, gradient

        def own(values: Sequence[float | int], dtype: torch.dtype = flat.dtype) -> float | int | Float[Tensor, "run 1"]:
            """A number per run; a single one where all runs agree, which costs less."""
            return values[0] if len(set(values)) == 1 else flat.new_tensor(values, dtype=dtype).unsqueeze(1)

        self._lr, self._eps = own([config.lr for config in configs]), own([config.eps for config in configs])
        self._decay = own([config.weight_decay for config in configs])
        # In double precision: for a beta near 1, 1 - beta^n would lose most of its digits.
        self._beta1 = own([config.beta1 for config in configs], torch.float64)
        self._beta2 = own([config.beta2 for config in configs], torch.float64)
        self._rest1, self._rest2 = own([1 - config.beta1 for config in configs]), own([1 - config.beta2 for config in configs])
        # The first update of a run with warmup moves nothing, that of a run without one takes a full step.
        self._warmup = own([max(config.warmup_steps, 1) for config in configs])
        self._ahead = own([float(config.warmup_steps == 0) for config in configs])
        self._alpha = own([config.grokfast_alpha for config in configs])
        self._strength = own([config.grokfast_lambda for config in configs])
        self._constrained = torch.tensor([[config.norm_constraint] for config in configs], device=flat.device)
        # An intervention that no run uses costs nothing.
        self._any_warmup = any(config.warmup_steps for config in configs)
        self._any_grokfast = any(config.grokfast_lambda for config in configs)
        self._any_constraint = any(config.norm_constraint for config in configs)
        self._state = {
            "updates": torch.zeros((), dtype=torch.float64, device=flat.device),
            "norm": flat.norm(dim=1, keepdim=True),
            "mean": torch.zeros_like(flat),
            "square": torch.zeros_like(flat),
            **({"memory": torch.zeros_like(flat)} if self._any_grokfast else {}),
        }

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        """One update of every run; `gradients` and `weights` are the named views of the flat buffers."""
        state, flat, g = self._state, self._flat, self._gradient
        done = state["updates"]
        if self._any_grokfast:
            # The memory begins with the first gradient: alpha is 0 then.
            state["memory"].lerp_(g, 1 - self._alpha * (done > 0).to(flat))
            g.add_(self._strength * state["memory"])
        if self._perpendicular != "off":
            perpendicular_(gradients, weights, rescale=self._perpendicular == "rescale", stacked=1)
        lr = self._lr
        if self._any_warmup:
            lr = lr * ((done + self._ahead) / self._warmup).clamp(max=1)
        done.add_(1)
        state["mean"].lerp_(g, self._rest1)
        state["square"].lerp_(g * g, self._rest2)
        # AdamW divides mean and square by 1 - beta^n; it is cheaper to divide the few numbers of each run they are combined with.
        root = (1 - self._beta2**done).sqrt().to(flat)
        step = lr * root / (1 - self._beta1**done).to(flat)
        flat.mul_(1 - lr * self._decay)
        flat.addcdiv_(state["mean"] * step, state["square"].sqrt().add_(self._eps * root), value=-1)
        if self._any_constraint:
            flat.mul_(torch.where(self._constrained, state["norm"] / flat.norm(dim=1, keepdim=True), 1))

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly, by name; live tensors, to be written or copied at once."""
        return dict(self._state)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved `state`."""
        for name, tensor in self._state.items():
            tensor.copy_(state[name])
