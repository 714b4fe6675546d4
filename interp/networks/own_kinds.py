"""What makes the networks of this toolkit's kinds of stored tensors and facts."""

from __future__ import annotations

from collections.abc import Mapping

from interp.networks.layered import Layered
from interp.networks.layered_shapes import LAYERED, TWO_EMBEDDINGS
from interp.networks.stored_network import NetworkMaker
from interp.networks.two_embeddings import TwoEmbeddings

# All but the one-layer transformer, whose facts stand in a checkpoint by themselves.
OWN_MAKERS: Mapping[str, NetworkMaker] = {LAYERED: Layered.read, TWO_EMBEDDINGS: TwoEmbeddings.read}
