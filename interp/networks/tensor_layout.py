"""Layouts: how other people's code names and orients the tensors of a one-layer transformer.

A layout is a table, ``their name -> (our name, axes of their tensor)``; our axes are in `interp.networks.one_layer.SHAPES`, so a
transposition is read off the names of the axes and never guessed from sizes. "(n_heads d_head)" is one axis that holds both, and
"1" an axis of size one. Two more names are for tensors of theirs alone: ``W_QKV`` and ``b_QKV`` hold queries, keys and values
along an axis ``qkv`` of size three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from interp.errors import DataError
from interp.networks.one_layer import Weights
from interp.networks.shapes import REQUIRED, SHAPES

# What one tensor of theirs holds three of ours in, with its axes when they are taken apart.
PACKED: dict[str, tuple[str, str, str]] = {"W_QKV": ("W_Q", "W_K", "W_V"), "b_QKV": ("b_Q", "b_K", "b_V")}
TARGETS: dict[str, tuple[str, ...]] = SHAPES | {packed: ("qkv", *SHAPES[parts[0]]) for packed, parts in PACKED.items()}
_CERTAIN = {"1": 1, "qkv": 3}


@dataclass(frozen=True)
class Layout:
    """One way to store the tensors of a `Weights`.

    Args:
        name: what messages call it.
        tensors: their name -> (our name, axes of theirs), merged axes after those that tell them apart.
        masks: names of causal masks, which carry no weights; they are checked and dropped.
        constants: names of other buffers without weights; dropped.
        tied: tensors of theirs that are two of ours: their name -> (our second name, axes of theirs).
    """

    name: str
    tensors: Mapping[str, tuple[str, str]]
    masks: frozenset[str] = field(default_factory=frozenset)
    constants: frozenset[str] = field(default_factory=frozenset)
    tied: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def read(self, state: Mapping[str, object], sizes: Mapping[str, int] | None = None) -> dict[str, Tensor]:
        """Copies of the tensors under our names and in our orientation; everything in the state is accounted for.

        Args:
            sizes: dimensions that no shape tells, such as n_heads where heads are merged into one axis.

        Raises:
            DataError: naming every missing, surplus and wrongly shaped tensor, with the shapes given and expected.
        """
        found, known = self.misfits(state, sizes)
        if found:
            raise DataError(
                f"not a model in the layout of {self.name}:\n  " + "\n  ".join(found) + "\n  "
                "If these are the right tensors under other names or transposed, say which is which (--map theirs=ours)."
            )
        taken = {
            ours: _rearrange(state[name], f"{axes} -> {' '.join(TARGETS[ours])}", known)
            for name, (ours, axes) in self.entries()
            if name in state
        }
        for packed in PACKED.keys() & taken.keys():
            parts = taken.pop(packed)
            taken |= {ours: part.clone() for ours, part in zip(PACKED[packed], parts, strict=True)}
        return taken

    def misfits(self, state: Mapping[str, object], sizes: Mapping[str, int] | None = None) -> tuple[list[str], dict[str, int]]:
        """What is missing, surplus or wrongly shaped in a state dict, in words; and the dimensions that its shapes tell."""
        known = _CERTAIN | dict(sizes or {})
        problems = self._names(state)
        problems += [_compare(name, state[name], axes, known) for name, (_, axes) in self.entries() if name in state]
        problems += [_check_mask(name, state[name], known.get("n_ctx")) for name in sorted(self.masks & state.keys())]
        return [problem for problem in problems if problem], known

    def entries(self) -> list[tuple[str, tuple[str, str]]]:
        """Their names with ours and the axes of theirs; a tied tensor twice."""
        return [*self.tensors.items(), *self.tied.items()]

    def ours(self) -> set[str]:
        """Our names of everything that is read, packed tensors by their parts."""
        return {part for _, (ours, _) in self.entries() for part in PACKED.get(ours, (ours,))}

    def write(self, weights: Weights) -> dict[str, Tensor]:
        """Copies of the tensors under their names and in their orientation; absent biases are left out."""
        tensors, sizes = weights.tensors(), {"n_heads": weights.n_heads}
        return {
            name: _rearrange(tensors[ours], f"{' '.join(SHAPES[ours])} -> {axes}", sizes)
            for name, (ours, axes) in self.tensors.items()
            if ours in tensors
        }

    def _names(self, state: Mapping[str, object]) -> list[str | None]:
        required = {name: axes for name, (ours, axes) in self.entries() if ours in REQUIRED or ours == "W_QKV"}
        surplus = [name for name in state if name not in {*self.tensors, *self.masks, *self.constants}]
        return [
            *(f"missing {name}: expected ({axes})" for name, axes in required.items() if name not in state),
            *(f"surplus {name}: given {describe(state[name])}, expected no such tensor" for name in surplus),
        ]


def describe(value: object) -> str:
    """Shape of a tensor, or the type of anything else, for messages.

    >>> describe(torch.zeros(2, 3)), describe([1])
    ('shape (2, 3)', 'list')
    """
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def is_causal_mask(mask: object, n_ctx: int) -> bool:
    """Whether this is the lower triangle of ones, of size n_ctx, in any dtype."""
    triangle = torch.ones(n_ctx, n_ctx).tril()
    if not isinstance(mask, Tensor) or mask.shape != triangle.shape or mask.layout is not torch.strided or mask.is_complex():
        return False
    return torch.equal(mask.cpu().float(), triangle)


def _check_mask(name: str, mask: object, n_ctx: int | None) -> str | None:
    if n_ctx is None or is_causal_mask(mask, n_ctx):  # without a size, that of the positions is wrong and named already
        return None
    return f"{name}: given {describe(mask)}, expected a causal mask ({n_ctx}, {n_ctx}), the lower triangle of ones"


def _compare(name: str, tensor: object, axes: str, known: dict[str, int]) -> str | None:
    """What is wrong with a tensor, if anything; sizes seen for the first time in a right one are added to `known`."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.layout is not torch.strided:
        return f"{name}: given {describe(tensor)} {getattr(tensor, 'dtype', '')}, expected a dense floating-point tensor ({axes})"
    groups = [group.strip("()").split() for group in re.findall(r"\([^)]*\)|\S+", axes)]
    learned = dict(known)
    right = tensor.ndim == len(groups)
    for group, size in zip(groups, tensor.shape, strict=False):
        new = [axis for axis in group if axis not in learned]
        rest = prod(learned.get(axis, 1) for axis in group)
        if len(new) == 1 and rest and size % rest == 0:
            learned[new[0]] = size // rest
        right &= not [axis for axis in group if axis not in learned] and size == prod(learned[axis] for axis in group)
    if not right:
        wanted = ", ".join(" x ".join(f"{axis}={known[axis]}" if axis in known else axis for axis in group) for group in groups)
        return f"{name}: given shape {tuple(tensor.shape)}, expected ({wanted})"
    known.update(learned)
    return None


def _rearrange(tensor: Any, pattern: str, sizes: Mapping[str, int]) -> Tensor:
    merged = re.findall(r"\(([^)]*)\)", pattern)  # einops wants sizes only for the axes it has to tell apart
    apart = {axis: sizes[axis] for group in merged for axis in group.split() if axis in sizes}
    # A view would keep the caller's live tensor, or the whole file, behind it.
    ours: Tensor = rearrange(tensor.detach(), pattern, **apart)
    return ours.clone(memory_format=torch.contiguous_format)
