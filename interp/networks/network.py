"""Network: which function is trained, as named tensors, and what it computes by site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def not_finite(network: Network) -> str | None:
    """The first tensor with values that are NaN or infinite, and how many, in words; None if there is none."""
    for name, tensor in network.tensors().items():
        # Eight bits are widened: torch asks few questions of them.
        finite = torch.isfinite(tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor)
        if not bool(finite.all()):
            return f"{name}: {int((~finite).sum()):,} of {tensor.numel():,} weights are NaN or infinite"
    return None


@runtime_checkable
class Network(Protocol):
    """One model at one step.

    Sites are named as TransformerLens names its hook points (``blocks.0.mlp.hook_post``); every network has the site ``logits``:
    at the position where the answer is read, one row for each input.
    """

    @property
    def kind(self) -> str:
        """What sort of network it is: equal kinds have tensors of the same names and compute the same function of them."""
        ...

    def tensors(self) -> dict[str, Float[Tensor, "..."]]:  # noqa: UP037  jaxtyping reads the string
        """The parameters by name."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What the function depends on besides its tensors, as JSON values."""
        ...

    def activations(self, inputs: Int[np.ndarray, "row pos"]) -> Mapping[str, Float[Tensor, "row ..."]]:
        """What is computed of some inputs, by site."""
        ...
