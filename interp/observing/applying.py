"""Whether a question applies to a run: asked in one place, of its kind of network and its task, and never of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

from interp.networks.shapes import KIND as ONE_LAYER
from interp.observing.analysis import Analysis
from interp.store.run import Run
from interp.tasks.modular import ModularTask
from interp.tasks.task import Task


@dataclass(frozen=True)
class Nature:
    """What a question's needs depend on.

    Args:
        kind: of network.
        task: what it learns.
        is_known: whether the network's function is known, and not its tensors alone.
    """

    kind: str
    task: Task
    is_known: bool = True

    @classmethod
    def of(cls, run: Run) -> Nature:
        """Of a run."""
        return cls(run.kind, run.task, is_known=run.knows_function)

    @property
    def n_frequencies(self) -> int:
        """Number of parts that the harmonics of the answers have; 0 where there are none."""
        if isinstance(self.task, ModularTask):  # known without building them, and so without torch
            return self.task.n_frequencies
        return 0 if self.task.harmonics is None else len(self.task.harmonics.names)

    @property
    def is_addition(self) -> bool:
        """Whether the task is addition modulo n, or becomes it when pairs and residues are reordered."""
        if isinstance(self.task, ModularTask) or self.task.harmonics is None:
            return self.n_frequencies > 0
        from interp.harmonics.cyclic import CyclicHarmonics

        return isinstance(self.task.harmonics, CyclicHarmonics)


def does_not_apply(analysis: Analysis, nature: Nature, *, keys_are_known: bool = True) -> str | None:
    """Why a question does not apply to a kind of network and its task; None if it does."""
    kind, name = nature.kind, nature.task.name
    without_waves = None if nature.n_frequencies else f"no reordering makes {name} an addition: its answers have no waves"
    reasons = {
        "one-layer": None if kind == ONE_LAYER else f"it reads a one-layer transformer, and this is a network of kind {kind!r}",
        "function": None
        if nature.is_known
        else f"the function of this network, of kind {kind!r}, is not stored: open its run with network=...",
        "harmonics": without_waves,
        "keys": None
        if keys_are_known
        else f"no rule finds the key frequencies of a network of kind {kind!r}: give them with key_rule",
        "addition": without_waves or (None if nature.is_addition else f"{name} is not addition modulo n in any order"),
    }
    return next((why for need in analysis.needs if (why := reasons[need])), None)
