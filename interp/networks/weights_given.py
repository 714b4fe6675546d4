"""What a caller gives for a model: its weights, or something that has them."""

from __future__ import annotations

from typing import cast

from interp.errors import UsageError
from interp.networks.network import Network
from interp.networks.one_layer import Weights


def as_weights(given: object) -> Weights:
    """Weights as they are, or those of a checkpoint, a step, a view or a hooked model.

    Raises:
        UsageError: for anything else.

    >>> as_weights(3)
    Traceback (most recent call last):
    interp.errors.UsageError: weights: given int, expected Weights, or a checkpoint such as run.last or run[500]
    """
    other = getattr(given, "network", given)
    if isinstance(kind := getattr(other, "kind", None), str) and not isinstance(other, Weights) and hasattr(other, "activations"):
        raise UsageError(
            f"weights: given a network of kind {kind!r}, expected a one-layer transformer; what this one computes is in "
            "network.activations(inputs), interp.HookedLayered has hooks, and docs/networks.md what of this toolkit applies"
        )
    found = given if isinstance(given, Weights) else getattr(given, "weights", None)
    if not isinstance(found, Weights):
        raise _wrong(given)
    return found


def as_network(given: object) -> Network:
    """A network as it is, or that of a checkpoint or a view, of whatever kind.

    Raises:
        UsageError: for anything else.
    """
    found = getattr(given, "network", given)
    if not isinstance(getattr(found, "kind", None), str) or not callable(getattr(found, "tensors", None)):
        raise _wrong(given)
    return cast("Network", found)


def _wrong(given: object) -> UsageError:
    return UsageError(f"weights: given {type(given).__name__}, expected Weights, or a checkpoint such as run.last or run[500]")
