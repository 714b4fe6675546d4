"""A file whose format is known: its content, and how a state dict of it becomes a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from interp.errors import DataError
from interp.interop.content import Content, State
from interp.interop.guess import Guess
from interp.interop.held_network import Held
from interp.networks.tensor_layout import Layout


@dataclass(frozen=True)
class Opened:
    """A file whose format is known: its content, how to turn a state dict of it into a model, and the group that it names."""

    format: str
    content: Content
    read: Callable[[State], Held]
    layout: Layout
    why: str = ""
    config: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    guesses: tuple[Guess, ...] = ()
    dropped: tuple[str, ...] = ()
    group: str | None = None


def in_one_precision(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """All in the widest of their precisions, in which every value is the same."""
    kinds = {tensor.dtype for tensor in tensors.values()}
    widest = max(kinds, key=lambda kind: kind.itemsize)
    return tensors if len(kinds) == 1 else {name: tensor.to(widest) for name, tensor in tensors.items()}


def finite(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors, if all of their values are finite.

    Raises:
        DataError: if one is not; it names the tensors.
    """
    wrong = [f"{name}: {int((~t.isfinite()).sum())} of {t.numel()} values are not finite" for name, t in tensors.items()]
    if bad := [text for text, t in zip(wrong, tensors.values(), strict=True) if not bool(t.isfinite().all())]:
        raise DataError("a damaged model:\n  " + "\n  ".join(bad))
    return tensors
