"""Whether a question applies to a run: asked in one place, of its kind of network and its task, and never of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

from interp.errors import UsageError
from interp.networks.layered_shapes import LAYERED, TWO_EMBEDDINGS
from interp.networks.shapes import KIND as ONE_LAYER
from interp.observing.analysis import Analysis
from interp.observing.series import FREQUENCIES, NOT_ADDITION
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
        has_neurons: whether a transformer of any depth has MLPs; the other kinds say it themselves.
    """

    kind: str
    task: Task
    is_known: bool = True
    has_neurons: bool = True

    @classmethod
    def of(cls, run: Run) -> Nature:
        """Of a run."""
        has_neurons = not run.has_config or run.config.model.architecture != "attention-only"
        return cls(run.kind, run.task, is_known=run.knows_function, has_neurons=has_neurons)

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


def _without_waves(task: Task) -> str:
    """Why there are no measures of waves: of a formula it is known that nothing makes it an addition, of a table nothing is."""
    if isinstance(task, ModularTask):
        return f"no reordering makes {task.name} an addition: its answers have no waves"
    return f"no harmonics are known for the table of {task.name}"


def _without_pairs(task: Task) -> str | None:
    """Why nothing can be said of the two tokens of an input."""
    if isinstance(task, ModularTask) or task.inputs.shape[1] > 1:
        return None
    return f"the inputs of {task.name} are single tokens, and no pairs"


def _without_subgroups(nature: Nature) -> str | None:
    """Why nothing can be said of cosets: the answers are no products in a group, or it has too many subgroups."""
    if nature.is_addition:
        return FREQUENCIES  # known without torch, which a look at a measured run does without
    from interp.groups.subgroups import subgroup_classes
    from interp.tasks.recognized import group_of

    found = group_of(nature.task)
    if found is None:
        return f"the answers of {nature.task.name} are not the products of a group"
    try:
        subgroup_classes(found)
    except UsageError as error:
        return str(error).removeprefix("group ")
    return None


def _without_neurons(nature: Nature) -> str | None:
    """Why there are no neurons to read: the network has none, or it is not known where they are."""
    if nature.kind == LAYERED:
        return None if nature.has_neurons else "it reads neurons, and the layers of this transformer have no MLP"
    if nature.kind in (ONE_LAYER, TWO_EMBEDDINGS):
        return None
    return f"it reads neurons, and where those of a network of kind {nature.kind!r} are is not known"


def does_not_apply(analysis: Analysis, nature: Nature, *, keys_are_known: bool = True) -> str | None:
    """Why a question does not apply to a kind of network and its task; None if it does."""
    kind, name = nature.kind, nature.task.name
    without_waves = None if nature.n_frequencies else _without_waves(nature.task)
    reasons = {
        "one-layer": None if kind == ONE_LAYER else f"it reads a one-layer transformer, and this is a network of kind {kind!r}",
        "neurons": _without_neurons(nature),
        "embedding": None if kind in (ONE_LAYER, LAYERED) else f"a network of kind {kind!r} has no one embedding of its tokens",
        "function": None
        if nature.is_known
        else f"the function of this network, of kind {kind!r}, is not stored: open its run with network=...",
        "pairs": _without_pairs(nature.task) if "pairs" in analysis.needs else None,
        "harmonics": without_waves,
        "keys": None
        if keys_are_known
        else f"this rule for key frequencies does not read a network of kind {kind!r}: choose the rule logits, or give them",
        "group": without_waves or (FREQUENCIES if nature.is_addition else None),
        "subgroups": _without_subgroups(nature) if "subgroups" in analysis.needs and without_waves is None else without_waves,
        "addition": without_waves or (None if nature.is_addition else f"the task {name} {NOT_ADDITION}"),
    }
    return next((why for need in analysis.needs if (why := reasons[need])), None)
