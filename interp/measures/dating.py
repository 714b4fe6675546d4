"""Phases of a run, dated from its curves, each with the interval in which it can have begun; numpy only.

Every boundary is the first step from which a condition holds to the end of the run ("for good"); a phase that did not happen,
or that was over before the first measurement, is None. `interp.measures.boundary` explains the intervals. Where a run dips,
the step at which a phase was first reached is another one: `interp.measures.dips` has both.
The rules are this toolkit's own; the outcome is that of Liu et al. 2022 (arXiv 2205.10343).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import floor

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from interp.errors import UsageError
from interp.measures.boundary import SLACK, Boundary, Condition, Curve, boundary, checked_curve
from interp.measures.dips import Reached, reached, with_spikes
from interp.measures.outcome import BEGIN, Outcome, outcome_of
from interp.measures.spikes import loss_spikes
from interp.measures.strays import confirmed

__all__ = ["Boundary", "Outcome", "Phases", "is_settled", "phases"]

_Curve = tuple[Int64[np.ndarray, " step"], Float64[np.ndarray, " step"]]

# The accuracy from which a task counts as learned; what is moved by 20 % is the share of errors it allows.
RIGHT = 0.99
# The train loss has fallen once it is below this share of its first value.
FALLEN = 0.1
# The excluded loss has risen again once it ends above this multiple of its minimum, and above the share FALLEN of its first
# value: in runs that never generalize it creeps up from almost nothing, ninefold in 10,000 steps of one with too few pairs.
RISEN = 10.0
# The weights have settled once their sum of squares fell by less than this share ...
SETTLED_FALL = 0.01
# ... over this last share of all steps so far.
SETTLED_WINDOW = 0.1
# Means of single-precision numbers may lie this far outside of 0 to 1; logs are read with the same tolerance.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Phases:
    """The boundaries of a run, None where there is none or it was not seen, and its outcome.

    What already holds at a first measurement after step 0, as in a model whose history begins late, is not dated. What holds at
    step 0, before any training, holds by chance (small moduli have few pairs): an accuracy counts from the next measurement on.
    One measurement is no history: nothing follows from it. A single measurement far above what was before and comes after, on
    the way to a level, is no level reached: see `interp.measures.strays`.

    In the order of first steps, cleanup lies between `memorized` and `grokked`, and the onset between `memorized` and cleanup: a
    loss that halves only after the run has generalized is no cleanup, and is not dated. `grokked` may come before `memorized`
    where a run learns all pairs together, and has neither onset nor cleanup then.

    Args:
        memorized: train accuracy >= 0.99 for good.
        onset: of circuit formation: minimum of the excluded loss after the run has first memorized and the train loss has fallen
            below a tenth of its first value, and before cleanup; there is none unless the excluded loss then ends above ten times
            that minimum and a tenth of its own first.
        cleanup: test loss <= half its plateau maximum for good; the plateau goes from the step at which the run first
            memorized to that at which it first grokked, or the end; what was measured in a dip of train accuracy is left out.
        grokked: test accuracy >= 0.99 for good.
        settled: the sum of squared weights has stopped falling, see `is_settled`.
        outcome: of Liu et al. 2022 (arXiv 2205.10343): accuracy > 0.9 reached on train and test less than 1,000 steps apart
            (comprehension) or more (grokking), on train alone (memorization), or on neither (confusion); unknown if the first
            measurement came too late to tell the first two apart, was the only one, or if each of the two may have happened
            between the measurements around the crossings. Crossings known to 100 steps are compared as measured.
        reached: ``memorized``, ``cleanup``, ``grokked``, as far as the run came -> when each was first reached, from when on
            it was kept for good (the boundary above), and the dips between.
        undated: why nothing is dated, where nothing can be.
    """

    memorized: Boundary | None
    onset: Boundary | None
    cleanup: Boundary | None
    grokked: Boundary | None
    settled: Boundary | None
    outcome: Outcome
    reached: Mapping[str, Reached] = field(default_factory=dict)
    undated: str = ""


# What is said of a single dated measurement.
ONE_CHECKPOINT = "not known from one checkpoint"
# The same where losses are known at several steps.
ONE_ACCURACY = "not known: accuracies were measured at one step only"


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
        UsageError: if lengths differ, steps do not ascend or are no whole numbers, a value is NaN or infinite, or an accuracy
            does not lie between 0 and 1.

    >>> found = phases([0, 100, 200, 300], [4, 1e-3, 1, 1e-4], [4, 5, 5, 1e-3], [0, 1, 0.9, 1], [0, 0.1, 0.1, 1])
    >>> found.memorized, found.outcome
    (Boundary(step=300, earliest=0, latest=300), 'comprehension')
    >>> print(found.reached["memorized"])
    step 100 (0 to 100), for good only from the last measurement, step 300, just after a dip
    """
    columns = {
        "train_loss": train_loss, "test_loss": test_loss, "train_accuracy": train_accuracy, "test_accuracy": test_accuracy,
    }  # fmt: skip
    for name in ("train_accuracy", "test_accuracy"):
        given = np.asarray(columns[name], dtype=np.float64)
        if (wrong := given[np.isfinite(given) & ((given < -_ROUNDING) | (given > 1 + _ROUNDING))]).size:
            raise UsageError(f"{name}: given {float(wrong[0])!r}, expected shares of pairs, 0 to 1; divide percentages by 100")
    return phases_of({name: (steps, values) for name, values in columns.items()}, excluded=excluded, sum_squared=sum_squared)


