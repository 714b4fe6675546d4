"""Whether a module is still what it was: not by the versions of its tensors alone, which fused optimizers and `.data` leave."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

WHOLE = 2**20  # entries of a module that is compared whole
_SOME = 256  # entries that are compared of each tensor of a larger one
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Kept:
    """What a module was when it was last kept: of a small one all bytes, of a larger one versions and some entries.

    Parameters and buffers are listed anew each time, as they may be replaced.

    >>> layer, kept = nn.Linear(2, 2), Kept()
    >>> kept.keep(layer)
    >>> layer.weight.data[0, 0] += 1
    >>> kept.is_still(layer)
    False
    """

    def __init__(self) -> None:
        self._versions: list[tuple[str, int, int]] = []
        self._entries: list[Tensor] = []

    def keep(self, module: nn.Module) -> None:
        """Keep what it is now."""
        named = list(_named(module))
        now, before = _entries(named), self._entries
        # Into the same memory where it fits: new memory of this size costs more than the copy.
        is_fitting = len(now) == len(before) and all(map(_is_alike, now, before))
        self._versions = _versions(named)
        self._entries = [a.copy_(b) for a, b in zip(before, now, strict=True)] if is_fitting else [some.clone() for some in now]

    def is_still(self, module: nn.Module) -> bool:
        """Whether it is what was kept, to the bit; of a large one, as far as versions and some entries tell."""
        named = list(_named(module))
        if _size(named) > WHOLE and _versions(named) != self._versions:
            return False
        now = _entries(named)
        return [name for name, _ in named] == [name for name, *_ in self._versions] and all(
            _is_alike(a, b) and torch.equal(a, b) for a, b in zip(now, self._entries, strict=True)
        )


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _size(named: list[tuple[str, Tensor]]) -> int:
    return sum(tensor.numel() for _, tensor in named)


def _versions(named: list[tuple[str, Tensor]]) -> list[tuple[str, int, int]]:
    return [(name, id(tensor), 0 if tensor.is_inference() else tensor._version) for name, tensor in named]


def _entries(named: list[tuple[str, Tensor]]) -> list[Tensor]:
    """The entries that are compared, as integers, which NaNs do not upset."""
    is_whole = _size(named) <= WHOLE
    return [_bits(tensor.detach(), is_whole=is_whole) for _, tensor in named]


def _is_alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.device == b.device


def _bits(tensor: Tensor, *, is_whole: bool) -> Tensor:
    if not is_whole and tensor.numel() > _SOME:
        tensor = tensor.reshape(-1)[:: tensor.numel() // _SOME]
    integer = _INTEGERS.get(tensor.element_size())
    return tensor if integer is None or tensor.is_quantized else tensor.view(integer)
