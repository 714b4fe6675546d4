"""torch's optimizers on named tensors: AdamW with weight decay of some of them, Adam, SGD, and Muon beside AdamW."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp.config.optimizer_config import OptimizerConfig
from interp.errors import UsageError
from interp.networks.layered_shapes import is_matrix
from interp.training.parameters import Parameters

# The word for all tensors but biases and LayerNorms in `optimizer.decay_only`.
MATRICES = "matrices"
# Matrices inside the layers, on which Muon acts, by the last part of their names.
_INSIDE = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")


def decayed(names: Collection[str], config: OptimizerConfig) -> set[str]:
    """The tensors that have weight decay.

    Raises:
        UsageError: for a pattern that no tensor has.

    >>> sorted(decayed(["W_E", "W_U", "b_in"], OptimizerConfig(decay_only=("matrices",))))
    ['W_E', 'W_U']
    """
    if not config.decay_only:
        return set(names)
    found = set()
    for pattern in config.decay_only:
        matching = {name for name in names if (is_matrix(name) if pattern == MATRICES else fnmatchcase(name, pattern))}
        if not matching:
            raise UsageError(
                f"optimizer.decay_only: given {pattern!r}, which no tensor is named; expected {MATRICES}, or names or "
                f"patterns of {', '.join(names)}"
            )
        found |= matching
    return found


class TorchOptimizer:
    """The optimizer that a configuration names, tensor by tensor. It has the interface of `interp.training.optimizer.AdamW`.

    ``adamw``: decoupled weight decay, ``w <- w - lr decay w``. ``adam`` and ``sgd`` (with momentum): the gradient is
    ``g + decay w``. ``muon`` (Jordan et al. 2024, with the step length of Liu et al. 2025, arXiv 2502.16982, so that AdamW's lr
    fits): the matrices inside the layers, the heads of W_Q, W_K and W_V side by side and those of W_O one below the other; all
    other tensors have AdamW. Decay is decoupled.

    Raises:
        UsageError: if tensors are named that there are not, or Muon has no matrix.
    """

    def __init__(self, config: OptimizerConfig, parameters: Parameters) -> None:
        self._tensors, self._gradients = parameters.weights.tensors(), parameters.gradients
        self._decayed = decayed(list(self._tensors), config)
        self._config = config
        inside = {name for name in self._tensors if config.name == "muon" and name.rpartition(".")[2] in _INSIDE}
        if config.name == "muon" and not inside:
            raise UsageError("optimizer.name: given 'muon', but this network has no matrix inside a layer; use adamw")
        # Muon takes matrices: heads one below the other are one already, heads side by side are copied into one and back.
        heads = [name for name in sorted(inside) if self._tensors[name].ndim > 2 and name.rpartition(".")[2] != "W_O"]
        self._copies = {name: self._tensors[name].transpose(0, 1).flatten(1) for name in heads}
        self._mine = {}
        for name, tensor in self._tensors.items():
            mine, gradient = self._copies.get(name, tensor), self._gradients[name]
            if name in inside and mine.ndim > 2:
                mine, gradient = mine.flatten(0, 1), gradient.flatten(0, 1)
            mine.grad = torch.empty_like(mine) if name in self._copies else gradient
            self._mine[name] = mine
        outside = [name for name in self._mine if name not in inside]
        self._optimizers = [self._made(outside, is_muon=False), *([self._made(sorted(inside), is_muon=True)] if inside else [])]

    def step(self, lr: float) -> None:
        """Apply one update."""
        for name, copy in self._copies.items():
            assert copy.grad is not None  # given above
            _by_head(copy, self._tensors[name]).copy_(self._tensors[name])
            _by_head(copy.grad, self._tensors[name]).copy_(self._gradients[name])
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
        for name, copy in self._copies.items():
            self._tensors[name].copy_(_by_head(copy, self._tensors[name]))

    def use(self, config: OptimizerConfig) -> None:
        """Other settings from now on."""
        self._config = config
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group.update(self._settings(is_muon=isinstance(optimizer, torch.optim.Muon)))
                group["weight_decay"] = config.weight_decay if group["decays"] else 0.0

    def state(self) -> dict[str, Tensor]:
        """Torch's state, by tensor and torch's name: ``blocks.0.mlp.W_in.exp_avg``."""
        found: dict[str, Tensor] = {}
        for name, tensor in self._mine.items():
            for optimizer in self._optimizers:
                known = optimizer.state.get(tensor, {})
                found |= {f"{name}.{part}": value for part, value in known.items() if isinstance(value, Tensor)}
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore torch's state."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                for tensor in group["params"]:
                    name = next(name for name, mine in self._mine.items() if mine is tensor)
                    own = {key: value for key, value in state.items() if key.rpartition(".")[0] == name}
                    if own:
                        optimizer.state[tensor] = {
                            key.rpartition(".")[2]: value.clone().to(tensor.device) for key, value in own.items()
                        }

    def _made(self, names: Collection[str], *, is_muon: bool) -> torch.optim.Optimizer:
        groups = [
            {"params": [self._mine[name] for name in chosen], "weight_decay": decay, "decays": decays}
            for decays, decay in ((True, self._config.weight_decay), (False, 0.0))
            if (chosen := [name for name in names if (name in self._decayed) == decays])
        ]
        settings, lr = self._settings(is_muon=is_muon), self._config.lr
        if is_muon:
            return torch.optim.Muon(groups, lr=lr, adjust_lr_fn="match_rms_adamw", **settings)
        if self._config.name == "sgd":
            return torch.optim.SGD(groups, lr=lr, **settings)
        kind = torch.optim.Adam if self._config.name == "adam" else torch.optim.AdamW
        return kind(groups, lr=lr, fused=True, **settings)

    def _settings(self, *, is_muon: bool) -> dict[str, Any]:
        config = self._config
        if is_muon or config.name == "sgd":
            return {"momentum": config.momentum}
        return {"betas": (config.beta1, config.beta2), "eps": config.eps}


def _by_head(matrix: Float[Tensor, "d_model d_heads"], like: Float[Tensor, "head d_model d_head"]) -> Tensor:
    """A matrix in which the heads stand side by side, with an axis of heads: a view of it."""
    return matrix.view(like.shape[1], like.shape[0], like.shape[2]).transpose(0, 1)