def phases_of(curves: Mapping[str, Curve], *, excluded: Curve | None = None, sum_squared: Curve | None = None) -> Phases:
    """Date the phases of a run from the curves there are, each measured at ascending steps of its own.

    Where all have the same steps it is `phases`. Memorizing is dated by the train accuracy alone, grokking by the test accuracy,
    cleanup by the test loss and both accuracies, each taken as it was last measured. What lacks its curve, or has it at one step
    only, is None.

    Args:
        curves: ``train_loss``, ``test_loss``, ``train_accuracy``, ``test_accuracy``, those that are known -> steps and values.
        excluded: as in `phases`.
        sum_squared: as in `phases`.

    Raises:
        UsageError: as `phases`.

    >>> right = {"train_accuracy": ([0, 100], [0, 1]), "test_accuracy": ([0, 5000, 5100], [0, 0, 1])}
    >>> found = phases_of(right)
    >>> found.memorized.step, found.grokked.step, found.outcome
    (100, 5100, 'grokking')
    """
    known = {name: checked_curve(curve, name) for name, curve in curves.items()}
    if why := _undated(known):
        return Phases(None, None, None, None, None, "unknown", undated=why)
    known = {name: curve for name, curve in known.items() if len(curve[0]) > 1}
    for name in _ACCURACIES & known.keys():
        at, right = known[name]
        known[name] = at, confirmed(right, level=RIGHT, base=min(float(right[0]), RIGHT))
    found = _reached(known)
    train, test_right = known.get("train_loss"), known.get("test_accuracy")
    if train is not None and any(one.dips for one in found.values()):
        spikes = loss_spikes(*train)
        found = {name: replace(one, dips=with_spikes(one.dips, spikes)) for name, one in found.items()}
    kept = {name: one.for_good for name, one in found.items()}
    inner, weight = (
        None if curve is None else checked_curve(curve, name)
        for name, curve in (("excluded", excluded), ("sum_squared", sum_squared))
    )
    return Phases(
        memorized=kept.get("memorized"),
        onset=None if inner is None or train is None else _onset(train, inner, found),
        cleanup=kept.get("cleanup"),
        grokked=kept.get("grokked"),
        settled=None if weight is None or test_right is None else _settled(weight, test_right),
        outcome=outcome_of(known["train_accuracy"], known["test_accuracy"]) if known.keys() >= _ACCURACIES else "unknown",
        reached=found,
    )


def ending_of(curves: Mapping[str, _Curve]) -> tuple[Outcome, int | None]:
    """Outcome and the step of `grokked`, as `phases_of` has them, without any interval or other phase: for lists of many runs.

    Args:
        curves: ``train_accuracy`` and ``test_accuracy``, those that are known; ascending steps and finite values.

    >>> ending_of({"train_accuracy": (np.arange(2), np.array([0.0, 1.0])), "test_accuracy": (np.arange(2), np.array([0.0, 1.0]))})
    ('comprehension', 1)
    """
    known = {
        name: (at, confirmed(right, level=RIGHT, base=min(float(right[0]), RIGHT)))
        for name, (at, right) in curves.items()
        if len(at) > 1
    }
    outcome = outcome_of(known["train_accuracy"], known["test_accuracy"]) if known.keys() >= _ACCURACIES else "unknown"
    if "test_accuracy" not in known:
        return outcome, None
    at, right = known["test_accuracy"]
    holds = _is_right(right)(1.0) & (at >= BEGIN)
    kept = int(np.flatnonzero(~holds).max(initial=-1)) + 1
    # What holds from the first measurement on had begun before, or at its end does not hold.
    return outcome, int(at[kept]) if 0 < kept < len(at) else None


_ACCURACIES = {"train_accuracy", "test_accuracy"}


