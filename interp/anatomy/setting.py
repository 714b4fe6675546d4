"""What ablations have in common: one model in the order of its harmonics, and the work cut into pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from interp.anatomy.controls import Controls
from interp.harmonics.cyclic import CyclicHarmonics, FourierBasis
from interp.harmonics.harmonics import blocks, take_classes, take_logits, take_rows
from interp.losses import cross_entropy
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import PairTables


@dataclass(frozen=True)
class Piece:
    """Work that one thread does by itself: losses, and which ablations they are of; the first of an ablation is its own."""

    names: Sequence[str]
    losses: Callable[[], Iterable[float]]


@dataclass(frozen=True, eq=False)
class Setting:
    """The model in the order of the harmonics: pairs, classes and the rows of W_L."""

    weights: Weights
    full: PairTables
    harmonics: CyclicHarmonics
    keys: tuple[int, ...]
    controls: Controls
    logits: Float[Tensor, "pair residue"]
    from_neurons: Float[Tensor, "pair residue"]
    neurons: Float[Tensor, "pair d_mlp"]
    W_L: Float[Tensor, "residue d_mlp"]

    @classmethod
    def of(
        cls, weights: Weights, full: PairTables, harmonics: CyclicHarmonics, keys: tuple[int, ...], controls: Controls
    ) -> Setting:
        """The setting of a model, of which everything is known for all pairs, and its key frequencies."""
        return cls(
            weights=weights, full=full, harmonics=harmonics, keys=keys, controls=controls,
            logits=take_logits(harmonics, full.logits), from_neurons=take_logits(harmonics, full.from_neurons),
            neurons=take_rows(harmonics, full.neurons), W_L=take_classes(harmonics, weights.W_L),
        )  # fmt: skip

    @property
    def basis(self) -> FourierBasis:
        """Of functions of the answer."""
        return self.harmonics.basis

    @property
    def residues(self) -> Int64[Tensor, " residue"]:
        """The rows of W_E that belong to the group elements."""
        return torch.arange(self.harmonics.n) if self.harmonics.classes is None else self.harmonics.classes

    def loss(self, logits: Callable[[slice], Float[Tensor, "some residue"]]) -> float:
        """Mean loss, from the logits of some rows at a time: never are those of all pairs copied."""
        line, total = self.harmonics.line, torch.zeros((), dtype=torch.float64)
        for rows in blocks(len(line), self.harmonics.n):
            total += cross_entropy(logits(rows), line[rows]).sum(dtype=torch.float64)
        return float(total) / len(line)

    def model_loss(self, logits: Float[Tensor, "all_pairs p"]) -> float:
        """Loss of a changed model, from its logits on all pairs."""
        taken = take_logits(self.harmonics, logits)
        return self.loss(lambda rows: taken[rows])

    def random_keys(self, size: int) -> list[list[int]]:
        """For each control as many frequencies that are not key."""
        return self.controls.frequencies(size, [k for k in self.basis.frequencies if k not in self.keys])

    def rotations(self, size: int) -> list[Float[Tensor, "size size"]]:
        """For each control a rotation, in the precision of the weights."""
        return [turn.to(self.weights.W_E.dtype) for turn in self.controls.rotations(size)]

    def mean_head_outputs(self) -> Float[Tensor, "head d_model"]:
        """Mean over all pairs of what each head writes."""
        w, full, p = self.weights, self.full, self.weights.p
        pattern = full.pattern.reshape(p, p, w.n_heads, w.n_ctx)
        at = [w.W_E[:p] + w.W_pos[0], w.W_E[:p] + w.W_pos[1]]
        attention = [pattern[..., 0].mean(dim=1) / p, pattern[..., 1].mean(dim=0) / p]
        if w.equals_sign:
            at.append(w.W_E[p:] + w.W_pos[2])
            attention.append(pattern[..., 2].mean(dim=(0, 1))[None])
        read = sum(
            torch.einsum("nh,nhe->he", weight, torch.einsum("nd,hde->nhe", x, w.W_V))
            for x, weight in zip(at, attention, strict=True)
        )
        if w.b_V is not None:
            read = read + full.pattern.sum(dim=2).mean(dim=0)[:, None] * w.b_V
        return torch.einsum("he,hed->hd", read, w.W_O)
