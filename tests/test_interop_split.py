"""Splits of published models: recovered exactly where the losses tell, refused where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import memorizer, random_weights

from interp.errors import DataError, UsageError
from interp.interop import recover_split
from interp.interop.split import fits, pair_losses
from interp.networks.one_layer import forward
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig

TASK = ModularTask(13)


def test_pair_losses_are_over_all_classes_in_float64() -> None:
    weights = random_weights(7, equals_class=True, dtype=torch.float32)
    task = ModularTask(7)
    logits = forward(weights.to(dtype=torch.float64), task.pairs).all_logits
    want = -logits.log_softmax(-1)[torch.arange(49), torch.from_numpy(task.labels)]
    np.testing.assert_allclose(pair_losses(weights, task), want.numpy(), rtol=1e-12)
    assert pair_losses(weights, task).dtype == np.float64


@given(st.integers(0, 99), st.sampled_from(["python", "torch"]), st.sampled_from([0.2, 0.3, 0.5]))
@settings(max_examples=10, deadline=None)
def test_a_memorizers_split_is_found_among_the_first_seeds(seed: int, rule: str, fraction: float) -> None:
    truth = SplitConfig(rule, seed, fraction)
    split = truth.draw(TASK)
    weights = memorizer(split.train, 13)
    losses = pair_losses(weights, TASK)
    train_loss, test_loss = float(losses[split.train].mean()), float(losses[split.test].mean())
    assert train_loss < test_loss / 1000
    assert fits(weights, TASK, split, train_loss=train_loss, test_loss=test_loss) < 1e-12
    assert recover_split(weights, TASK, train_loss=train_loss, rule=SplitConfig(rule, 0, fraction)) == truth
    both = recover_split(weights, TASK, train_loss=train_loss, test_loss=test_loss, rule=SplitConfig(rule, 0, fraction))
    assert both == truth


def test_what_the_losses_do_not_tell_is_not_guessed() -> None:
    split = SplitConfig("python", 7, 0.3).draw(TASK)
    weights = memorizer(split.train, 13)
    train_loss = float(pair_losses(weights, TASK)[split.train].mean())
    with pytest.raises(DataError, match=r"no seed fits within 1\.00% .*the nearest, \d+, is off by .*; try more seeds"):
        recover_split(weights, TASK, train_loss=train_loss, seeds=range(7))
    with pytest.raises(DataError, match="no seed fits"):
        recover_split(weights, TASK, train_loss=train_loss, rule=SplitConfig("torch", 0, 0.3))
    with pytest.raises(DataError, match="no seed fits"):
        recover_split(weights, TASK, train_loss=train_loss, test_loss=1e-3)
    untrained = random_weights(13)
    loss = float(pair_losses(untrained, TASK)[split.train].mean())
    with pytest.raises(DataError, match=r"all fit within 10\.00% .*the loss does not tell them apart"):
        recover_split(untrained, TASK, train_loss=loss, tolerance=0.1)


@pytest.mark.parametrize("train_loss", [0.0, -1.0, float("nan")])
def test_bad_losses_are_refused(train_loss: float) -> None:
    with pytest.raises(UsageError, match="expected numbers > 0"):
        recover_split(random_weights(13), TASK, train_loss=train_loss)


def test_bad_seeds_and_fractions_are_refused() -> None:
    with pytest.raises(UsageError, match="given no seeds"):
        recover_split(random_weights(13), TASK, train_loss=1.0, seeds=[])
    with pytest.raises(UsageError, match="leaves the train set empty"):
        recover_split(random_weights(13), TASK, train_loss=1.0, rule=SplitConfig("python", 0, 1e-6))
