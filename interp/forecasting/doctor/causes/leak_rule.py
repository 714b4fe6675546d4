"""A split that leaks: answers to test pairs that can be read off training pairs."""

from __future__ import annotations

from math import sqrt

import numpy as np

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.patient import Patient, table
from interp.tasks.splits import Split

# Standard deviations above chance.
FAR = 5.0


def split_leaks(patient: Patient) -> Finding | None:
    """Mirrored pairs: (b, a) is trained on for far more of the test pairs (a, b) than a random split would have.

    That a test pair is a training pair is impossible: a `Split` has every input once. That (b, a) is trained on for some of them
    is no leak but the task's symmetry: a random split has it for the share of the pairs that is trained on.
    """
    if patient.split is None or not np.array_equal(answers := table(patient.task), answers.T):
        return None
    mirrored, expected, sigma = mirrors(patient.split, patient.p)
    if mirrored < expected + FAR * sigma:
        return None
    said = (
        f"for {100 * mirrored:.0f} % of the test pairs (a, b) the pair (b, a), with the same answer, is trained on; in a random "
        f"split it is {100 * expected:.0f} %"
    )
    change = "draw the split at random over ordered pairs, or keep (a, b) and (b, a) on one side"
    return Finding("split leaks", 0.97, said, change, {"split.rule": "torch"})


def mirrors(split: Split, n: int) -> tuple[float, float, float]:
    """Share of the test pairs (a, b), a and b different, whose mirror is trained on; its mean and scatter in random splits.

    >>> upper = [a * 5 + b for a in range(5) for b in range(a, 5)]
    >>> lower = [a * 5 + b for a in range(5) for b in range(a)]
    >>> mirrors(Split(np.array(upper), np.array(lower)), 5)[0]
    1.0
    """
    is_trained = np.zeros(n * n, dtype=bool)
    is_trained[split.train] = True
    a, b = np.divmod(split.test, n)
    apart = a != b
    if not apart.any():
        return 0.0, 1.0, 0.0
    expected = len(split.train) / (n * n - 1)
    # Unordered pairs with one half on each side come in whole: their number scatters half as much again as single pairs would.
    sigma = sqrt(expected * (1 - expected) / apart.sum()) * sqrt(2)
    return float(is_trained[b * n + a][apart].mean()), expected, sigma
