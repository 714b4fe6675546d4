"""Losses in the engines: as precise as float64, and reported when they are not finite."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from compiled import from_python
from engines import ROWS, SMALL

from interp.errors import TrainingError
from interp.losses import correct, cross_entropy, stablemax_cross_entropy
from interp.training.cpu.kernels import LANES, pair_losses
from interp.training.loop import Training
from interp.training.stacked.stacked_passes import LOSSES


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["W_E", "W_Q", "W_V", "W_in", "W_U", "b_in"])
def test_a_loss_that_is_not_finite_is_noticed(engine: str, poison: float, name: str) -> None:
    training = Training(replace(SMALL, engine=engine))
    training.engine.parameters.weights.tensors()[name].view(-1)[0] = poison
    with pytest.raises(TrainingError, match="at step 0"):
        next(iter(training))


@pytest.mark.parametrize(
    ("loss", "function"),
    [("cross_entropies", cross_entropy), ("stablemaxes", stablemax_cross_entropy)],
    ids=["softmax", "stablemax"],
)
@pytest.mark.parametrize("classes", [2, 5, 16, 17])
def test_losses_in_the_loops_are_precise(loss: str, function: object, classes: int) -> None:
    """Relative error below 1e-5 against float64 on the same float32 logits, for losses from 1e-26 to 30, and their gradient."""
    in_loops = from_python(getattr(pair_losses, loss))
    labels = np.array([label % classes for label, _ in ROWS], dtype=np.int32)
    rows, end = np.full((len(ROWS), 16 + 32 + 3), np.nan, dtype=np.float32), 16 + LANES * -(-classes // LANES)
    rows[:, 16:end] = 0
    rows[:, 16 : 16 + classes] = np.random.default_rng(0).normal(size=classes)
    rows[range(len(ROWS)), 16 + labels] += np.array([margin for _, margin in ROWS], dtype=np.float32)
    ones, values = rows.copy(), []
    for one, label in zip(np.split(ones, len(ROWS)), torch.from_numpy(labels).long(), strict=True):
        exact = torch.tensor(one[:, 16 : 16 + classes], dtype=torch.float64, requires_grad=True)
        expected = function(exact, label[None])
        expected.sum().backward()
        value, right = in_loops(one, (16, end), np.array([label], dtype=np.int32), classes, 1.0)
        assert value == pytest.approx(expected.item(), rel=1e-5)
        assert right == correct(exact, label[None]).item()
        np.testing.assert_allclose(one[:, 16 : 16 + classes], exact.grad.numpy(), rtol=1e-5)
        values.append((value, right))
    assert not ones[:, 16 + classes : end].any()
    assert np.isnan(ones[:, :16]).all()
    assert np.isnan(ones[:, end:]).all()
    total, n_right = in_loops(rows, (16, end), labels, classes, 1.0)
    np.testing.assert_array_equal(rows, ones)
    assert (total, n_right) == (pytest.approx(sum(value for value, _ in values)), sum(right for _, right in values))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", ["cross_entropy", "stablemax"])
def test_losses_of_stacked_runs_are_precise(loss: str, dtype: torch.dtype) -> None:
    """As in the loops of the CPU engine; columns that are no class get no gradient."""
    function = {"cross_entropy": cross_entropy, "stablemax": stablemax_cross_entropy}[loss]
    for (label, margin), classes in itertools.product(ROWS, (5, 16, 17)):
        logits = torch.full((1, 1, 32), -1e30, dtype=dtype)
        logits[..., :classes] = torch.from_numpy(np.random.default_rng(0).normal(size=classes))
        logits[..., label] += margin
        exact = logits[0, :, :classes].double().requires_grad_()
        expected = function(exact, torch.tensor([label]))
        expected.sum().backward()
        values, gradient = LOSSES[loss](logits, torch.tensor([[[label]]]), classes)
        assert values.item() == pytest.approx(expected.item(), rel=1e-5)
        np.testing.assert_allclose(gradient[0, :, :classes].numpy(), exact.grad.numpy(), rtol=1e-5)
        assert not gradient[..., classes:].any()


@pytest.mark.parametrize("margin", [1.0, 30.0, 75.0, 200.0])
def test_a_learned_pair_leaves_no_subnormal_gradient(margin: float) -> None:
    """Subnormal numbers make every product they meet many times slower; what they carry is lost in any weight anyway."""
    rows = np.zeros((1, 32), dtype=np.float32)
    row = rows[0]
    row[:10] = -np.linspace(0, 60, 10)
    row[3] = margin
    expected = torch.from_numpy(row[:10].astype(np.float64))[None].requires_grad_()
    cross_entropy(expected, torch.tensor([3])).sum().backward()
    from_python(pair_losses.cross_entropies)(rows, (0, 32), np.array([3], dtype=np.int32), 10, 1 / 3830)
    assert not ((row != 0) & (np.abs(row) < np.finfo(np.float32).tiny)).any()
    np.testing.assert_allclose(row[:10], expected.grad[0].numpy() / 3830, rtol=1e-5, atol=1e-30)
