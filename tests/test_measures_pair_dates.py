"""Dates of single pairs: planted courses, medians with pairs that never come right, and what was seen near a pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.measures import class_medians, nearest_seen, pair_course, seen_alike

STEPS = [0, 10, 50, 200, 1000]
NAN = float("nan")


@pytest.mark.parametrize(
    ("course", "first", "for_good", "wrong_until", "lost"),
    [
        ("11111", 0, 0, NAN, 0),
        ("00000", NAN, NAN, 1000, 0),
        ("00011", 200, 200, 50, 0),
        ("01011", 10, 200, 50, 1),
        ("01010", 10, NAN, 1000, 2),
        ("00001", 1000, 1000, 200, 0),
        ("10000", 0, NAN, 1000, 1),
    ],
)
def test_planted_courses_are_dated(course, first, for_good, wrong_until, lost) -> None:
    found = pair_course(STEPS, np.array([[mark == "1"] for mark in course]))
    assert np.array_equal(found.first, [first], equal_nan=True)
    assert np.array_equal(found.for_good, [for_good], equal_nan=True)
    assert np.array_equal(found.wrong_until, [wrong_until], equal_nan=True)
    assert found.lost.tolist() == [lost]


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
def test_dates_are_what_they_say(rows: list[list[bool]]) -> None:
    right, steps = np.array(rows), np.arange(len(rows)) * 7
    found = pair_course(steps, right)
    for pair in range(3):
        column = right[:, pair]
        if np.isnan(found.for_good[pair]):
            assert not column[-1]
        else:
            assert column[steps >= found.for_good[pair]].all()
            assert not (steps == found.wrong_until[pair]).any() or not column[steps == found.wrong_until[pair]].any()
            assert found.first[pair] <= found.for_good[pair]
            before = steps[steps < found.for_good[pair]]
            assert not len(before) or before[-1] == found.wrong_until[pair]  # the very checkpoint before
        assert np.isnan(found.first[pair]) == (not column.any())
    assert np.array_equal(
        pair_course(steps, right[:, :, None]).for_good[:, 0], found.for_good, equal_nan=True
    )  # any shape of pairs


def test_medians_count_pairs_without_a_date_as_latest() -> None:
    found = class_medians([10, 20, 30, NAN, NAN, 5, NAN, NAN, NAN], [4, 4, 4, 4, 4, 2, 2, 2, 9])
    assert found.classes.tolist() == [2, 4, 9]
    assert np.array_equal(found.medians, [NAN, 30, NAN], equal_nan=True)  # the third of five; 1 of 3 and 0 of 1 are no half
    assert found.counts.tolist() == [3, 5, 1]
    assert found.never.tolist() == [2, 2, 1]


def test_medians_of_an_even_number_are_a_date_that_there_is() -> None:
    assert class_medians([10, 30], [0, 0]).medians.tolist() == [30]
    assert np.isnan(class_medians([10, NAN], [0, 0]).medians).all()  # half is not more than half


def test_of_no_pairs_there_are_no_medians() -> None:
    assert len(class_medians(np.empty(0), np.empty(0, dtype=int)).classes) == 0


def test_seen_alike_counts_the_others_of_a_class() -> None:
    generator = np.random.default_rng(0)
    classes, seen = generator.integers(0, 4, (6, 6)), generator.random((6, 6)) < 0.4
    found = seen_alike(classes, seen)
    for a in range(6):
        for b in range(6):
            others = seen & (classes == classes[a, b])
            others[a, b] = False
            assert found[a, b] == others.sum()


@pytest.mark.parametrize("p", [2, 3, 7, 10])
def test_nearest_seen_is_the_least_distance_on_the_torus(p: int) -> None:
    seen = np.random.default_rng(p).random((p, p)) < 2 / p**2
    seen[p // 2, 0] = True

    def apart(x: np.ndarray) -> np.ndarray:
        return np.minimum(x % p, -x % p)

    a, b = np.indices((p, p))
    expected = np.min([apart(a - c) + apart(b - d) for c, d in zip(*np.nonzero(seen), strict=True)], axis=0)
    assert np.array_equal(nearest_seen(seen), expected)


def test_what_has_no_course_is_refused() -> None:
    with pytest.raises(UsageError, match=r"right: given shape \(1, 2\) for 2 steps, expected one row for each"):
        pair_course([0, 1], [[True, False]])
    with pytest.raises(UsageError, match="steps: given steps that do not ascend"):
        pair_course([1, 1], [[True], [False]])
    with pytest.raises(UsageError, match="right: given values of type float64, expected true or false"):
        pair_course([0], [[1.0]])
    with pytest.raises(UsageError, match="classes: given 1 for 2 dates"):
        class_medians([1, 2], [0])
    with pytest.raises(UsageError, match="classes: given values of type float64, expected whole numbers"):
        class_medians([1.0], [0.5])
    with pytest.raises(UsageError, match=r"seen: given bool of shape \(1,\) for classes of shape \(2,\)"):
        seen_alike([0, 1], [True])
    with pytest.raises(UsageError, match="classes: expected whole numbers from 0"):
        seen_alike([-1], [True])
    with pytest.raises(UsageError, match=r"seen: given bool of shape \(2,\), expected true or false for each a and b"):
        nearest_seen(np.array([True, False]))
    with pytest.raises(UsageError, match="seen: given no training pair"):
        nearest_seen(np.zeros((2, 2), dtype=bool))
