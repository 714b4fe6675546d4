"""What each pair goes through along a run: when it is first right, since when for good, and how that differs by class and by what
was seen near it; numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import ArrayLike

from interp.errors import UsageError


@dataclass(frozen=True)
class PairCourse:
    """Dates of every pair, in steps; NaN where there is none. They are those of checkpoints: between two nothing is known.

    Args:
        first: the first checkpoint at which it is right; NaN if it never is.
        for_good: the first checkpoint from which it is right at all later ones; NaN if it is wrong at the last.
        wrong_until: the last checkpoint at which it is wrong, NaN if it never is: it came right for good after this step and by
            `for_good`.
        lost: how many times it went from right to wrong.
    """

    first: Float64[np.ndarray, "*pair"]
    for_good: Float64[np.ndarray, "*pair"]
    wrong_until: Float64[np.ndarray, "*pair"]
    lost: Int64[np.ndarray, "*pair"]


@dataclass(frozen=True)
class ClassMedians:
    """The median date of each class of pairs, with the counts behind it.

    Args:
        classes: the classes that have pairs, ascending.
        medians: the date by which more than half of the class' pairs have one; NaN if no more than half do.
        counts: pairs of the class.
        never: those of them without a date.
    """

    classes: Int64[np.ndarray, " class"]
    medians: Float64[np.ndarray, " class"]
    counts: Int64[np.ndarray, " class"]
    never: Int64[np.ndarray, " class"]


def pair_course(steps: ArrayLike, right: ArrayLike) -> PairCourse:
    """When each pair is first right, and since when for good.

    Args:
        steps: of the checkpoints, ascending.
        right: whether each pair is right at each of them, the first axis being that of the steps.

    Returns:
        Dates with the shape of the pairs.

    Raises:
        UsageError: if `right` is not boolean or has another number of steps, or steps do not ascend.

    >>> course = pair_course([0, 100, 200, 300], [[False, True], [True, True], [False, True], [True, False]])
    >>> course.first.tolist(), course.for_good.tolist(), course.lost.tolist()
    ([100.0, 0.0], [300.0, nan], [1, 1])
    """
    at, seen = np.asarray(steps), np.asarray(right)
    if at.ndim != 1 or not len(at) or seen.ndim < 1 or len(seen) != len(at):
        raise UsageError(f"right: given shape {seen.shape} for {at.size} steps, expected one row for each of at least one step")
    if not (np.diff(at) > 0).all():
        raise UsageError("steps: given steps that do not ascend; a step may occur once")
    if seen.dtype != np.bool_:
        raise UsageError(f"right: given values of type {seen.dtype}, expected true or false for each pair")
    dates, last = at.astype(np.float64), len(at) - 1
    first = np.where(seen.any(axis=0), dates[seen.argmax(axis=0)], np.nan)
    is_wrong = ~seen
    latest = last - is_wrong[::-1].argmax(axis=0)  # of the last wrong one, where there is one
    any_wrong = is_wrong.any(axis=0)
    since = np.where(any_wrong, latest + 1, 0)
    return PairCourse(
        first=first,
        for_good=np.where(since <= last, dates[np.minimum(since, last)], np.nan),
        wrong_until=np.where(any_wrong, dates[latest], np.nan),
        lost=(seen[:-1] & is_wrong[1:]).sum(axis=0, dtype=np.int64),
    )


def class_medians(dates: ArrayLike, classes: ArrayLike) -> ClassMedians:
    """Median date of the pairs of each class; a pair without a date counts as later than all others.

    So the median is not made of those alone that came right, and a class of which no more than half did has none. Of an even
    number of pairs it is the later one of the middle two, which is a date that some pair has.

    Args:
        dates: of the pairs, NaN for none, as in `PairCourse`.
        classes: the class of each pair, such as its answer.

    Raises:
        UsageError: if there are not as many of both, or classes are not whole numbers.

    >>> found = class_medians([100.0, 300.0, 200.0, float("nan"), float("nan")], [0, 0, 0, 1, 1])
    >>> found.medians.tolist(), found.counts.tolist(), found.never.tolist()
    ([200.0, nan], [3, 2], [0, 2])
    """
    values, of = np.asarray(dates, dtype=np.float64).ravel(), np.asarray(classes).ravel()
    if values.shape != of.shape:
        raise UsageError(f"classes: given {of.size} for {values.size} dates, expected one for each pair")
    if of.dtype.kind not in "iu":
        raise UsageError(f"classes: given values of type {of.dtype}, expected whole numbers")
    names = np.unique(of)
    members = [np.sort(values[of == name]) for name in names]  # NaN comes last
    return ClassMedians(
        classes=names.astype(np.int64),
        medians=np.array([each[len(each) // 2] for each in members], dtype=np.float64),
        counts=np.array([len(each) for each in members], dtype=np.int64),
        never=np.array([np.isnan(each).sum() for each in members], dtype=np.int64),
    )


def seen_alike(classes: ArrayLike, seen: ArrayLike) -> Int64[np.ndarray, "*pair"]:
    """For each pair, how many training pairs other than itself are of the same class (the same a, or b, or answer).

    Args:
        classes: the class of each pair.
        seen: whether it is trained on.

    Raises:
        UsageError: if the shapes differ, classes are not whole numbers from 0, or `seen` is not boolean.

    >>> seen_alike([0, 0, 0, 1], [True, True, False, False]).tolist()
    [1, 1, 2, 0]
    """
    of, known = np.asarray(classes), np.asarray(seen)
    if of.shape != known.shape or known.dtype != np.bool_:
        given = f"{known.dtype} of shape {known.shape} for classes of shape {of.shape}"
        raise UsageError(f"seen: given {given}, expected true or false for each pair")
    if of.dtype.kind not in "iu" or (of.size and of.min() < 0):
        raise UsageError("classes: expected whole numbers from 0, one for each pair")
    counts = np.bincount(of[known], minlength=int(of.max(initial=0)) + 1)
    return np.asarray(counts[of] - known, dtype=np.int64)


def nearest_seen(seen: ArrayLike) -> Int64[np.ndarray, "n m"]:
    """Distance of each pair to the nearest training pair: steps of one residue in a or b, both closed to circles.

    d(a, b) = min over training pairs (a', b') of |a - a'| + |b - b'|, where |x| is the distance of x from 0 modulo p. A training
    pair has distance 0.

    Raises:
        UsageError: if `seen` is not a boolean table, or no pair is seen.

    >>> nearest_seen(np.eye(4, dtype=bool)[[0, 0, 0, 0]]).tolist()[1]
    [0, 1, 2, 1]
    """
    known = np.asarray(seen)
    if known.ndim != 2 or known.dtype != np.bool_:
        raise UsageError(f"seen: given {known.dtype} of shape {known.shape}, expected true or false for each a and b")
    if not known.any():
        raise UsageError("seen: given no training pair, expected at least one")
    distance, reached = np.zeros(known.shape, dtype=np.int64), known.copy()
    while not reached.all():
        distance[~reached] += 1
        reached = reached | np.logical_or.reduce([np.roll(reached, by, axis=axis) for axis in (0, 1) for by in (1, -1)])
    return distance
