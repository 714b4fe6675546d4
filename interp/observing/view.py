"""View: one checkpoint, as an analysis sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from interp.errors import UsageError
from interp.groups.cayley import Group
from interp.harmonics.cyclic import CyclicHarmonics, FourierBasis
from interp.harmonics.harmonics import Harmonics, Name
from interp.networks.network import Network
from interp.networks.neuron_tables import NeuronTables, neuron_tables
from interp.networks.one_layer import Weights, forward
from interp.networks.sites import Activations
from interp.observing.circuit import Circuit, Model
from interp.once import once
from interp.tasks.recognized import group_of
from interp.tasks.splits import Split
from interp.tasks.task import Task

if TYPE_CHECKING:
    from interp.store.run import Run

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class View:
    """One checkpoint, as an analysis sees it. Everything computed is computed once and shared by all analyses.

    Attributes:
        step: number of updates.
        network: the model; `weights` is the same, where it is a one-layer transformer.
        task: what it learns; `labels` are its answers to all inputs.
        split: indices of the train and test rows at this step, as arrays; `train` and `test` are the same as tensors.
        key_frequencies: chosen once for the whole run, see `observe`; none where the task has no harmonics.
        losses: train_loss, test_loss, train_accuracy, test_accuracy of this step in the run's history (None where not measured).
        run: the whole run, for an analysis that is measured at the last checkpoint alone; None for all others, whose results must
            follow from the checkpoint.
        brief: whether an answer is wanted soon rather than complete, as for a page of a live run.
        threads: cores that an analysis may use, if its work can be shared out.
        of_run: what `once_per_run` has made, the same for all checkpoints of a series that have this split.
    """

    step: int
    network: Network
    task: Task
    split: Split
    key_frequencies: tuple[Name, ...]
    losses: Mapping[str, float | None]
    run: Run | None = None
    brief: bool = False
    threads: int = 1
    of_run: dict[str, Any] = field(default_factory=dict, repr=False)

    def once_per_run(self, name: str, make: Callable[[], T]) -> T:
        """What follows from task and split alone: made at the first checkpoint that is measured, the same for all others.

        (For all others of the same split: changes of a run may take pairs out, or add some.)

        Args:
            name: of what is made, begun with the analysis' own.
            make: makes it; it may be asked twice, where checkpoints are measured at the same time.
        """
        if name not in self.of_run:
            self.of_run[name] = make()
        found: T = self.of_run[name]
        return found

    def __repr__(self) -> str:
        return f"View(step {self.step:,} of {self.task.name}; {self.network!r})"

    @once
    def _model(self) -> Model:
        return Model(self.network, self.task, self.split)

    @property
    def weights(self) -> Weights:
        """The one-layer transformer.

        Raises:
            UsageError: if the network is another.
        """
        return self._model.weights

    @property
    def is_one_layer(self) -> bool:
        """Whether the network is the one-layer transformer, with `weights` and `pattern`."""
        return isinstance(self.network, Weights)

    @once
    def activations(self) -> Activations:
        """Every intermediate value over all pairs, row-major. (`logits`, `neurons` and `pattern` by themselves are faster.)"""
        with torch.no_grad():
            return forward(self.weights, self.task.inputs[:, :2])

    @property
    def logits(self) -> Float[Tensor, "row classes"]:
        """Logits of the answers (of modular addition: the p residues) for all inputs."""
        return self._model.logits

    @property
    def neurons(self) -> Float[Tensor, "pair d_mlp"]:
        """Neurons after their activation function, over all pairs: at the last position, of several layers those of the last.

        Of a one-layer transformer, an MLP of two embeddings, or a transformer of any depth with MLPs.

        Raises:
            UsageError: if the network is another.
        """
        return self._model.neurons

    @property
    def pattern(self) -> Float[Tensor, "pair head pos"]:
        """Attention from the last position, over all pairs."""
        return self._model.tables.pattern

    @once
    def neuron_tables(self) -> NeuronTables:
        """The neurons as small tables from which the map of any of them over all pairs can be made, in single precision."""
        return neuron_tables(self.weights)

    @once
    def labels(self) -> Int64[Tensor, " row"]:
        """Right answers to all inputs."""
        return self._model.labels.to(self.logits.device)

    @property
    def right(self) -> Bool[Tensor, " row"]:
        """Whether the largest logit of each input is that of the right answer."""
        return self._model.right

    @once
    def train(self) -> Int64[Tensor, " train"]:
        """Row indices of the inputs that are trained on."""
        return torch.from_numpy(self.split.train)

    @once
    def test(self) -> Int64[Tensor, " test"]:
        """Row indices of the inputs that are never trained on."""
        return torch.from_numpy(self.split.test)

    @property
    def harmonics(self) -> Harmonics | None:
        """The waves of the task's answers; None where there are none, and no measure of waves applies."""
        return self.task.harmonics

    @property
    def basis(self) -> FourierBasis:
        """The Fourier basis of an operation that is addition, or becomes it when pairs and residues are reordered.

        Raises:
            UsageError: if it is not one.
        """
        if not isinstance(self.harmonics, CyclicHarmonics):
            raise UsageError(f"task {self.task.name!r}: it is no addition modulo n, and has no Fourier basis")
        return self.harmonics.basis

    @property
    def is_addition(self) -> bool:
        """Whether the operation is addition modulo n, or becomes it when pairs and residues are reordered."""
        return isinstance(self.harmonics, CyclicHarmonics)

    @property
    def group(self) -> Group | None:
        """The group whose products the answers to all pairs are; None if there is none."""
        return group_of(self.task)

    @once
    def circuit(self) -> Circuit:
        """The checkpoint in the order of its task's harmonics, in which every measure of waves applies.

        For addition these are the very same values; for subtraction pairs have -b in the place of b; for multiplication modulo a
        prime pairs and residues are in the order of exponents. It has ``harmonics``, ``keys``, ``logits``, ``labels``,
        ``neurons``, ``pattern``, ``W_E``, ``W_L``, ``train`` and ``test``.

        Raises:
            UsageError: if the task has no harmonics.
        """
        if self.harmonics is None:
            raise UsageError(f"task {self.task.name!r}: its answers have no harmonics, so no measure of waves applies")
        return Circuit.of(self._model, self.harmonics, self.key_frequencies)
