"""The outcome of a run after Liu et al. 2022 (arXiv 2205.10343), as far as the spacing of its measurements can tell; numpy only.

It follows from how many steps lie between two crossings, of train and of test accuracy. Each crossing lies anywhere between the
last measurement before it and the first after it. Two far-apart checkpoints therefore have no outcome.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

Outcome = Literal["comprehension", "grokking", "memorization", "confusion", "unknown"]
Steps = Int64[np.ndarray, " step"]
Values = Float64[np.ndarray, " step"]

# The first step whose accuracy counts as learned: what is right at step 0 is so by chance.
BEGIN = 1
# With at least so many steps between train and test accuracy it is grokking.
GAP = 1000
# Crossings known to this many steps or fewer are compared as measured: the gap itself is a round number, known no better.
_RESOLVED = GAP // 10
# From more than this accuracy on a crossing counts.
CROSSED = 0.9


def outcome_of(
    train: tuple[Steps, Values], test: tuple[Int64[np.ndarray, " measured"], Float64[np.ndarray, " measured"]]
) -> Outcome:
    """The outcome of the train and the test accuracy, each given by its steps and values."""
    at_train, at_test = _crossed(*train), _crossed(*test)
    if at_train is None:
        return "confusion"
    if at_test is None:
        return "memorization"
    least, most = at_test[0] - at_train[1], at_test[1] - at_train[0]
    is_seen = train[0][0] == 0 or at_train[1] > train[0][0]
    if is_seen and max(last - begin for begin, last in (at_train, at_test)) < _RESOLVED:
        least = most = at_test[1] - at_train[1]
    if least >= GAP:
        return "grokking"
    return "comprehension" if most < GAP else "unknown"


def _crossed(at: Steps, right: Values) -> tuple[int, int] | None:
    """The first and the last step at which the crossing can have been; None if there was none."""
    found = np.flatnonzero((right > CROSSED) & (at >= BEGIN))
    if not len(found):
        return None
    return (int(at[found[0] - 1]) + 1 if found[0] else 0), int(at[found[0]])
