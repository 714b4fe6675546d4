"""Parts of a one-layer transformer, by name: whole tensors, groups of them, heads, clusters of neurons, key directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from interp.errors import UsageError, unknown
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import take_rows
from interp.measures import neuron_frequencies
from interp.networks.one_layer import Weights
from interp.networks.pair_tables import pair_tables
from interp.networks.shapes import SHAPES
from interp.tasks.task import Task
from interp.wording import listed

GROUPS: dict[str, tuple[str, ...]] = {
    "embedding": ("W_E", "W_pos"),
    "attention": ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"),
    "mlp": ("W_in", "b_in", "W_out", "b_out"),
    "unembedding": ("W_U", "b_U"),
    "all": tuple(SHAPES),
}
# The axis of a tensor along which its neurons, or its heads, lie.
NEURON_AXIS = {"W_in": 1, "b_in": 0, "W_out": 0}
HEAD_AXIS = {"W_Q": 0, "W_K": 0, "W_V": 0, "W_O": 0, "b_Q": 0, "b_K": 0, "b_V": 0}
_NUMBERED = re.compile(r"(heads|neurons|cluster|keys):([0-9]+(?:\+[0-9]+)*)")
EXPECTED = (
    f"{', '.join(GROUPS)}, a tensor such as W_in, heads:0+2, neurons:3+4, cluster:5 (the neurons whose frequency is 5), or "
    "keys:5+9 (the directions of W_E with these frequencies)"
)


# What can be named where there are no frequencies.
_WITHOUT = "name tensors, heads or neurons"


def check_parts(parts: Sequence[str], weights: Weights, task: Task) -> None:
    """Refuse parts that a network does not have.

    Args:
        parts: their names.
        weights: the network.
        task: what it learns; clusters and key directions are of the frequencies of its answers.

    Raises:
        UsageError: naming the first; also for one that is given twice.
    """
    if isinstance(parts, str):
        raise UsageError(f"parts: given {parts!r}, expected a list of parts, such as [{parts!r}]")
    if not parts:
        raise UsageError(f"parts: given none, expected {EXPECTED}")
    if twice := next((part for part in parts if list(parts).count(part) > 1), None):
        raise UsageError(f"parts: given {twice!r} more than once")
    for part in parts:
        found = _NUMBERED.fullmatch(part)
        if found is None:
            if part.startswith(("cluster:", "keys:")) and not isinstance(task.harmonics, CyclicHarmonics):
                raise _no_frequencies(part, task)
            if part not in GROUPS and part not in SHAPES:
                raise UsageError(f"parts: {unknown('part', part, [*GROUPS, *SHAPES, 'heads:0', 'cluster:5', 'keys:5'])}")
            if not _tensors(part, weights):
                raise UsageError(f"parts: given {part!r}, which this network does not have")
            continue
        least, most = 0, {"heads": weights.n_heads, "neurons": weights.d_mlp}.get(found[1], 0) - 1
        if found[1] in ("cluster", "keys"):
            if not isinstance(task.harmonics, CyclicHarmonics):
                raise _no_frequencies(part, task)
            least, most = 1, task.harmonics.n // 2
        if odd := [n for n in _numbers(found[2]) if not least <= n <= most]:
            raise UsageError(f"parts: given {part!r}: {odd[0]} is none of {least}..{most}")


def _no_frequencies(part: str, task: Task) -> UsageError:
    return UsageError(f"parts: given {part!r}, but the answers of {task.name} have no frequencies; {_WITHOUT}")


def check_clusters(parts: Sequence[str], donors: Iterable[Weights], task: Task) -> None:
    """Refuse a cluster that is none in all networks that it is taken from: nothing would be put anywhere.

    Raises:
        UsageError: naming the part.
    """
    there = list(donors)
    for part in parts:
        found = _NUMBERED.fullmatch(part)
        if found is None or found[1] != "cluster" or any(cluster_of(one, _numbers(found[2]), task) for one in there):
            continue
        raise UsageError(
            f"parts: given {part!r}, but no neuron of where it is taken from follows {listed(_numbers(found[2]))}; `interp "
            "anatomy` says which frequencies have clusters"
        )


def put(part: str, donor: Weights, into: Weights, task: Task) -> dict[str, Tensor]:
    """The tensors of a network with a part of another in the place of its own; those that are not touched are its own objects.

    Raises:
        UsageError: for a cluster or key directions, where the task's answers have no frequencies.
    """
    found = _NUMBERED.fullmatch(part)
    mine, theirs = into.tensors(), donor.tensors()
    if found is None:
        return {**mine, **{name: theirs[name] for name in _tensors(part, into)}}
    numbers = _numbers(found[2])
    if found[1] == "keys":
        harmonics = _frequencies_of(task)
        tokens = torch.arange(harmonics.n) if harmonics.classes is None else harmonics.classes
        onto, W_E = harmonics.projector(numbers).to(into.W_E), into.W_E.clone()
        W_E[tokens] += onto @ (donor.W_E[tokens] - into.W_E[tokens])
        return {**mine, "W_E": W_E}
    if found[1] == "cluster":
        numbers = cluster_of(donor, numbers, task)
    axes = HEAD_AXIS if found[1] == "heads" else NEURON_AXIS
    return {**mine, **{name: _along(axis, numbers, theirs[name], mine[name]) for name, axis in axes.items() if name in mine}}


def cluster_of(weights: Weights, frequencies: Sequence[int], task: Task) -> list[int]:
    """The neurons that follow one of some frequencies of the task's answers, by the rule of `measures.neuron_frequencies`.

    Raises:
        UsageError: if they have no frequencies.
    """
    harmonics = _frequencies_of(task)
    found = neuron_frequencies(take_rows(harmonics, pair_tables(weights).neurons), harmonics=harmonics)
    chosen = torch.isin(found.frequency, torch.tensor(list(frequencies))) & found.in_cluster
    return [int(number) for number in chosen.nonzero().flatten()]


def _frequencies_of(task: Task) -> CyclicHarmonics:
    """The waves of the answers: of addition, or of what becomes it when residues are reordered."""
    if not isinstance(task.harmonics, CyclicHarmonics):
        raise UsageError(f"given {task.name}, whose answers have no frequencies; {_WITHOUT}")
    return task.harmonics


def _tensors(part: str, weights: Weights) -> tuple[str, ...]:
    there = weights.tensors()
    return tuple(name for name in GROUPS.get(part, (part,)) if name in there)


def _numbers(text: str) -> list[int]:
    return sorted({int(number) for number in text.split("+")})


def _along(axis: int, numbers: Sequence[int], theirs: Tensor, mine: Tensor) -> Tensor:
    index = torch.tensor(list(numbers), dtype=torch.long)
    return mine.index_copy(axis, index, theirs.index_select(axis, index))
