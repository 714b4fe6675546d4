"""When verdicts hold, and since when: on readings whose verdict is known at every step."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.measures import algorithm_since, algorithm_verdict, generalization_since
from interp.measures.boundary import Boundary
from interp.measures.since import Algorithm, Generalization, algorithm_holds, generalization_holds

NUMBER = st.one_of(st.floats(-0.2, 1.2), st.just(math.nan), st.sampled_from([0.1, 0.15, 0.4, 0.5, 0.95, 0.98, 0.99]))
ALGORITHM = ("symmetricity", "irrelevance", "accuracy")
GENERALIZATION = ("agreement", "unseen_loss", "concentration", "learned")


def one(names: tuple[str, ...], values: tuple[float, ...]) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in zip(names, values, strict=True)}


@given(st.tuples(NUMBER, NUMBER, NUMBER))
def test_exactly_one_verdict_on_the_algorithm_holds(values):
    assert sum(bool(algorithm_holds(verdict, one(ALGORITHM, values))[0]) for verdict in get_args(Algorithm)) == 1


@given(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER))
def test_exactly_one_verdict_on_generalization_holds(values):
    held = [v for v in get_args(Generalization) if generalization_holds(v, one(GENERALIZATION, values))[0]]
    assert len(held) == 1


@given(st.tuples(NUMBER, NUMBER, NUMBER))
def test_stricter_bounds_hold_less_often_on_the_algorithm(values):
    for verdict in get_args(Algorithm):
        held = [bool(algorithm_holds(verdict, one(ALGORITHM, values), slack)[0]) for slack in (0.8, 1.0, 1.2)]
        assert held == sorted(held)


@given(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER))
def test_stricter_bounds_hold_less_often_on_generalization(values):
    for verdict in get_args(Generalization):
        held = [bool(generalization_holds(verdict, one(GENERALIZATION, values), slack)[0]) for slack in (0.8, 1.0, 1.2)]
        assert held == sorted(held)


STEPS = [0, 100, 200, 300, 400]


def test_a_verdict_is_dated_from_where_it_holds_for_good():
    """Pizza at 200, neither for a moment at 300, pizza again: it is one since 400."""
    found = algorithm_since(
        STEPS, symmetricity=[0.2, 0.99, 0.99, 0.99, 0.99], irrelevance=[1, 1, 0.2, 0.6, 0.2], accuracy=[0, 0.5, 1, 1, 1]
    )
    assert (found.verdict, found.boundary) == ("pizza", Boundary(400, 300, 400))


def test_the_interval_comes_from_moved_bounds_and_the_spacing():
    # 0.45 is a pizza's only with a bound of 0.48, 0.35 not with 0.32.
    found = algorithm_since(STEPS, symmetricity=[0.99] * 5, irrelevance=[1, 0.45, 0.39, 0.35, 0.3], accuracy=[1] * 5)
    assert (found.verdict, found.boundary) == ("pizza", Boundary(200, 0, 400))
    # With a bound that is never met the interval goes to the end.
    found = algorithm_since(STEPS, symmetricity=[0.99] * 5, irrelevance=[1, 1, 0.39, 0.35, 0.33], accuracy=[1] * 5)
    assert (found.verdict, found.boundary) == ("pizza", Boundary(200, 100, 400))


def test_a_series_that_never_generalizes_has_been_so_from_the_start():
    found = algorithm_since(STEPS, symmetricity=[0.3] * 5, irrelevance=[0.8] * 5, accuracy=[0.1] * 5)
    assert (found.verdict, found.boundary) == ("not generalizing", Boundary(0, 0, 0))


def test_memorizer_then_generalizer():
    found = generalization_since(
        STEPS,
        agreement=[0, 0, 0.5, 0.97, 0.99],
        unseen_loss=[1, 2, 0.9, 0.002, 1e-6],
        concentration=[0.05, 0.05, 0.3, 0.6, 0.7],
        learned=[0, 1, 1, 1, 1],
    )
    assert (found.verdict, found.boundary) == ("generalizer", Boundary(300, 200, 300))


def test_missing_evidence_says_nothing():
    unknown = [math.nan] * 5
    how = {"unseen_loss": unknown, "concentration": unknown, "learned": [1] * 5}
    assert generalization_since(STEPS, agreement=[0, 0.99, 0.99, 0.99, 0.99], **how).boundary.step == 100
    assert generalization_since(STEPS, agreement=[1, 1, 1, 0, 0], **how).verdict == "memorizer"


@given(NUMBER, NUMBER, NUMBER)
def test_the_last_checkpoints_verdict_is_the_verdict(symmetricity, irrelevance, accuracy):
    last = algorithm_since([7], symmetricity=[symmetricity], irrelevance=[irrelevance], accuracy=[accuracy])
    assert last.verdict == algorithm_verdict(symmetricity=symmetricity, irrelevance=irrelevance, accuracy=accuracy)[0]


def test_bad_series_are_refused():
    with pytest.raises(UsageError, match=r"irrelevance: given \(1,\) values for \(2,\) steps"):
        algorithm_since([0, 1], symmetricity=[1, 1], irrelevance=[1], accuracy=[1, 1])
    with pytest.raises(UsageError, match="do not ascend"):
        algorithm_since([1, 0], symmetricity=[1, 1], irrelevance=[1, 1], accuracy=[1, 1])
