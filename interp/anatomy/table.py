"""The whole anatomy of one model in one call: every measure, as plain values ready for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from interp.anatomy import parts
from interp.anatomy.ablation import Ablation, ablations
from interp.anatomy.subject import Circuit, Model, Table, frame_of
from interp.errors import UsageError
from interp.pair_tables import pair_tables
from interp.task import ModularTask, Operation, Split
from interp.weights import Weights


def anatomy(
    weights: Weights,
    *,
    operation: Operation = "add",
    split: Split | None = None,
    frequencies: Sequence[int] | None = None,
    controls: int = 0,
    seed: int = 0,
) -> Table:
    """Everything that can be measured on one model: losses, circuit, algorithm, verdicts, ablations, as nested plain values.

    Means over ``train`` and ``test`` are None where the split is not known; so is what does not apply or is not a number.
    For multiplication modulo a prime the measures of waves are taken over exponents (see `interp.measures.addition_frame`),
    over pairs of units; for operations that no reordering makes an addition they are None.

    Args:
        split: which pairs were trained on.
        frequencies: the key frequencies; by default those of the rule `unembedding`, chosen from this model.
        controls: random controls for each ablation.
        seed: of the controls.

    Raises:
        UsageError: if the weights give logits that are not finite.

    >>> from interp.synthetic import clock_weights
    >>> anatomy(clock_weights(7, [2, 3], amplitude=9.0))["key_frequencies"]
    [2, 3]
    """
    weights = weights.map(torch.Tensor.detach)
    tables = pair_tables(weights)
    if not bool(torch.isfinite(tables.all_logits.sum())):
        raise UsageError("anatomy: the weights give logits that are NaN or infinite; there is nothing to measure")
    model = Model(weights, tables, ModularTask(weights.p, operation, weights.equals_sign), split)
    found: Table = {"p": weights.p, "operation": operation} | parts.losses(model) | parts.weight_facts(model)
    frame = frame_of(weights.p, operation)
    circuit = None if frame is None else Circuit.of(model, frame, frequencies)
    for of_circuit in (parts.spectra, parts.progress, parts.neuron_facts, parts.logit_facts, parts.generalization):
        found |= of_circuit(circuit)
    found |= parts.head_facts(model, circuit) | parts.algorithm_facts(model, circuit)
    found["ablations"] = None
    if circuit is not None:
        done = ablations(weights, frame=circuit.frame, frequencies=circuit.keys, controls=controls, seed=seed)
        found["ablations"] = {name: _controlled(ablation) for name, ablation in done.items()}
    return _plain(found)


def _controlled(ablation: Ablation) -> Table:
    """An ablation's loss, and its controls by their distribution."""
    found: Table = {"loss": ablation.loss, "controls": None}
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
