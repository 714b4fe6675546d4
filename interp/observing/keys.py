"""Key frequencies: how they are chosen from a model."""

from __future__ import annotations

from collections.abc import Sequence

from interp import measures
from interp.errors import UsageError, unknown
from interp.harmonics.harmonics import Name
from interp.networks.network import Network
from interp.networks.one_layer import Weights
from interp.networks.stored_network import StoredNetwork
from interp.networks.weights_given import as_network
from interp.observing.circuit import Circuit, Model
from interp.observing.key_rules import KEY_RULES, KeyRule, is_read, rule_for
from interp.store.checkpoint import Checkpoint
from interp.tasks.modular import ModularTask
from interp.tasks.task import Task


def key_frequencies(
    network: Network | Checkpoint, rule: KeyRule | Sequence[Name] = "unembedding", *, task: Task | None = None
) -> tuple[Name, ...]:
    """The key frequencies of a model, by a named rule or as an explicit list (which is checked and sorted).

    ``unembedding``: frequencies whose rows of F W_L have a norm over a quarter of the largest; ``embedding``: the same on W_E;
    ``neurons``: those of the neuron clusters; ``coefficients``: by the logits' cos w_k(a+b-c) coefficients; ``logits``: those
    whose part of the logits' means over the rows of each answer has a norm over a quarter of the largest. The last two read any
    network, and ``logits`` is what ``unembedding`` means for one that is no one-layer transformer; the others read the one-layer
    transformer. Of a group that is not cyclic ``unembedding``, ``embedding`` and ``logits`` give irreducible representations.

    Args:
        network: the model, or a checkpoint of it.
        rule: how they are chosen.
        task: what the model learned, addition by default; there are none for one without harmonics, or by a rule that cannot
            read the network.

    Raises:
        UsageError: for an unknown rule, a frequency that does not exist, or a rule that the task's group does not have.
    """
    network = as_network(network)
    if isinstance(rule, str) and rule not in KEY_RULES:
        raise unknown("key frequency rule", rule, KEY_RULES)
    if task is None:
        if not isinstance(network, Weights):
            raise UsageError(f"task: given none for a network of kind {network.kind!r}, expected what it learned")
        task = ModularTask(network.p, equals_sign=network.equals_sign)
    harmonics = task.harmonics
    rule = rule_for(network.kind, rule)
    if harmonics is None or not is_read(network.kind, rule, is_known=not isinstance(network, StoredNetwork)):
        if not isinstance(rule, str) and len(rule):
            raise UsageError(f"key frequencies: given {list(rule)}, but the answers of {task.name!r} have no harmonics")
        return ()
    circuit = Circuit.of(Model(network, task, None), harmonics, () if isinstance(rule, str) else rule)
    match rule:
        case "unembedding" | "embedding" | "logits":
            matrix = getattr(circuit, {"unembedding": "W_L", "embedding": "W_E", "logits": "line_means"}[rule])
            return measures.key_frequencies_from_matrix(matrix, harmonics=harmonics)
        case "neurons":
            return measures.key_frequencies_from_neurons(measures.neuron_frequencies(circuit.neurons, harmonics=circuit.cyclic))
        case "coefficients":
            return measures.key_frequencies_from_coefficients(measures.cos_coefficients(circuit.logits, harmonics=circuit.cyclic))
    return circuit.keys
