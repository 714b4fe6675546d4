"""Phases and outcomes on curves whose answer is known: grokking, memorizing only, never, at once, slingshots, in progress."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.measures import Boundary, is_settled, loss_spikes, phases
from interp.measures.dating import phases_of

STEPS = np.arange(0, 20_001, 100)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def grokking(steps: np.ndarray = STEPS) -> dict[str, object]:
    """Memorizes around 500, its circuit grows from 1,500, cleans up around 8,000, weights settle after 12,000."""
    return {
        "steps": steps,
        "train_loss": 4.7 * np.exp(-steps / 100) + 1e-7,
        "test_loss": 4.7
        + 20 * sigmoid((steps - 400) / 100) * sigmoid((8000 - steps) / 200)
        - 4.7 * sigmoid((steps - 8000) / 100),
        "train_accuracy": sigmoid((steps - 250) / 50),
        "test_accuracy": 0.05 + 0.95 * sigmoid((steps - 8000) / 100),
        "excluded": (steps, 4.7 * np.exp(-steps / 120) + 7 * np.exp((np.minimum(steps, 8000) - 8000) / 400)),
        "sum_squared": (steps, 900 + 3000 * np.exp(-steps / 3000) * sigmoid((9000 - steps) / 500)),
    }


def with_changes(**changes: object) -> dict[str, object]:
    return grokking() | changes


def spike(curve: object, at: int, value: float) -> np.ndarray:
    changed = np.array(curve, dtype=float)
    changed[at // 100] = value
    return changed


def test_what_was_right_by_chance_before_any_training_is_not_learned():
    steps, loss = [0, 10, 20, 30], [0.7, 0.5, 0.1, 0.01]
    lost = phases(steps, loss, loss, [1, 1, 1, 1], [1, 0.3, 0.3, 0.3])
    assert (lost.outcome, lost.grokked) == ("memorization", None)
    assert lost.memorized == Boundary(10, 0, 10)
    kept = phases(steps, loss, loss, [1, 1, 1, 1], [1, 1, 1, 1])
    assert (kept.outcome, kept.grokked) == ("comprehension", Boundary(10, 0, 10))


def test_a_grokking_run():
    found = phases(**grokking())
    order = [found.memorized, found.onset, found.cleanup, found.grokked, found.settled]
    assert all(boundary is not None for boundary in order)
    assert all(earlier.step < later.step for earlier, later in pairwise(order))
    for boundary in order:
        assert boundary.earliest < boundary.step <= boundary.latest
    assert found.memorized == Boundary(500, 400, 500)
    assert found.grokked.step == 8500
    assert 7800 <= found.cleanup.earliest <= 8000 <= found.cleanup.latest <= 8200
    assert found.outcome == "grokking"


def test_the_onset_is_the_minimum_of_the_excluded_loss():
    run = grokking()
    steps, excluded = run["excluded"]
    assert phases(**run).onset.step == steps[excluded.argmin()]


def test_boundaries_are_known_to_the_spacing_of_the_steps():
    fine, coarse = grokking(np.arange(0, 20_001, 20)), grokking(np.arange(0, 20_001, 1000))
    narrow, wide = phases(**fine).grokked, phases(**coarse).grokked
    assert wide.latest - wide.earliest >= 1000 > narrow.latest - narrow.earliest
    assert wide.earliest <= narrow.step <= wide.latest


@settings(max_examples=30, deadline=None)
@given(crossing=st.integers(1, 198))
def test_a_step_curve_is_dated_exactly(crossing):
    right = (np.arange(len(STEPS)) >= crossing).astype(float)
    found = phases(STEPS, 1 - right + 1e-3, 5 * (1 - right) + 1e-3, right, right)
    assert found.grokked == found.memorized == Boundary(int(STEPS[crossing]), int(STEPS[crossing - 1]), int(STEPS[crossing]))
    assert found.outcome == "comprehension"


def test_memorizing_only():
    run = with_changes(
        test_accuracy=np.full(len(STEPS), 0.05),
        test_loss=5 + 20 * sigmoid((STEPS - 400) / 100),
        excluded=(STEPS, 4.7 * np.exp(-STEPS / 120) + 1e-5 * (2 + np.sin(STEPS / 500))),
        sum_squared=(STEPS, 900 + 3000 * np.exp(-STEPS / 3000)),
    )
    found = phases(**run)
    assert found.memorized is not None
    assert (found.onset, found.cleanup, found.grokked, found.settled) == (None, None, None, None)
    assert found.outcome == "memorization"


def test_an_excluded_loss_that_creeps_up_from_nothing_is_no_circuit():
    """The shape measured on a run with too few pairs to generalize: down to 9e-5, then slowly up, never far."""
    creeping = 4.1 * np.exp(-STEPS / 120) + 9e-5 + 2e-7 * np.maximum(STEPS - 1500, 0)
    assert creeping[-1] > 10 * creeping.min()
    run = with_changes(test_accuracy=np.full(len(STEPS), 0.01), excluded=(STEPS, creeping))
    assert phases(**run).onset is None


def test_learning_nothing():
    flat = np.full(len(STEPS), 0.02)
    found = phases(STEPS, 4.7 - flat, 4.7 + flat, flat, flat, excluded=(STEPS, 4.7 + flat), sum_squared=(STEPS, 900 + flat))
    assert found == type(found)(None, None, None, None, None, "confusion")


def test_generalizing_at_once():
    right = sigmoid((STEPS - 500) / 50)
    found = phases(STEPS, 5 * (1 - right) + 1e-6, 5 * (1 - right) + 1e-6, right, right)
    assert found.outcome == "comprehension"
    assert found.onset is None
    assert found.settled is None


def test_the_gap_decides_between_comprehension_and_grokking():
    for gap, outcome in [(900, "comprehension"), (1000, "grokking")]:
        train, test = (STEPS >= 500).astype(float), (STEPS - gap >= 500).astype(float)
        assert phases(STEPS, 1 - train + 1e-3, 1 - test + 1e-3, train, test).outcome == outcome


def test_a_run_still_going_has_not_grokked():
    young = STEPS <= 7000
    run = {name: (c[0][young], c[1][young]) if isinstance(c, tuple) else c[young] for name, c in grokking().items()}
    found = phases(**run)
    assert found.memorized is not None
    assert found.onset is not None
    assert (found.cleanup, found.grokked, found.settled) == (None, None, None)
    assert found.outcome == "memorization"


def test_a_slingshot_moves_what_has_to_hold_for_good_and_nothing_else():
    run = grokking()
    slung = phases(**with_changes(train_accuracy=spike(run["train_accuracy"], 6000, 0.4)))
    assert slung.memorized.step == 6100
    assert slung.grokked == phases(**run).grokked
    assert phases(**with_changes(test_accuracy=spike(run["test_accuracy"], 15_000, 0.4))).grokked.step == 15_100
    assert phases(**with_changes(test_accuracy=spike(run["test_accuracy"], 20_000, 0.4))).grokked is None


def test_a_slingshot_after_grokking_is_not_the_plateau():
    run = grokking()
    assert phases(**with_changes(test_loss=spike(run["test_loss"], 15_000, 500.0))).cleanup.step == 15_100
    plateau = phases(**run).cleanup.step
    small = spike(run["test_loss"], 15_000, 5.0)
    assert phases(**with_changes(test_loss=small)).cleanup.step == plateau


def test_99_percent_is_enough():
    right = np.where(STEPS >= 9000, 99 / 100, 0.1)
    assert phases(STEPS, 1 - right, 1 - right, right, right).grokked.step == 9000
    assert is_settled(STEPS, np.ones(len(STEPS)), right)


def test_almost_grokked_is_uncertain_to_the_end_of_the_run():
    right = np.where(STEPS >= 9000, 0.991, 0.1)
    found = phases(STEPS, np.full(len(STEPS), 0.1), np.full(len(STEPS), 0.1), right, right)
    assert found.grokked == Boundary(9000, 8900, 20_000)
    below = np.where(STEPS >= 9000, 0.989, 0.1)
    assert phases(STEPS, np.full(len(STEPS), 0.1), np.full(len(STEPS), 0.1), below, below).grokked is None


def test_what_is_true_at_a_late_first_measurement_is_not_dated():
    found = phases([107_790, 107_791], [1e-7] * 2, [2e-7] * 2, [1.0] * 2, [1.0] * 2)
    assert (found.memorized, found.onset, found.cleanup, found.grokked, found.settled) == (None,) * 5
    assert found.outcome == "unknown"
    run = grokking()
    late = {name: (c[0][90:], c[1][90:]) if isinstance(c, tuple) else c[90:] for name, c in run.items()}
    found = phases(**late)
    assert (found.memorized, found.cleanup, found.grokked, found.outcome) == (None, None, None, "unknown")
    between = {name: (c[0][50:], c[1][50:]) if isinstance(c, tuple) else c[50:] for name, c in run.items()}
    found = phases(**between)
    assert (found.memorized, found.grokked) == (None, phases(**run).grokked)
    assert found.outcome == "grokking"  # train was right at least 3,000 steps before


@pytest.mark.parametrize("step", [0, 500, 1000, 107_790])
@pytest.mark.parametrize("right", [0.0, 0.95, 1.0])
def test_one_measurement_is_no_history(step, right):
    curve = ([step], [1e-7])
    found = phases([step], [1e-7], [1e-7], [right], [right], excluded=curve, sum_squared=curve)
    assert found == type(found)(None, None, None, None, None, "unknown", undated="not known from one checkpoint")


# Settled


def test_settled_needs_weights_at_rest_and_generalization():
    steps = np.arange(0, 2001, 10)
    rest, falling = np.full(201, 900.0), 900 + 3000 * np.exp(-steps / 2000)
    right, wrong = np.where(steps >= 1500, 1.0, 0.1), np.full(201, 0.1)
    assert is_settled(steps, rest, right)
    assert not is_settled(steps, rest, wrong)
    assert not is_settled(steps, falling, right)
    assert not is_settled(steps[:160], rest[:160], right[:160])
    assert not is_settled([0], [900.0], [1.0])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("stretch", [1, 7, 100])
def test_settling_has_no_scale(scale, stretch):
    steps = np.arange(0, 2001, 10)
    weight, right = 900 + 3000 * np.exp(-steps / 300), (steps >= 500).astype(float)
    first = next(i for i in range(1, 201) if is_settled(steps[:i], weight[:i], right[:i]))
    at, scaled = steps * stretch, weight * scale
    assert first == next(i for i in range(1, 201) if is_settled(at[:i], scaled[:i], right[:i]))


def test_the_date_of_settling_is_when_a_run_would_have_stopped_itself():
    run = grokking()
    steps, weight = run["sum_squared"]
    stop = next(
        int(steps[i]) for i in range(len(steps)) if is_settled(steps[: i + 1], weight[: i + 1], run["test_accuracy"][: i + 1])
    )
    assert phases(**run).settled.step == stop > 10_000


def test_weights_measured_less_often_than_accuracy():
    run = grokking()
    steps, weight = run["sum_squared"]
    settled = phases(**with_changes(sum_squared=(steps[::5], weight[::5]))).settled
    assert abs(settled.step - phases(**run).settled.step) <= 1000


# Bad input


@pytest.mark.parametrize("name", ["train_loss", "test_loss", "train_accuracy", "test_accuracy"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_curves_that_are_not_finite_are_refused(name, bad):
    with pytest.raises(UsageError, match=f"{name}: not finite at step 700"):
        phases(**with_changes(**{name: spike(grokking()[name], 700, bad)}))
    with pytest.raises(UsageError, match="sum_squared: not finite"):
        is_settled([0, 1], [1.0, bad], [1.0, 1.0])


def test_steps_that_restart_are_refused():
    run = grokking()
    with pytest.raises(UsageError, match="do not ascend"):
        phases(**with_changes(steps=np.concatenate([STEPS[:100], STEPS[:101]])))
    with pytest.raises(UsageError, match="expected as many of both"):
        phases(**with_changes(steps=STEPS[1:]))
    with pytest.raises(UsageError, match="at least one"):
        phases([], [], [], [], [])
    assert phases(**run) == phases(**{name: c if isinstance(c, tuple) else list(c) for name, c in run.items()})


def test_phases_need_no_torch():
    code = "import sys; from interp.measures.dating import is_settled; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What the spacing of the measurements can tell


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([0, 10_000], "unknown"),
        ([0, 900], "comprehension"),
        ([0, 500, 1500], "unknown"),
        ([0, 500, 1000, 2600], "unknown"),
        ([0, 500, 1500, 2600], "grokking"),
    ],
)
def test_an_outcome_needs_measurements_that_are_close_enough(steps: list[int], outcome: str) -> None:
    """Train is right from the first measurement after step 0 on, test at the last."""
    train, test = [0.0, *[1.0] * (len(steps) - 1)], [*[0.0] * (len(steps) - 1), 1.0]
    assert phases(steps, np.subtract(1.001, train), np.subtract(1.001, test), train, test).outcome == outcome


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.lists(st.integers(101, 2500), min_size=1, max_size=30))
def test_far_apart_measurements_never_tell_another_outcome_than_all_steps(train: int, test: int, gaps: list[int]) -> None:
    every, some = np.arange(0, 6001), np.cumsum([0, *gaps])
    some = np.append(some[some < 6000], 6000)
    dense, sparse = (
        phases(at, *(1.001 - (at >= t) for t in (train, test)), *((at >= t).astype(float) for t in (train, test))).outcome
        for at in (every, some)
    )
    assert dense == ("grokking" if test - train >= 1000 else "comprehension")
    assert sparse in (dense, "unknown")


# Curves with steps of their own


def test_curves_that_are_measured_at_steps_of_their_own_are_all_dated() -> None:
    often = np.arange(0, 20_001, 70)
    run, fine = grokking(), grokking(often)
    own = {name: (often, fine[name]) for name in ("train_loss", "train_accuracy")}
    own |= {name: (STEPS, run[name]) for name in ("test_loss", "test_accuracy")}
    inner = {name: run[name] for name in ("excluded", "sum_squared")}
    found, together = phases_of(own, **inner), phases(**run)
    assert (found.grokked, found.cleanup, found.settled) == (together.grokked, together.cleanup, together.settled)
    assert (found.memorized, found.onset, found.outcome) == (phases(**fine).memorized, together.onset, "grokking")
    alone = {name: curve for name, curve in own.items() if name == "test_accuracy"}
    assert (phases_of(alone).grokked, phases_of(alone).outcome) == (together.grokked, "unknown")
    assert phases_of({"train_loss": own["train_loss"]}).undated == "not known: the history has no accuracy"
    same = {name: (STEPS, run[name]) for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")}
    assert phases_of(same, **inner) == together


@pytest.mark.parametrize(
    ("steps", "accuracy", "said"),
    [
        ([0.5, 1.5], [0, 1], "given step 0.5, expected whole numbers"),
        ([0, 1], [0, 99], r"test_accuracy: given 99\.0, expected shares"),
        ([0, 1], [0, 1.00001], r"test_accuracy: given 1\.00001, expected shares"),
        ([0, 1], [-0.00001, 1], "test_accuracy: given -1e-05, expected shares"),
    ],
)
def test_steps_are_whole_and_accuracies_shares(steps: list[float], accuracy: list[float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        phases(steps, [4, 1], [4, 1], [0, 1], accuracy)


def test_accuracies_may_exceed_their_range_by_rounding() -> None:
    exact = phases([0, 1, 2], [4, 1, 1], [4, 1, 1], [0, 1, 1], [0, 0, 1])
    assert phases([0, 1, 2], [4, 1, 1], [4, 1, 1], [0, 1.0000001, 1], [-1e-7, 0, 1.0000001]) == exact
    with pytest.raises(UsageError, match=r"^train_accuracy: given 100\.0"):
        phases([0, 1], [4, 1], [4, 1], [0, 100], [0, 100])


def test_no_factor_makes_no_spikes() -> None:
    with pytest.raises(UsageError, match="factor above 1"):
        loss_spikes([0, 1], [1, 2], factor=np.nan)
