"""Masks of a network: its largest weights, or the neurons of its clusters; and others of the same size, drawn at random."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from interp.errors import UsageError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.interventions.parts import cluster_of
from interp.networks.one_layer import Weights
from interp.observing.keys import key_frequencies
from interp.tasks.task import Task

By = Literal["magnitude", "clusters"]
Mask = dict[str, Tensor]


def largest(tensor: Tensor, keep: float) -> Tensor:
    """Which entries of a tensor are the largest in magnitude, a share of them.

    >>> largest(torch.tensor([3.0, -4.0, 1.0, 2.0]), 0.5).tolist()
    [True, True, False, False]
    """
    order = tensor.abs().flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(tensor.numel(), dtype=torch.bool)
    mask[order[: max(1, round(keep * tensor.numel()))]] = True
    return mask.reshape(tensor.shape)


def of_magnitude(weights: Weights, keep: float) -> Mask:
    """The largest entries of each matrix, a share of them."""
    return {name: largest(tensor, keep) for name, tensor in weights.tensors().items() if name.startswith("W_")}


def clustered(weights: Weights, task: Task) -> Bool[Tensor, " d_mlp"]:
    """Which neurons follow a key frequency: those in its cluster, as `measures.neuron_frequencies` finds it.

    Raises:
        UsageError: for a task whose answers have no frequencies.
    """
    if not isinstance(task.harmonics, CyclicHarmonics):
        raise UsageError(
            f"clusters: given a run of {task.name}, expected addition, or what becomes it when residues are reordered: neurons "
            "follow its frequencies"
        )
    keys = [k for k in key_frequencies(weights, task=task) if isinstance(k, int)]
    found = torch.zeros(weights.d_mlp, dtype=torch.bool)
    if keys:
        found[cluster_of(weights, keys, task)] = True
    return found


def of_neurons(weights: Weights, kept: Bool[Tensor, " d_mlp"]) -> Mask:
    """What goes into some neurons and comes out of them: columns of W_in, rows of W_out; other matrices stay whole."""
    return {"W_in": kept.expand_as(weights.W_in).clone(), "W_out": kept[:, None].expand_as(weights.W_out).clone()}


def shuffled(mask: Tensor, generator: Generator) -> Tensor:
    """The entries of a mask in another order."""
    return mask.flatten()[torch.randperm(mask.numel(), generator=generator)].reshape(mask.shape)
