"""What is dissected: a model on all its pairs, and the same model read as a circuit of addition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from interp import measures
from interp.fourier import FourierBasis
from interp.measures.group import Frame, addition_frame
from interp.pair_tables import PairTables
from interp.task import ModularTask, Operation, Split, is_prime
from interp.weights import Weights

Table = dict[str, Any]


@cache
def frame_of(p: int, operation: Operation) -> Frame | None:
    """The frame in which an operation is addition, None where there is none."""
    readable = operation in ("add", "subtract") or (operation == "multiply" and is_prime(p) and p > 2)
    return addition_frame(p, operation) if readable else None


@cache
def frame_or_plain(p: int, operation: Operation) -> Frame:
    """The frame in which an operation is addition; where there is none, all pairs and residues as they are."""
    return frame_of(p, operation) or Frame(p, torch.arange(p * p), torch.arange(p))


def means(values: Float[Tensor, " pair"], train: Tensor | None, test: Tensor | None) -> Table:
    """Mean over all pairs, and over chosen ones where they are known."""
    parts = {"train": train, "test": test}
    return {"all": values.mean()} | {name: None if part is None else values[part].mean() for name, part in parts.items()}


@dataclass(frozen=True, eq=False)
class Model:
    """The model on all its pairs."""

    weights: Weights
    tables: PairTables
    task: ModularTask
    split: Split | None

    @property
    def labels(self) -> Int64[Tensor, " pair"]:
        """The right answers."""
        return torch.from_numpy(self.task.labels)

    def part(self, name: str) -> Int64[Tensor, " chosen"] | None:
        """Indices of the training or test pairs, where they are known."""
        return None if self.split is None else torch.from_numpy(getattr(self.split, name))

    def means(self, values: Float[Tensor, " pair"]) -> Table:
        """Mean over all pairs, the training pairs and the test pairs."""
        return means(values, self.part("train"), self.part("test"))


@dataclass(frozen=True, eq=False)
class Circuit:
    """The same model read as a circuit of addition, with its key frequencies."""

    frame: Frame
    basis: FourierBasis
    keys: tuple[int, ...]
    logits: Float[Tensor, "pair residue"]
    labels: Int64[Tensor, " pair"]
    neurons: Float[Tensor, "pair d_mlp"]
    pattern: Float[Tensor, "pair head pos"]
    W_E: Float[Tensor, "residue d_model"]
    W_L: Float[Tensor, "residue d_mlp"]
    train: Int64[Tensor, " train"] | None
    test: Int64[Tensor, " test"] | None

    @classmethod
    def of(cls, model: Model, frame: Frame, frequencies: Sequence[int] | None) -> Circuit:
        """Read a model in a frame; key frequencies by the rule `unembedding` unless given."""
        basis, W_L = FourierBasis(frame.modulus), model.weights.W_L[frame.residues]
        keys = measures.key_frequencies_from_matrix(W_L, basis=basis) if frequencies is None else frequencies
        parts = [model.part(name) for name in ("train", "test")]
        train, test = (None if part is None else frame.positions(part) for part in parts)
        place = torch.full((model.task.p,), -1)
        place[frame.residues] = torch.arange(len(frame.residues))
        return cls(
            frame=frame, basis=basis, keys=tuple(sorted({basis.check(k) for k in keys})),
            logits=frame.logits(model.tables.logits), labels=place[model.labels[frame.pairs]],
            neurons=frame.rows(model.tables.neurons), pattern=frame.rows(model.tables.pattern),
            W_E=model.weights.W_E[frame.residues], W_L=W_L, train=train, test=test,
        )  # fmt: skip

    @property
    def how(self) -> Table:
        """The basis and the key frequencies, as the measures take them."""
        return {"basis": self.basis, "frequencies": self.keys}

    def means(self, values: Float[Tensor, " pair"]) -> Table:
        """Mean over all pairs of the frame, and over its training and test pairs."""
        return means(values, self.train, self.test)
