"""What is looked at: a model on all inputs of its task, and the same read in the order of the task's harmonics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from interp import measures
from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import Harmonics, Name, line_means, positions, take_classes, take_logits, take_rows
from interp.losses import correct
from interp.networks.layered import Layered
from interp.networks.network import Network
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import PairTables, pair_tables
from interp.networks.two_embeddings import TwoEmbeddings
from interp.once import once
from interp.tasks.splits import Split
from interp.tasks.task import Task, answered

Entries = dict[str, Any]


def means(values: Float[Tensor, " row"], train: Tensor | None, test: Tensor | None) -> Entries:
    """Mean over all rows, and over chosen ones where they are known."""
    parts = {"train": train, "test": test}
    return {"all": values.mean()} | {name: None if part is None else values[part].mean() for name, part in parts.items()}


@dataclass(frozen=True, eq=False)
class Model:
    """A network on all inputs of its task; everything is computed once, when it is first asked for."""

    network: Network
    task: Task
    split: Split | None

    @property
    def weights(self) -> Weights:
        """The one-layer transformer.

        Raises:
            UsageError: if the network is another.
        """
        if not isinstance(self.network, Weights):
            raise UsageError(f"this needs a one-layer transformer, given a network of kind {self.network.kind!r}")
        return self.network

    @once
    def tables(self) -> PairTables:
        """Attention, neurons and logits of a one-layer transformer."""
        return pair_tables(self.weights)

    @once
    def logits(self) -> Float[Tensor, "row classes"]:
        """Logits of the answers, for all inputs."""
        return self._ends[0]

    @once
    def neurons(self) -> Float[Tensor, "row d_mlp"]:
        """Neurons after their activation function, for all inputs: at the last position, of several layers those of the last.

        Raises:
            UsageError: if the network has none of which is known where they are.
        """
        if self._ends[1] is None:
            raise UsageError(
                f"neurons: given a network of kind {self.network.kind!r}, expected one that has an MLP at a known place"
            )
        return self._ends[1]

    @once
    def _ends(self) -> tuple[Tensor, Tensor | None]:
        """Logits and neurons, of one pass."""
        if isinstance(self.network, Weights):
            return self.tables.logits, self.tables.neurons
        with torch.no_grad():
            if isinstance(self.network, Layered):
                logits, neurons = self.network.at_the_end(self.task.inputs)
            else:
                found = self.network.activations(self.task.inputs)
                logits, neurons = found["logits"], found["mlp.hook_post"] if isinstance(self.network, TwoEmbeddings) else None
        return logits[:, : self.task.classes], neurons

    @once
    def labels(self) -> Int64[Tensor, " row"]:
        """The right answers."""
        return torch.from_numpy(self.task.labels)

    @once
    def right(self) -> Bool[Tensor, " row"]:
        """Whether the largest logit of each row is the right one."""
        return correct(self.logits, self.labels.to(self.logits.device))

    def part(self, name: str) -> Int64[Tensor, " chosen"] | None:
        """Indices of the training or test rows, where they are known."""
        return None if self.split is None else torch.from_numpy(getattr(self.split, name))

    def means(self, values: Float[Tensor, " row"]) -> Entries:
        """Mean over all rows that have an answer, the training rows and the test rows."""
        found = means(values, self.part("train"), self.part("test"))
        rows = answered(self.task)
        return found if len(rows) == len(values) else found | {"all": values[torch.from_numpy(rows)].mean()}


@dataclass(frozen=True, eq=False)
class Circuit:
    """A model read in the order of its task's harmonics, with its key frequencies: what every measure of waves takes.

    For addition these are the very same values; for subtraction pairs have -b in the place of b; for multiplication modulo a
    prime pairs and residues are in the order of exponents.
    """

    model: Model
    harmonics: Harmonics
    keys: tuple[Name, ...]

    @classmethod
    def of(cls, model: Model, harmonics: Harmonics, keys: Sequence[Name] | None) -> Circuit:
        """Read a model; key frequencies by the rule `unembedding` unless given."""
        if keys is None:
            keys = measures.key_frequencies_from_matrix(take_classes(harmonics, model.weights.W_L), harmonics=harmonics)
        harmonics.projector(keys)  # the error for a name that is not one of theirs
        return cls(model, harmonics, tuple(name for name in harmonics.names if name in set(keys)))

    @property
    def cyclic(self) -> CyclicHarmonics:
        """The harmonics, where they are those of addition modulo n on all pairs.

        Raises:
            UsageError: if they are not.
        """
        if not isinstance(self.harmonics, CyclicHarmonics):
            raise UsageError("this measure is of addition modulo n, given the harmonics of another group")
        return self.harmonics

    @property
    def frequencies(self) -> tuple[int, ...]:
        """The key frequencies, where they are frequencies."""
        return tuple(k for k in self.keys if isinstance(k, int))

    @once
    def logits(self) -> Float[Tensor, "row n"]:
        """Logits of the group elements."""
        return take_logits(self.harmonics, self.model.logits)

    @once
    def labels(self) -> Int64[Tensor, " row"]:
        """The right answers."""
        return self.harmonics.line.to(self.model.logits.device)

    @once
    def neurons(self) -> Float[Tensor, "row d_mlp"]:
        """Neurons after their activation function: of a transformer's last layer at the last position, or of an MLP's one."""
        return take_rows(self.harmonics, self.model.neurons)

    @once
    def neuron_parts(self) -> measures.NeuronParts:
        """The part of the harmonics that each neuron follows."""
        return measures.neuron_parts(self.neurons, harmonics=self.harmonics)

    @once
    def from_neurons(self) -> Float[Tensor, "row n"]:
        """The neurons' part of the logits."""
        return take_logits(self.harmonics, self.model.tables.from_neurons)

    @once
    def pattern(self) -> Float[Tensor, "row head pos"]:
        """Attention of a one-layer transformer from the last position."""
        return take_rows(self.harmonics, self.model.tables.pattern)

    @once
    def W_E(self) -> Float[Tensor, "n d_model"]:
        """The group elements' rows of the embedding, of a one-layer transformer or a layered one; of two, side by side."""
        network = self.model.network
        if isinstance(network, TwoEmbeddings):
            return take_classes(self.harmonics, torch.cat(network.embeddings, dim=1))
        matrix = network.named["embed.W_E"] if isinstance(network, Layered) else self.model.weights.W_E
        return take_classes(self.harmonics, matrix)

    @once
    def W_L(self) -> Float[Tensor, "n d_mlp"]:
        """The neuron-logit map: of a transformer from its last layer; of an MLP of two embeddings, W_U transposed.

        Raises:
            UsageError: if there is none, see `has_W_L`.
        """
        network = self.model.network
        if isinstance(network, TwoEmbeddings):
            return take_classes(self.harmonics, network.named["unembed.W_U"].T)
        found = network.W_L if isinstance(network, Layered) else self.model.weights.W_L
        if found is None:
            raise UsageError("W_L: no linear map leads from the neurons of this transformer to its logits; ask has_W_L first")
        return take_classes(self.harmonics, found)

    @property
    def has_W_L(self) -> bool:
        """Whether a linear map leads from neurons to logits: there are neurons, and no LayerNorm lies between."""
        network = self.model.network
        return network.W_L is not None if isinstance(network, Layered) else isinstance(network, TwoEmbeddings | Weights)

    @once
    def right(self) -> Bool[Tensor, " row"]:
        """Whether the answer to each row is right."""
        harmonics = self.harmonics
        if harmonics.rows is None and harmonics.classes is None and self.model.task.classes == harmonics.n:
            return self.model.right  # the same rows and answers in the same order
        return correct(self.logits, self.labels)

    @once
    def line_means(self) -> Float64[Tensor, "n n"]:
        """Mean logits over the rows of each answer: what restricted and excluded losses and the clock's formula are made of."""
        return line_means(self.logits, self.harmonics, dtype=torch.float64)

    @once
    def energy(self) -> Float64[Tensor, ""]:
        """Sum of squares of the logits about the mean of each row."""
        return measures.centred_energy(self.logits)

    @once
    def spectrum_W_E(self) -> measures.EmbeddingSpectrum:
        """Fourier norms of the embedding, where the harmonics are those of addition."""
        return measures.embedding_spectrum(self.W_E, harmonics=self.cyclic)

    @once
    def spectrum_W_L(self) -> measures.EmbeddingSpectrum:
        """Fourier norms of the neuron-logit map, where the harmonics are those of addition."""
        return measures.embedding_spectrum(self.W_L, harmonics=self.cyclic)

    @once
    def agreement(self) -> Float64[Tensor, ""]:
        """Shift agreement, where the harmonics are those of addition, and some pairs were seen and others not.

        Raises:
            UsageError: if they are not, or were not.
        """
        if self.train is None:
            raise UsageError("the training pairs are not known")
        return measures.shift_agreement(self.logits, harmonics=self.cyclic, train=self.train, means=self.line_means)

    @once
    def train(self) -> Int64[Tensor, " train"] | None:
        """Indices of the training rows, where they are known."""
        return self._positions("train")

    @once
    def test(self) -> Int64[Tensor, " test"] | None:
        """Indices of the test rows, where they are known."""
        return self._positions("test")

    @property
    def how(self) -> Entries:
        """The harmonics and the key frequencies, as the measures take them."""
        return {"harmonics": self.harmonics, "keys": self.keys}

    def means(self, values: Float[Tensor, " row"]) -> Entries:
        """Mean over all rows of the harmonics, and over its training and test rows."""
        return means(values, self.train, self.test)

    def _positions(self, name: str) -> Tensor | None:
        part = self.model.part(name)
        return None if part is None else positions(self.harmonics, part)
