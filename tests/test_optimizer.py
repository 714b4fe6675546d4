"""One update against a hand-written one, and the identity that defines each intervention."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_models import random_weights

from interp.config.run_config import OptimizerConfig
from interp.training.optimizer import Optimizer, grokfast_, perpendicular_, rescale_to_norm_, warmup_factor
from interp.training.parameters import Parameters

seeds = st.integers(0, 1000)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def optimizer(**changes: object) -> Optimizer:
    parameters = Parameters(random_weights(biases=["b_in", "b_out"]))
    return Optimizer(replace(OptimizerConfig(weight_decay=0.7, lr=0.01), **changes), parameters)


def gradients(n: int, like: torch.Tensor) -> list[torch.Tensor]:
    return [normal(len(like), seed=seed) for seed in range(n)]


def test_adamw_is_the_textbook_update() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, for three updates, in numpy."""
    mine = optimizer()
    c, w = mine.config, mine.parameters.flat.numpy().copy()
    m = v = np.zeros_like(w)
    for t, gradient in enumerate(gradients(3, mine.parameters.flat), start=1):
        mine.parameters.gradient.copy_(gradient)
        mine.step()
        g = gradient.numpy()
        m, v = c.beta1 * m + (1 - c.beta1) * g, c.beta2 * v + (1 - c.beta2) * g * g
        w = w * (1 - c.lr * c.weight_decay)
        w = w - c.lr * (m / (1 - c.beta1**t)) / (np.sqrt(v / (1 - c.beta2**t)) + c.eps)
        np.testing.assert_allclose(mine.parameters.flat.numpy(), w, rtol=1e-12)


def test_weights_without_gradient_only_decay() -> None:
    mine = optimizer()
    before = mine.parameters.flat.clone()
    for n in range(1, 4):
        mine.step()
        torch.testing.assert_close(mine.parameters.flat, before * (1 - 0.01 * 0.7) ** n)


def test_warmup_rises_linearly_and_the_first_update_moves_nothing() -> None:
    assert [warmup_factor(n, 4) for n in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert [warmup_factor(n, 0) for n in range(2)] == [1, 1]
    mine = optimizer(warmup_steps=10)
    before = mine.parameters.flat.clone()
    mine.parameters.gradient.copy_(gradients(1, before)[0])
    mine.step()
    assert torch.equal(mine.parameters.flat, before)
    mine.step()
    assert not torch.equal(mine.parameters.flat, before)


@given(seeds, st.floats(0, 5), st.floats(0, 0.99))
def test_grokfast_amplifies_the_slow_part(seed: int, strength: float, alpha: float) -> None:
    """First g' = (1 + lambda) g; a constant gradient stays amplified by 1 + lambda; then h is the running mean."""
    memory, first, second = torch.zeros(5, dtype=torch.float64), normal(5, seed=seed), normal(5, seed=seed + 1)
    for number in range(3):
        gradient = first.clone()
        grokfast_(gradient, memory, alpha=alpha, strength=strength, first=number == 0)
        torch.testing.assert_close(gradient, (1 + strength) * first)
    gradient = second.clone()
    grokfast_(gradient, memory, alpha=alpha, strength=strength, first=False)
    torch.testing.assert_close(gradient, second + strength * (alpha * first + (1 - alpha) * second))


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.9])
def test_grokfast_lets_an_alternating_gradient_be(alpha: float) -> None:
    """h settles on (1 - alpha) / (1 + alpha) of the last gradient."""
    memory, sign = torch.zeros(3, dtype=torch.float64), 1.0
    for number in range(500):
        gradient = torch.full((3,), sign, dtype=torch.float64)
        grokfast_(gradient, memory, alpha=alpha, strength=2.0, first=number == 0)
        expected = torch.full((3,), sign * (1 + 2 * (1 - alpha) / (1 + alpha)), dtype=torch.float64)
        sign = -sign
    torch.testing.assert_close(gradient, expected)


