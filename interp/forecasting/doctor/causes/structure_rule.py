"""Labels without structure: what cannot be learned from other pairs is not learned, whatever the settings."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.patient import Patient, table
from interp.tasks.modular import ModularTask

Table = Int64[np.ndarray, "n n"]

# Quadrangles that are looked at, and tables with the same labels in other places that they are compared with.
DRAWS, SHUFFLES = 4000, 99
_SEED = 0
# Elements of a table that is looked at: of one with more the shuffles take seconds, and its labels may be more than the memory.
MOST = 256
# Of operations that are learned in this way almost all close (multiplication has a row of zeros); the labels of a table in which
# fewer do are wrong here and there.
CLOSED, SCARCELY = 0.9, 0.3
LEARNED = ("add", "subtract")


def no_structure(patient: Patient) -> Finding | None:
    """The labels are those of no operation: quadrangles close as often as if labels were dealt out at random, or little more."""
    is_learned = isinstance(patient.task, ModularTask) and patient.task.operation in LEARNED
    if is_learned or patient.is_healthy_so_far or patient.p > MOST:
        return None
    closed, chance, p_value = structure(table(patient.task))
    told = f"{100 * closed:.0f} % of the table's quadrangles close ({100 * chance:.1f} % with labels in random places"
    if p_value > 1 / (SHUFFLES + 1) and not isinstance(patient.task, ModularTask):
        said = f"{told}; p = {p_value:.2f}): an answer says nothing of any other"
        return Finding("no structure", 0.98, said, "check the table; learn an operation, such as addition modulo p")
    if isinstance(patient.task, ModularTask):
        said = f"{told}): the table is almost nowhere that of a group, in whatever order of its elements"
        return (
            Finding("no structure", 0.9, said, "learn a group's operation, or train on far more of the pairs")
            if closed < SCARCELY
            else None
        )
    if closed >= CLOSED:
        return None
    # A quadrangle compares eight entries.
    wrong = 1 - max((closed - chance) / (1 - chance), 0) ** (1 / 8)
    said = f"{told}): as if {100 * wrong:.0f} % of the labels were wrong, or the operation were none of a group"
    return Finding("no structure", 0.9 if closed < SCARCELY else 0.6, said, "check the table's labels")


def structure(labels: Table) -> tuple[float, float, float]:
    """Share of the quadrangles that close, its mean with shuffled labels, and the p-value of that permutation test.

    In a group's table, whatever the order of its rows, columns and answers, ``L[a, b] = L[c, d]``, ``L[a, b'] = L[c, d']`` and
    ``L[a', b] = L[c', d]`` imply ``L[a', b'] = L[c', d']``: the quadrangle criterion, which holds for no other Latin square.
    Quadrangles are drawn with a fixed seed. The p-value counts the table itself, and is at least 1/100.

    >>> a = np.arange(7)
    >>> closed, chance, p_value = structure((a[:, None] - 2 * a) % 7)
    >>> closed, chance < 0.3, p_value
    (1.0, True, 0.01)
    """
    draw = np.random.default_rng(_SEED)
    closed = _closed(labels, draw)
    shuffled = [_closed(draw.permutation(labels.ravel()).reshape(labels.shape), draw) for _ in range(SHUFFLES)]
    return closed, float(np.mean(shuffled)), (1 + sum(one >= closed for one in shuffled)) / (SHUFFLES + 1)


def _closed(labels: Table, draw: np.random.Generator) -> float:
    n, every = len(labels), np.arange(len(labels))
    column, row = (np.full((n, int(labels.max()) + 1), -1) for _ in range(2))
    for one in draw.permutation(n):  # where a row has an answer more than once, any of its places
        column[every, labels[:, one]] = one
        row[every, labels[one, :]] = one
    a, a_, b, b_, c = draw.integers(0, n, (5, DRAWS))
    d, d_ = column[c, labels[a, b]], column[c, labels[a, b_]]
    c_ = np.where(d >= 0, row[d, labels[a_, b]], -1)
    found = (a != a_) & (b != b_) & (c != a) & (d >= 0) & (d_ >= 0) & (c_ >= 0) & (d != d_) & (c_ != c)
    return float((labels[c_, d_] == labels[a_, b_])[found].mean()) if found.any() else 0.0