def _undated(known: Mapping[str, _Curve]) -> str:
    """Why nothing can be dated; nothing if something can."""
    accuracies = [curve for name, curve in known.items() if name in _ACCURACIES]
    if not accuracies:
        return "not known: the history has no accuracy"
    if any(len(at) > 1 for at, _ in accuracies):
        return ""
    return ONE_ACCURACY if any(len(at) > 1 for at, _ in known.values()) else ONE_CHECKPOINT


def _reached(known: Mapping[str, _Curve]) -> dict[str, Reached]:
    found: dict[str, Reached | None] = {"memorized": None, "cleanup": None, "grokked": None}
    for name, part in (("memorized", "train_accuracy"), ("grokked", "test_accuracy")):
        if part in known:
            at, right = known[part]
            found[name] = reached(at, _is_right(right), values=right, not_before=BEGIN)
    memorized, grokked = found["memorized"], found["grokked"]
    if memorized is not None and memorized.first is not None and known.keys() >= {"test_loss", "test_accuracy"}:
        found["cleanup"] = _cleanup(known, memorized.first.step)
    cleanup = found["cleanup"]
    if cleanup is not None and grokked is not None and (grokked.first is None or not _in_order(cleanup, grokked)):
        found["cleanup"] = None
    return {name: one for name, one in found.items() if one is not None}


def _is_right(accuracy: Float64[np.ndarray, " step"]) -> Condition:
    return lambda slack: accuracy >= 1 - (1 - RIGHT) * slack


def _in_order(earlier: Reached, later: Reached) -> bool:
    """Whether one was first reached no later than the other."""
    return earlier.first is not None and later.first is not None and earlier.first.step <= later.first.step


def _cleanup(known: Mapping[str, _Curve], since: int) -> Reached | None:
    """From the plateau's maximum on: before it, the test loss is low because it has not risen yet."""
    (at, test), (right_at, right) = known["test_loss"], known["test_accuracy"]
    generalizes = right_at[(right_at >= since) & (right >= RIGHT)]
    until = generalizes[0] if len(generalizes) else at[-1]
    train_at, train_right = known["train_accuracy"]
    last = np.searchsorted(train_at, at, side="right") - 1
    knows = (last >= 0) & (train_right[np.maximum(last, 0)] >= RIGHT)
    inside = (at >= since) & (at <= until) & knows
    if not inside.any():
        return None
    plateau = np.where(inside, test, -np.inf)
    start, top = int(plateau.argmax()), float(plateau.max())
    test = np.concatenate([test[:start], confirmed(test[start:], level=0.5 * top, base=top)])
    return reached(at, lambda slack: test <= 0.5 * slack * top, values=test, worst="highest", not_before=int(at[start]))


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
    # This is asked at every step: by halving, whole numbers among whole numbers, it looks at a few of those before.
    before = int(np.searchsorted(at, floor((1 - SETTLED_WINDOW) * at[-1]), side="right"))
    if at[-1] == 0 or not before:
        return False
    start = before - 1
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
    history: tuple[Int64[np.ndarray, " step"], Float64[np.ndarray, " step"]],
    excluded: tuple[Int64[np.ndarray, " measured"], Float64[np.ndarray, " measured"]],
    found: Mapping[str, Reached],
) -> Boundary | None:
    at, train = history
    fallen = np.nonzero(train <= FALLEN * train[0])[0]
    if not len(fallen):
        return None
    since, until = _window(found)
    late = excluded[0] >= at[fallen[0]]
    steps, values = excluded[0][late], excluded[1][late]
    inside = (steps >= since) & (steps <= until)
    if not inside.any():
        return None
    lowest = int(np.where(inside, values, np.inf).argmin())
    if not values[-1] > max(RISEN * values[lowest], FALLEN * excluded[1][0]):
        return None
    # Any step around the minimum with a value within 20 % of it could be the minimum; each is known to the spacing on both sides.
    high = values > (1 + SLACK) * values[lowest]
    first = int(np.nonzero(high[:lowest])[0].max(initial=-1)) + 1
    last = lowest + int(np.argmax(high[lowest:])) - 1
    return Boundary(int(steps[lowest]), int(steps[max(first - 1, 0)]), int(steps[min(last + 1, len(steps) - 1)]))


def _window(found: Mapping[str, Reached]) -> tuple[float | int, float | int]:
    """Between which steps a circuit can begin to form: after memorizing, before cleanup or, without one, before grokking."""
    first = {name: one.first.step for name, one in found.items() if one.first is not None}
    unseen = -np.inf if "grokked" in found else np.inf
    return first.get("memorized", -np.inf), first.get("cleanup", first.get("grokked", unseen))
