"""Numerical health: collapse, spikes and their negative controls, Adam's epsilon, warnings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.errors import UsageError
from interp.measures import (
    adam_epsilon_share,
    collapsed,
    first_not_finite,
    gradient_ratio,
    health_warnings,
    loss_spikes,
)

STEPS = np.arange(0, 20_000, 25)


def falling(noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A training loss as runs have it: from 4.7 down to 1e-7, then slowly on."""
    rng = np.random.default_rng(seed)
    return (4.7 * np.exp(-STEPS / 120) + 2e-7 * np.exp(-STEPS / 2e4)) * np.exp(noise * rng.standard_normal(len(STEPS)))


# Collapse


@pytest.mark.parametrize(("gap", "expected"), [(10.0, False), (15.0, False), (20.0, True), (100.0, True)])
def test_collapse_is_where_float32_says_zero(gap, expected):
    for dtype in (torch.float32, torch.float64):
        logits = torch.tensor([[gap, 0.0, 0.0]], dtype=dtype)
        assert collapsed(logits, torch.tensor([0])).tolist() == [expected]
    assert collapsed(torch.tensor([[0.0, gap]]), torch.tensor([0])).tolist() == [False]


def test_collapse_of_what_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="NaN or infinite"):
        collapsed(torch.tensor([[math.nan, 0.0]]), torch.tensor([0]))


# Spikes


@settings(max_examples=25, deadline=None)
@given(noise=st.floats(0, 0.3), seed=st.integers(0, 1000))
def test_no_spike_in_an_ordinary_run(noise, seed):
    assert loss_spikes(STEPS, falling(noise, seed)) == ()


def test_no_spike_in_flat_zero_or_short_curves():
    assert loss_spikes(STEPS, np.full(len(STEPS), 3.0)) == ()
    assert loss_spikes(STEPS, np.zeros(len(STEPS))) == ()
    assert loss_spikes([0], [5.0]) == ()
    assert loss_spikes([], []) == ()


@settings(max_examples=25, deadline=None)
@given(at=st.integers(200, 700), width=st.integers(1, 15), height=st.floats(0.01, 10.0))
def test_a_slingshot_is_dated_exactly(at, width, height):
    loss = falling(0.05)
    loss[at : at + width] = height
    loss[at + width // 2] = 2 * height
    (spike,) = loss_spikes(STEPS, loss)
    assert (spike.start, spike.peak, spike.end) == (STEPS[at], STEPS[at + width // 2], STEPS[at + width])
    assert spike.height == 2 * height
    assert spike.level < height / 10


def test_two_slingshots_are_two():
    loss = falling()
    loss[200:204], loss[300:310] = 1.0, 3.0
    assert [spike.start for spike in loss_spikes(STEPS, loss)] == [STEPS[200], STEPS[300]]


def test_a_new_level_is_reported_once_and_has_no_end():
    loss = falling()
    loss[400:] = 0.5
    (spike,) = loss_spikes(STEPS, loss)
    assert (spike.start, spike.end) == (STEPS[400], None)


def test_a_spike_at_the_end_has_no_end():
    loss = falling()
    loss[-3:] = 1.0
    (spike,) = loss_spikes(STEPS, loss)
    assert (spike.start, spike.end) == (STEPS[-3], None)


def test_not_finite_counts_as_a_spike_and_is_dated():
    loss = falling()
    loss[500:502] = math.nan
    (spike,) = loss_spikes(STEPS, loss)
    assert (spike.start, spike.end, spike.height) == (STEPS[500], STEPS[502], math.inf)
    assert first_not_finite(STEPS, loss) == STEPS[500]
    assert first_not_finite(STEPS, falling()) is None


def test_bad_curves_are_refused():
    with pytest.raises(UsageError, match="steps ascending"):
        loss_spikes([0, 1, 1], [1.0, 1.0, 1.0])
    with pytest.raises(UsageError, match="as many of both"):
        loss_spikes([0, 1], [1.0])
    with pytest.raises(UsageError, match="factor above 1"):
        loss_spikes([0, 1], [1.0, 1.0], factor=1.0)


# Gradients and Adam


def test_gradient_ratio_per_tensor_and_in_all():
    found = gradient_ratio({"a": torch.full((4,), 0.5), "b": torch.zeros(2)}, {"a": torch.ones(4), "b": torch.ones(5)})
    assert found == {"a": 0.5, "b": 0.0, "total": pytest.approx((1 / 9) ** 0.5)}
    assert math.isinf(gradient_ratio({"a": torch.ones(1)}, {"a": torch.zeros(1)})["a"])
    assert math.isnan(gradient_ratio({"a": torch.tensor([math.nan])}, {"a": torch.ones(1)})["total"])
    assert math.isnan(gradient_ratio({"a": torch.zeros(1)}, {"a": torch.zeros(1)})["a"])
    with pytest.raises(UsageError, match="the same names"):
        gradient_ratio({"a": torch.ones(1)}, {"b": torch.ones(1)})


def test_epsilon_rules_where_updates_are_below_half_the_learning_rate():
    """Against torch's own AdamW with a constant gradient, on both sides of the bound."""
    weights = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    gradient = torch.tensor([1e-6, 1.01e-8, 0.99e-8, 1e-12], dtype=torch.float64)
    optimizer = torch.optim.AdamW([weights], lr=1.0, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
    for _ in range(7):
        before = weights.detach().clone()
        weights.grad = gradient.clone()
        optimizer.step()
    update = (weights.detach() - before).abs()
    moments = {"w": optimizer.state[weights]["exp_avg_sq"]}
    assert adam_epsilon_share(moments, step=7, beta2=0.98, eps=1e-8) == {"w": 0.5, "total": 0.5}
    assert (update < 0.5).tolist() == [False, False, True, True]


def test_epsilon_share_of_bad_input():
    with pytest.raises(UsageError, match="at least one update"):
        adam_epsilon_share({}, step=0, beta2=0.98, eps=1e-8)
    with pytest.raises(UsageError, match="second moments of w"):
        adam_epsilon_share({"w": torch.tensor([math.nan])}, step=1, beta2=0.98, eps=1e-8)


# Warnings


def test_a_healthy_run_has_no_warnings():
    assert health_warnings(collapsed_share=0.002, spikes=loss_spikes(STEPS, falling(0.1)), epsilon_share=0.1) == []


def test_every_problem_is_named_with_its_numbers():
    loss = falling()
    loss[500:510] = 2.0
    found = health_warnings(collapsed_share=0.83, spikes=loss_spikes(STEPS, loss), not_finite=17_000, epsilon_share=0.9)
    assert len(found) == 4
    for text, sentence in zip(("17000", "83 %", "12500", "90 %"), found, strict=True):
        assert text in sentence
    assert len(health_warnings(collapsed_share=math.nan, epsilon_share=math.nan)) == 2
