"""Key frequencies from the logits alone: of a network in which no matrix is known to be the one that makes the answers."""

from __future__ import annotations

from interp import measures
from interp.errors import UsageError
from interp.harmonics.harmonics import Name
from interp.networks.network import Network
from interp.observing.circuit import Circuit, Model
from interp.tasks.task import Task

RULE = "logits"


def logit_keys(network: Network, task: Task) -> tuple[Name, ...]:
    """The frequencies whose waves of the answer are larger in the logits than a quarter of the largest, in their order.

    The wave of frequency k is that of ``M[c, j]``, the mean logit of class j over the rows whose answer is c: the norm of its
    k-th part along c. For addition modulo p it is what the restricted loss keeps.

    Raises:
        UsageError: if the task's answers have no harmonics, or the logits are not finite.
    """
    if task.harmonics is None:
        raise UsageError(f"key frequencies: the answers of {task.name!r} have no harmonics")
    circuit = Circuit.of(Model(network, task, None), task.harmonics, ())
    return measures.key_frequencies_from_matrix(circuit.line_means, harmonics=task.harmonics)
