"""The part of the table that is of representations: for tasks of any group, and for MLPs of two embeddings."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from interp import measures
from interp.harmonics.cyclic import CyclicHarmonics
from interp.harmonics.harmonics import Harmonics, take_classes
from interp.losses import correct
from interp.measures.in_double import cross_entropy_in_double
from interp.networks.two_embeddings import TwoEmbeddings
from interp.observing.circuit import Circuit, Entries, Model
from interp.observing.keys import key_frequencies

# Of the one-layer transformer, or of addition.
_NOT_OF_AN_MLP = (
    "loss_all_classes", "pairs", "key_frequencies", "circularity", "gini", "embedding", "restricted", "restricted_products",
    "restricted_neurons", "excluded", "excluded_single", "cos_fit", "neurons", "neuron_logit_map", "heads", "logit_components",
    "algorithm", "generalization", "ablations",
)  # fmt: skip


@torch.no_grad()
def of_two_embeddings(model: Model) -> Entries:
    """The table of an MLP of two embeddings: what does not apply to it is None."""
    train, logits, labels = model.part("train"), model.logits, model.labels
    found: Entries = dict.fromkeys(_NOT_OF_AN_MLP)
    found |= {
        "p": model.task.classes,
        "operation": getattr(model.task, "operation", model.task.name),
        "loss": model.means(cross_entropy_in_double(logits, labels)),
        "accuracy": model.means(correct(logits, labels).double()),
        "health": {"collapsed": None if train is None else measures.collapsed(logits[train], labels[train]).double().mean()},
        "sum_squared_weights": measures.sum_squared_weights(model.network.tensors()),
    }
    return found if model.task.harmonics is None else found | representations(model, model.task.harmonics)


@torch.no_grad()
def representations(model: Model, harmonics: Harmonics) -> Entries:
    """Key representations (of addition: frequencies) by the default rule, losses with and without them, shares of each part."""
    keys = key_frequencies(model.network, task=model.task)
    c = Circuit.of(model, harmonics, keys)
    data, shared = (c.logits, c.labels), c.how | {"means": c.line_means}
    single: dict[int | str, Any] = dict.fromkeys(c.keys)
    if c.train is not None:
        single = {k: loss.mean() for k, loss in measures.excluded_loss_single(*data, pairs=c.train, **shared).items()}
    alpha = measures.character_coefficients(c.logits, harmonics=harmonics, means=c.line_means)
    explained = (alpha.square() / c.energy).tolist()
    is_cyclic = isinstance(harmonics, CyclicHarmonics)
    return {
        "key_frequencies": list(c.keys) if is_cyclic else None,
        "key_representations": None if is_cyclic else [str(name) for name in c.keys],  # as the shares below are named
        "restricted": c.means(measures.restricted_loss(*data, **shared)),
        "excluded": c.means(measures.excluded_loss(*data, **shared)),
        "excluded_single": single,
        "character_share": dict(zip(harmonics.names, explained, strict=True)),
        "character_fve": sum(explained),
        "part_shares": {
            name: dict(zip(harmonics.names, measures.part_shares(matrix, harmonics=harmonics).tolist(), strict=True))
            for name, matrix in _matrices(model, harmonics).items()
        },
        "part_neurons": measures.neuron_parts(c.neurons, harmonics=harmonics).counts,
    }


def _matrices(model: Model, harmonics: Harmonics) -> dict[str, Float[Tensor, "n rest"]]:
    """The matrices over elements."""
    network = model.network
    if not isinstance(network, TwoEmbeddings):
        found = {"W_E": model.weights.W_E, "W_L": model.weights.W_L}
    else:
        first, second = network.embeddings
        found = {"E_a": first, "E_b": second, "W_U": network.tensors()["unembed.W_U"].T}
    return {name: take_classes(harmonics, matrix) for name, matrix in found.items()}
