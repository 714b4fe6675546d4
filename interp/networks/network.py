"""Network: which function is trained, as named tensors, and what it computes by site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor


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
