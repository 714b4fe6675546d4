"""Phases of a run, dated from its curves, each with the interval in which it can have begun; numpy only.

Every boundary is the first step from which a condition holds to the end of the run ("for good"); a phase that did not happen,
or that was over before the first measurement, is None. `interp.measures.boundary` explains the intervals.
The rules are this toolkit's own; the outcome is that of Liu et al. 2022 (arXiv 2205.10343).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from interp.measures.boundary import SLACK, Boundary, Curve, boundary, checked_curve, dated, for_good

__all__ = ["Boundary", "Outcome", "Phases", "is_settled", "phases"]

Outcome = Literal["comprehension", "grokking", "memorization", "confusion", "unknown"]

# The accuracy from which a task counts as learned; what is moved by 20 % is the share of errors it allows.
RIGHT = 0.99
# The train loss has fallen once it is below this share of its first value.
FALLEN = 0.1
# The excluded loss has risen again once it ends above this multiple of its minimum, and above the share FALLEN of its first
# value: in runs that never generalize it creeps up from almost nothing, ninefold in 10,000 steps of one with too few pairs.
RISEN = 10.0
# With at least so many steps between train and test accuracy it is grokking.
GAP = 1000
# The weights have settled once their sum of squares fell by less than this share ...
SETTLED_FALL = 0.01
# ... over this last share of all steps so far.
SETTLED_WINDOW = 0.1


@dataclass(frozen=True)
class Phases:
    """The boundaries of a run, None where there is none or it was not seen, and its outcome.

    What already holds at a first measurement after step 0, as in a model whose history begins late, is not dated. What holds at
    step 0, before any training, holds by chance (small moduli have few pairs): an accuracy counts from the next measurement on,
    or at step 0 if there is no other, as in a finished model whose step is not known.

    Args:
        memorized: train accuracy >= 0.99 for good.
        onset: of circuit formation: minimum of the excluded loss after the train loss has fallen below a tenth of its first
            value; there is none unless the excluded loss then ends above ten times that minimum and a tenth of its own first.
        cleanup: test loss <= half its plateau maximum for good; the plateau goes from `memorized` to `grokked` or the end.
        grokked: test accuracy >= 0.99 for good.
        settled: the sum of squared weights has stopped falling, see `is_settled`.
        outcome: of Liu et al. 2022 (arXiv 2205.10343): accuracy > 0.9 reached on train and test less than 1,000 steps apart
            (comprehension) or more (grokking), on train alone (memorization), or on neither (confusion); unknown if the first
            measurement came too late to tell the first two apart.
    """

    memorized: Boundary | None
    onset: Boundary | None
    cleanup: Boundary | None
    grokked: Boundary | None
    settled: Boundary | None
    outcome: Outcome


def phases(
    steps: ArrayLike,
    train_loss: ArrayLike,
    test_loss: ArrayLike,
    train_accuracy: ArrayLike,
    test_accuracy: ArrayLike,
    *,
    excluded: Curve | None = None,
    sum_squared: Curve | None = None,
) -> Phases:
    """Date the phases of a run from its curves, all measured at the same ascending steps.

    Args:
        excluded: steps and values of the excluded loss (mean over the training pairs), where it was measured.
        sum_squared: steps and values of the sum of squared weights, where it was measured.

    Raises:
        UsageError: if lengths differ, steps do not ascend, or a value is NaN or infinite.

    >>> found = phases([0, 100, 200], [4, 1e-3, 1e-4], [4, 5, 1e-3], [0, 1, 1], [0, 0.1, 1])
    >>> found.memorized, found.outcome
    (Boundary(step=100, earliest=0, latest=100), 'comprehension')
    """
    curves = {"test_loss": test_loss, "train_accuracy": train_accuracy, "test_accuracy": test_accuracy}
    at, train = checked_curve((steps, train_loss), "train_loss")
    test, train_right, test_right = (checked_curve((steps, values), name)[1] for name, values in curves.items())
    begin = _begin(at)
    memorized = dated(at, lambda slack: train_right >= 1 - (1 - RIGHT) * slack, not_before=begin)
    grokked = dated(at, lambda slack: test_right >= 1 - (1 - RIGHT) * slack, not_before=begin)
    return Phases(
        memorized=memorized,
        onset=None if excluded is None else _onset(at, train, checked_curve(excluded, "excluded")),
        cleanup=_cleanup(at, test, (memorized, grokked)),
        grokked=grokked,
        settled=None if sum_squared is None else _settled(checked_curve(sum_squared, "sum_squared"), (at, test_right)),
        outcome=_outcome(at, train_right, test_right),
    )


def _begin(at: Int64[np.ndarray, " step"]) -> int:
    """The first step whose accuracy counts as learned."""
    return 1 if len(at) > 1 else 0


def is_settled(steps: ArrayLike, sum_squared: ArrayLike, test_accuracy: ArrayLike) -> bool:
    """Whether a run has settled at its last step: generalizing, and its sum of squared weights no longer falling.

    True if over the last tenth of all steps (from 0.9 t to t, and at the measurement before that) the test accuracy was at least
    0.99 throughout and the sum of squared weights fell by less than 1 %. The rule has no scale: neither the size of the
    weights nor the number of steps matters.

    Raises:
        UsageError: as `phases`.

    >>> is_settled([0, 900, 1000], [50.0, 10.0, 9.99], [0.0, 1.0, 1.0])
    True
    """
    at, weight = checked_curve((steps, sum_squared), "sum_squared")
    return _settled_at(at, weight, (checked_curve((steps, test_accuracy), "test_accuracy")[1], 1.0))


def _settled_at(at: Int64[np.ndarray, " step"], weight: Float64[np.ndarray, " step"], rest: tuple[np.ndarray, float]) -> bool:
    test_right, slack = rest
    before = np.nonzero(at <= (1 - SETTLED_WINDOW) * at[-1])[0]
    if at[-1] == 0 or not len(before):
        return False
    start = before[-1]
    generalizes = bool((test_right[start:] >= RIGHT).all())
    return generalizes and bool(weight[-1] >= weight[start] * (1 - SETTLED_FALL * slack))


def _settled(
    sum_squared: tuple[Int64[np.ndarray, " step"], Float64[np.ndarray, " step"]],
    accuracy: tuple[Int64[np.ndarray, " measured"], Float64[np.ndarray, " measured"]],
) -> Boundary | None:
    """First step at which a run that stops once it has settled would have stopped; not "for good", as it may leave that state."""
    at, weight = sum_squared
    # The accuracy at a step where only weights were measured is the worse of the two measurements around it.
    left = np.searchsorted(accuracy[0], at, side="right") - 1
    right = np.minimum(np.searchsorted(accuracy[0], at), len(accuracy[0]) - 1)
    test_right = np.minimum(accuracy[1][np.maximum(left, 0)], accuracy[1][right])

    def first(slack: float) -> int | None:
        return next((i for i in range(len(at)) if _settled_at(at[: i + 1], weight[: i + 1], (test_right[: i + 1], slack))), None)

    return boundary(at, first)


def _onset(
    at: Int64[np.ndarray, " step"],
    train: Float64[np.ndarray, " step"],
    excluded: tuple[Int64[np.ndarray, " measured"], Float64[np.ndarray, " measured"]],
) -> Boundary | None:
    fallen = np.nonzero(train <= FALLEN * train[0])[0]
    if not len(fallen):
        return None
    late = excluded[0] >= at[fallen[0]]
    steps, values = excluded[0][late], excluded[1][late]
    if not len(values) or not values[-1] > max(RISEN * values.min(), FALLEN * excluded[1][0]):
        return None
    lowest = int(values.argmin())
    # Any step around the minimum with a value within 20 % of it could be the minimum; each is known to the spacing on both sides.
    high = values > (1 + SLACK) * values[lowest]
    first = int(np.nonzero(high[:lowest])[0].max(initial=-1)) + 1
    last = lowest + int(np.argmax(high[lowest:])) - 1
    return Boundary(int(steps[lowest]), int(steps[max(first - 1, 0)]), int(steps[min(last + 1, len(steps) - 1)]))


def _cleanup(
    at: Int64[np.ndarray, " step"], test: Float64[np.ndarray, " step"], between: tuple[Boundary | None, Boundary | None]
) -> Boundary | None:
    memorized, grokked = between
    if memorized is None:
        return None
    last = at[-1] if grokked is None else max(grokked.step, memorized.step)
    plateau = test[(at >= memorized.step) & (at <= last)].max()
    return for_good(at, lambda slack: test <= 0.5 * slack * plateau, not_before=memorized.step)


def _outcome(
    at: Int64[np.ndarray, " step"], train_right: Float64[np.ndarray, " step"], test_right: Float64[np.ndarray, " step"]
) -> Outcome:
    train, test = (np.nonzero((right > 0.9) & (at >= _begin(at)))[0] for right in (train_right, test_right))
    if not len(train):
        return "confusion"
    if not len(test):
        return "memorization"
    if at[test[0]] - at[train[0]] >= GAP:
        return "grokking"
    # Right from a late first measurement on: train may have been so long before, and the gap have been any.
    return "unknown" if train[0] == 0 < at[0] and at[test[0]] >= GAP else "comprehension"
