"""Named tensors as safetensors bytes: equal content gives equal bytes, and what cannot be read is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.networks.network import Network
from interp.networks.one_layer import Weights
from interp.networks.own_kinds import OWN_MAKERS
from interp.networks.shapes import KIND as ONE_LAYER
from interp.networks.stored_network import NetworkMakers, made_network
from interp.store.packed import pack_arrays, unpack_with


def pack(tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> bytes:
    """Safetensors bytes of named tensors and of facts about them (JSON values), with the format version."""
    return pack_arrays(as_arrays(tensors), facts)


def unpack(data: bytes, *, where: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts that `pack` was given; `where` names the file in errors.

    Raises:
        DataError: if the bytes are not such a file, or of another format version.
    """
    return unpack_with(safetensors.torch.load, data, where=where)


def as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The same through numpy, whose copies are made by this thread alone: torch's would wait for threads that are training."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def pack_network(step: int, network: Network) -> bytes:
    """The bytes of a checkpoint: the network's tensors under their names, its step, and what its function depends on.

    Raises:
        UsageError: if tensors or facts cannot be written as such.
    """
    kind, facts = network.kind, dict(network.facts())
    told = facts if kind == ONE_LAYER else {"kind": kind, "facts": facts}
    try:
        return pack(network.tensors(), {"step": step, **told})
    except (TypeError, ValueError, SafetensorError, AttributeError) as error:
        raise UsageError(
            f"network of kind {kind!r}: cannot be stored ({error}); expected dense tensors of numpy's types by name, and facts "
            "that are JSON values"
        ) from error


def unpack_network(data: bytes, *, where: str, makers: NetworkMakers | None = None) -> tuple[int, Network]:
    """The step and network of a checkpoint's bytes.

    Args:
        makers: what makes a network of a kind that is not this toolkit's.

    Raises:
        DataError: if they are damaged, foreign, or do not fit together.
    """
    tensors, facts = unpack(data, where=where)
    try:
        step, kind = int(facts["step"]), str(facts.get("kind", ONE_LAYER))
        if kind == ONE_LAYER:
            rate = float(facts["attention_rate"])
            return step, Weights.from_tensors(tensors, activation=facts["activation"], attention_rate=rate)
        told = dict(facts["facts"])
    except (KeyError, TypeError, ValueError, OverflowError, DataError) as error:
        raise DataError(f"{where}: not a checkpoint ({error})") from error
    is_made = makers is not None and (not isinstance(makers, Mapping) or kind in makers)
    if kind not in OWN_MAKERS or is_made:
        return step, made_network(kind, tensors, told, makers)
    try:
        return step, OWN_MAKERS[kind](tensors, told)
    except DataError as error:
        raise DataError(f"{where}: not a checkpoint ({error})") from error


def unpack_weights(data: bytes, *, where: str) -> tuple[int, Weights]:
    """The step and model of the bytes of a one-layer transformer's checkpoint.

    Raises:
        DataError: as `unpack_network`; if it is another network.
    """
    step, network = unpack_network(data, where=where)
    if not isinstance(network, Weights):
        raise DataError(
            f"{where}: holds a network of kind {network.kind!r}, expected {ONE_LAYER!r}; of other networks "
            "no checkpoint is imported by itself: open the run that it is from (interp.open_run, interp report RUN)"
        )
    return step, network
