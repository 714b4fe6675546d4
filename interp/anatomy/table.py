"""The whole anatomy of one model in one call: every measure, as plain values ready for JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from interp.anatomy import entries
from interp.anatomy.ablation import Ablation, ablations
from interp.anatomy.group_table import of_two_embeddings, representations
from interp.cores import check_threads, torch_threads
from interp.errors import NotFiniteError
from interp.harmonics.cyclic import CyclicHarmonics
from interp.networks.one_layer import Weights
from interp.networks.two_embeddings import TwoEmbeddings
from interp.networks.weights_given import as_weights
from interp.observing.analysed_sizes import room_for_measuring
from interp.observing.circuit import Circuit, Entries, Model
from interp.store.checkpoint import Checkpoint
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split
from interp.tasks.task import Task

_NOT_FINITE = "anatomy: the weights give logits that are NaN or infinite; there is nothing to measure"


def anatomy(  # noqa: PLR0913  each is a choice of the one who asks
    weights: Weights | TwoEmbeddings | Checkpoint,
    *,
    task: Task | None = None,
    split: Split | None = None,
    keys: Sequence[int | str] | None = None,
    controls: int = 0,
    seed: int = 0,
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> Entries:
    """Everything that can be measured on one model: losses, circuit, algorithm, verdicts, ablations, as nested plain values.

    Means over ``train`` and ``test`` are None where the split is not known; so is what does not apply or is not a number.
    For multiplication modulo a prime the measures of waves are taken over exponents, over pairs of units; for operations that no
    reordering makes an addition they are None. For a group that is not cyclic representations stand in the place of frequencies
    (``key_representations``, ``restricted``, ``excluded``, ``character_share`` ...), and for an MLP of two embeddings, too, of
    which nothing is ablated.

    Args:
        weights: the model, or a checkpoint of it: a one-layer transformer, or an MLP of two embeddings.
        task: what was learned, addition by default.
        split: which pairs were trained on.
        keys: the key frequencies; by default those of the rule `unembedding`, chosen from this model.
        controls: random controls for each ablation.
        seed: of the controls.
        threads: how many share the work on the ablations, all cores of this process by default; no number depends on it.
        on_step: called with (pieces of the work done, pieces in all).
        force: measure even if that takes more memory than this machine has, by estimate.

    Raises:
        UsageError: if it takes more, if the weights give logits that are not finite, or threads is less than 1.

    >>> from interp.synthetic import clock_weights
    >>> anatomy(clock_weights(7, [2, 3], amplitude=9.0))["key_frequencies"]
    [2, 3]
    """
    threads = check_threads(threads)
    if isinstance(network := getattr(weights, "network", weights), TwoEmbeddings):
        return _of_mlp(network, task, split, force=force)
    weights = as_weights(weights)
    room_for_measuring(weights.p, weights.d_mlp, width=weights.W_E.element_size(), force=force)
    weights = weights.map(torch.Tensor.detach)
    task = ModularTask(weights.p, equals_sign=weights.equals_sign) if task is None else task
    model = Model(weights, task, split)
    if not bool(torch.isfinite(model.tables.all_logits.sum())):
        raise NotFiniteError(_NOT_FINITE)
    circuit = Circuit.of(model, task.harmonics, keys) if isinstance(task.harmonics, CyclicHarmonics) else None
    with torch_threads(1):  # operations too small to be shared out
        found = _facts(model, circuit)
    found["ablations"] = None
    if circuit is not None:
        done = ablations(
            weights, harmonics=circuit.cyclic, keys=circuit.frequencies, controls=controls, seed=seed, tables=model.tables,
            threads=threads, on_step=on_step,
        )  # fmt: skip
        found["ablations"] = {name: _controlled(ablation) for name, ablation in done.items()}
    return _plain(found)


def _facts(model: Model, circuit: Circuit | None) -> Entries:
    """All but the ablations."""
    found: Entries = {"p": model.weights.p, "operation": getattr(model.task, "operation", model.task.name)}
    found |= entries.losses(model) | entries.weight_facts(model)
    for of_circuit in (entries.spectra, entries.progress, entries.neuron_facts, entries.logit_facts, entries.generalization):
        found |= of_circuit(circuit)
    found |= entries.head_facts(model, circuit) | entries.algorithm_facts(model, circuit)
    harmonics = model.task.harmonics
    return found if circuit is not None or harmonics is None else found | representations(model, harmonics)


def _of_mlp(network: TwoEmbeddings, task: Task | None, split: Split | None, *, force: bool) -> Entries:
    """The table of an MLP of two embeddings."""
    first, _ = network.embeddings
    room_for_measuring(*first.shape, width=first.element_size(), force=force)
    model = Model(network, ModularTask(len(first), equals_sign=False) if task is None else task, split)
    if not bool(torch.isfinite(model.logits.sum())):
        raise NotFiniteError(_NOT_FINITE)
    with torch_threads(1):
        return _plain(of_two_embeddings(model))


def _controlled(ablation: Ablation) -> Entries:
    """An ablation's loss, and its controls by their distribution."""
    found: Entries = {"loss": ablation.loss, "controls": None}
    if ablation.controls:
        values = torch.tensor(ablation.controls, dtype=torch.float64)
        low, median, high = torch.quantile(values, torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
        found["controls"] = {"n": len(values), "low": low, "median": median, "high": high}
    return found


def _plain(value: Any) -> Any:
    """Plain values only: tensors as floats, names as text, and None for what is not a number."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        value = value.item()
    return None if isinstance(value, float) and not isfinite(value) else value
