"""What networks that are named tensors, and facts beside them, have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Self

from torch import Tensor


class NamedTensors(ABC):
    """Tensors by name, in the order of the computation, and what every `Network` can do with them."""

    named: Mapping[str, Tensor]

    @abstractmethod
    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """The same function of other tensors."""

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, in the order of the computation."""
        return dict(self.named)

    def clone(self) -> Self:
        """A detached copy that later training steps do not touch."""
        return self.with_tensors({name: tensor.detach().clone() for name, tensor in self.named.items()})

    @cached_property
    def n_parameters(self) -> int:
        """Number of scalars in all tensors."""
        return sum(tensor.numel() for tensor in self.named.values())
