"""Layered: a transformer of one to four layers, with or without LayerNorm and MLPs, as named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import UsageError
from interp.networks.layered_pass import Drop, LayeredPass
from interp.networks.layered_shapes import LAYERED, Layout, check_shapes
from interp.networks.named_tensors import NamedTensors
from interp.networks.one_layer import Weights

# Names of the one-layer transformer's tensors here.
_WHERE = {
    "W_E": "embed", "W_pos": "pos_embed", "W_U": "unembed", "b_U": "unembed",
    "W_in": "blocks.0.mlp", "W_out": "blocks.0.mlp", "b_in": "blocks.0.mlp", "b_out": "blocks.0.mlp",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Layered(NamedTensors):
    """A transformer of any depth: its tensors under TransformerLens' names, and its `Layout`. A `Network`.

    The input is a row of n_ctx tokens; the answer is read at the last position.

    Args:
        named: the tensors, such as ``blocks.1.attn.W_Q``; biases may be absent.
        layout: what its function depends on besides.

    Raises:
        DataError: for a tensor that is missing, unknown, or of a shape that does not fit the others.
    """

    named: Mapping[str, Tensor]
    layout: Layout

    def __post_init__(self) -> None:
        tied = self.layout.tied_classes
        sizes = check_shapes({name: tuple(tensor.shape) for name, tensor in self.named.items()}, self.layout.axes(), kind=LAYERED)
        object.__setattr__(self, "_sizes", {**sizes, "classes": sizes["classes"] if tied is None else tied})

    def __repr__(self) -> str:
        """Its shape in a line; the numbers are in `tensors`."""
        layout, sizes = self.layout, self.sizes
        norm = "" if layout.normalization == "none" else f", {layout.normalization}-LayerNorm"
        neurons = f"{sizes['d_mlp']} {layout.activation} neurons" if layout.has_neurons else "no MLPs"
        return (
            f"Layered({layout.n_layers} layers of d_model {sizes['d_model']}, {sizes['n_heads']} heads, {neurons}{norm}, "
            f"{sizes['classes']} classes, n_ctx {sizes['n_ctx']}, {self.n_parameters:,} parameters)"
        )

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Layered:
        """The network of a checkpoint's tensors and facts.

        Raises:
            DataError: if they do not fit together.
        """
        return cls(dict(tensors), Layout.read(facts))

    @classmethod
    def of(cls, weights: Weights) -> Layered:
        """A one-layer transformer under these names, its tensors not copied. At the last position it is the same function."""
        named = {f"{_WHERE.get(name, 'blocks.0.attn')}.{name}": tensor for name, tensor in weights.tensors().items()}
        return cls(named, Layout(1, activation=weights.activation, attention_rate=weights.attention_rate))

    @property
    def kind(self) -> str:
        """What sort of network it is."""
        return LAYERED

    @property
    def sizes(self) -> Mapping[str, int]:
        """Sizes by the names of the axes: d_vocab, n_ctx, d_model, n_heads, d_head, d_mlp (where there are neurons), classes."""
        found: Mapping[str, int] = self._sizes  # type: ignore[attr-defined]  # set once the shapes were checked
        return found

    def facts(self) -> dict[str, Any]:
        """The layout."""
        return self.layout.facts()

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Layered:
        """The same function of other tensors."""
        return Layered(dict(tensors), self.layout)

    def logits(self, inputs: Int[Tensor, "row pos"], *, drop: Drop | None = None) -> Float[Tensor, "row classes"]:
        """Logits at the last position, differentiable; nothing else is computed there that is not read.

        Args:
            inputs: tokens.
            drop: applied to what attention and MLP write, in training.
        """
        return LayeredPass(self.named, self.layout, drop=drop).logits(inputs)

    def activations(self, inputs: Int[np.ndarray, "row pos"]) -> dict[str, Float[Tensor, "row ..."]]:
        """Every value that is computed, at every position, by TransformerLens' names; ``logits`` at the last position.

        Raises:
            UsageError: if the inputs are not rows of n_ctx tokens.
        """
        found: dict[str, Tensor] = {}

        def keep(site: str, value: Tensor) -> Tensor:
            found[site] = value
            return value

        every = LayeredPass(self.named, self.layout, at=keep).logits(self.tokens(inputs))
        return {**found, "logits": every[:, -1]}

    def at_the_end(
        self, inputs: Int[np.ndarray, "row pos"]
    ) -> tuple[Float[Tensor, "row classes"], Float[Tensor, "row d_mlp"] | None]:
        """Logits, and neurons of the last layer, both at the last position; None for neurons where its layers have no MLP.

        The ``logits`` and ``blocks.N.mlp.hook_post`` of `activations`, to rounding: nothing is computed that they do not read.

        Raises:
            UsageError: if the inputs are not rows of n_ctx tokens.
        """
        site, found = f"blocks.{self.layout.n_layers - 1}.mlp.hook_post", []

        def keep(name: str, value: Tensor) -> Tensor:
            if name == site:
                found.append(value[:, -1])
            return value

        logits = LayeredPass(self.named, self.layout, at=keep, only_last=True).logits(self.tokens(inputs))
        return logits, found[0] if found else None

    @property
    def W_L(self) -> Float[Tensor, "classes d_mlp"] | None:
        """The map from the last layer's neurons to the logits, ``(W_out W_U)^T``; None where there is no such linear map.

        A LayerNorm that lies between neurons and logits divides by the size of what it is given, so that nothing linear is left.
        """
        if self.layout.normalization != "none" or not self.layout.has_neurons:
            return None
        tied = self.layout.tied_classes
        W_U = self.named["unembed.W_U"] if tied is None else self.named["embed.W_E"][:tied].T
        return (self.named[f"blocks.{self.layout.n_layers - 1}.mlp.W_out"] @ W_U).T

    def tokens(self, inputs: Int[np.ndarray, "row pos"] | Int[Tensor, "row pos"]) -> Int[Tensor, "row pos"]:
        """Inputs as tokens on the network's device.

        Raises:
            UsageError: if they are not rows of n_ctx tokens.
        """
        return checked_tokens(inputs, like=self.named["embed.W_E"], n_ctx=self.sizes["n_ctx"], top=self.sizes["d_vocab"])


def checked_tokens(
    inputs: Int[np.ndarray, "row pos"] | Int[Tensor, "row pos"], *, like: Tensor, n_ctx: int, top: int
) -> Int[Tensor, "row pos"]:
    """Rows of tokens on the device of a tensor.

    Raises:
        UsageError: if they are not integers of shape (n, n_ctx) in 0..top-1.
    """
    given = torch.as_tensor(inputs, device=like.device)
    if given.ndim != 2 or given.shape[1] != n_ctx or given.is_floating_point():
        raise UsageError(f"inputs: given {tuple(given.shape)} of {given.dtype}, expected integers of shape (n, {n_ctx})")
    if len(given) and not 0 <= int(given.min()) <= int(given.max()) < top:
        raise UsageError(f"inputs: given tokens {int(given.min())}..{int(given.max())}, expected 0..{top - 1}")
    return given.long()