@given(seeds, st.booleans())
def test_perpendicular_gradient_is_orthogonal_to_each_tensor(seed: int, rescale: bool) -> None:
    weights = {"one": normal(3, 4, seed=seed), "two": normal(5, seed=seed + 1), "zero": torch.zeros(2, dtype=torch.float64)}
    before = {name: normal(*w.shape, seed=seed + 2) for name, w in weights.items()}
    after = {name: g.clone() for name, g in before.items()}
    perpendicular_(after, weights, rescale=rescale)
    for name, w in weights.items():
        norm = before[name].norm()
        assert float((w * after[name]).sum()) == pytest.approx(0, abs=1e-12 * float(norm * w.norm()) + 1e-300)
        if rescale:
            torch.testing.assert_close(after[name].norm(), norm)
        else:  # a projection: what is left, and what was removed, add up; a second one changes nothing
            removed = before[name] - after[name]
            torch.testing.assert_close(norm**2, after[name].norm() ** 2 + removed.norm() ** 2)
            again = {name: after[name].clone()}
            perpendicular_(again, {name: w}, rescale=False)
            torch.testing.assert_close(again[name], after[name])
    torch.testing.assert_close(after["zero"], before["zero"])


@pytest.mark.parametrize("rescale", [False, True])
def test_perpendicular_gradient_along_the_weights_is_gone(rescale: bool) -> None:
    weights = {"w": torch.tensor([3.0, 0.0, 4.0])}
    along = {"w": 2 * weights["w"]}
    perpendicular_(along, weights, rescale=rescale)
    assert torch.isfinite(along["w"]).all()
    assert float(along["w"].norm()) < 1e-6 or rescale


def test_norm_constraint_keeps_the_norm_and_the_direction_of_each_update() -> None:
    mine, free = optimizer(norm_constraint=True), optimizer()
    norm = mine.parameters.flat.norm()
    for gradient in gradients(3, mine.parameters.flat):
        for each in (mine, free):
            each.parameters.gradient.copy_(gradient)
        free.parameters.flat.copy_(mine.parameters.flat)
        mine.step()
        free.step()
        torch.testing.assert_close(mine.parameters.flat.norm(), norm)
        torch.testing.assert_close(mine.parameters.flat, free.parameters.flat * (norm / free.parameters.flat.norm()))


def test_rescaling_to_a_norm() -> None:
    flat = torch.tensor([3.0, 4.0])
    rescale_to_norm_(flat, 10.0)
    assert flat.tolist() == [6.0, 8.0]


@pytest.mark.parametrize(
    "changes",
    [{}, {"grokfast_lambda": 2.0}, {"perpendicular_gradient": "project", "warmup_steps": 3}, {"norm_constraint": True}],
    ids=["adamw", "grokfast", "perpendicular", "norm"],
)
def test_a_restored_optimizer_goes_on_exactly(changes: dict) -> None:
    straight, first = optimizer(**changes), optimizer(**changes)
    all_gradients = gradients(6, straight.parameters.flat)
    for gradient in all_gradients:
        straight.parameters.gradient.copy_(gradient)
        straight.step()
    for gradient in all_gradients[:3]:
        first.parameters.gradient.copy_(gradient)
        first.step()
    second = optimizer(**changes)
    second.parameters.flat.copy_(first.parameters.flat)
    second.load({name: tensor.clone() for name, tensor in first.state().items()})
    for gradient in all_gradients[3:]:
        second.parameters.gradient.copy_(gradient)
        second.step()
    assert torch.equal(second.parameters.flat, straight.parameters.flat)


def test_the_gaps_between_tensors_stay_zero() -> None:
    mine = optimizer(grokfast_lambda=1.0, perpendicular_gradient="rescale", norm_constraint=True)
    for name, gradient in mine.parameters.gradients.items():
        gradient.copy_(normal(*gradient.shape, seed=len(name)))
    mine.step()
    used = torch.zeros_like(mine.parameters.flat)
    start = mine.parameters.flat.data_ptr()
    for tensor in mine.parameters.weights.tensors().values():
        at = (tensor.data_ptr() - start) // tensor.element_size()
        used[at : at + tensor.numel()] = 1
    assert 0 < used.sum() < len(used)
    assert not mine.parameters.flat[used == 0].any()
    assert mine.parameters.sum_squared() == pytest.approx(
        sum(float((t**2).sum()) for t in mine.parameters.weights.tensors().values())
    )
