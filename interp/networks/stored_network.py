"""A network of a kind that this toolkit does not know, as it was stored: its tensors and facts, without its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Int
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.networks.network import Network

# What makes a network of stored tensors and facts: for all kinds that are not this toolkit's own, or for each of several.
NetworkMaker = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Network]
NetworkMakers = NetworkMaker | Mapping[str, NetworkMaker]


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A `Network` that can be looked at but not run.

    Args:
        kind: what sort of network it is.
        named: its tensors.
        told: its facts.
    """

    kind: str
    named: Mapping[str, Tensor]
    told: Mapping[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """The parameters by name."""
        return dict(self.named)

    def facts(self) -> Mapping[str, Any]:
        """What the function depends on besides its tensors."""
        return self.told

    def activations(self, inputs: Int[np.ndarray, "row pos"]) -> NoReturn:  # noqa: ARG002  the interface asks for it
        """Not known.

        Raises:
            UsageError: always, saying how to open the run so that it is known.
        """
        raise UsageError(
            f"network of kind {self.kind!r}: its function is not stored, only its tensors; open its run with "
            "open_run(path, network=...), a class or function of (tensors, facts) that makes the network"
        )


def made_network(kind: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], makers: NetworkMakers | None) -> Network:
    """The network of stored tensors and facts; a `StoredNetwork` if no maker is given.

    Raises:
        DataError: if what is made is of another kind.
    """
    make = makers.get(kind) if isinstance(makers, Mapping) else makers
    if make is None:
        return StoredNetwork(kind, tensors, facts)
    network = make(tensors, facts)
    if network.kind != kind:
        raise DataError(f"network=: given one that makes networks of kind {network.kind!r}, but {kind!r} is stored")
    return network
