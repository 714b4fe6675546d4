"""Circuits with known answers: what the hand-built models compute is what their formulas say."""

from __future__ import annotations

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from planted import MODULI, labels, some_frequencies

from interp.errors import UsageError
from interp.networks.one_layer import Weights, forward
from interp.synthetic import (
    clock_logits,
    clock_weights,
    lookup_answers,
    lookup_logits,
    lookup_weights,
    mixture,
    mixture_weights,
    pizza_logits,
    pizza_weights,
)
from interp.tasks.modular import ModularTask


def computed(weights: Weights) -> torch.Tensor:
    return forward(weights, ModularTask(weights.p).pairs).logits


def train_index(p: int, fraction: float = 0.4) -> torch.Tensor:
    return torch.randperm(p * p, generator=torch.Generator().manual_seed(1))[: max(1, int(fraction * p * p))]


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("operation", ["add", "subtract"])
def test_ideal_circuits_are_right_everywhere(p, operation):
    every = range(1, p // 2 + 1)
    for logits in (clock_logits(p, every, operation=operation), pizza_logits(p, every, operation=operation)):
        right = logits.gather(1, labels(p, operation)[:, None]).squeeze(1)
        assert (right >= logits.max(dim=1).values - 1e-12).all()


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("equals_sign", [True, False])
@pytest.mark.parametrize("operation", ["add", "subtract"])
def test_clock_weights_are_the_clock(p, equals_sign, operation):
    keys = some_frequencies(p)
    how = {"amplitude": [2.0 + k for k in keys], "operation": operation}
    made = computed(clock_weights(p, keys, equals_sign=equals_sign, **how))
    assert torch.allclose(made, clock_logits(p, keys, **how), rtol=0, atol=1e-9)


@pytest.mark.parametrize("p", MODULI)
def test_pizza_weights_are_the_pizza(p):
    keys = some_frequencies(p)
    made = computed(pizza_weights(p, keys, amplitude=[2.0 + k for k in keys]))
    assert torch.allclose(made, pizza_logits(p, keys, amplitude=[2.0 + k for k in keys]), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("p", "directions", "error"), [(59, 6, 4 / 36), (59, 16, 0.015), (113, 16, 0.015), (30, 32, 4 / 1024)])
def test_a_clock_of_few_directions_is_as_close_as_it_says(p, directions, error):
    made = computed(clock_weights(p, [3], directions=directions))
    difference = (made - clock_logits(p, [3])).abs().max().item()
    assert 1e-6 < difference < error


@pytest.mark.parametrize("p", MODULI)
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("equals_sign", [True, False])
def test_lookup_weights_are_the_table(p, seed, equals_sign):
    how = {"amplitude": 6.0, "seed": seed}
    made = computed(lookup_weights(p, train_index(p), equals_sign=equals_sign, **how))
    assert torch.allclose(made, lookup_logits(p, train_index(p), **how), rtol=0, atol=1e-12)


@pytest.mark.parametrize("index_type", [torch.as_tensor, np.asarray, list])
def test_a_lookup_table_knows_what_it_was_shown(index_type):
    known = train_index(7).tolist()
    answers = lookup_answers(7, index_type(known), operation="multiply")
    assert (answers[known] == labels(7, "multiply")[known]).all()
    assert (answers >= 0).sum() == len(known)
    guesses = lookup_answers(7, index_type(known), seed=0)
    assert (guesses[known] == labels(7)[known]).all()
    assert (guesses == labels(7)).double().mean() < 0.7
    assert torch.equal(guesses, lookup_answers(7, index_type(known), seed=0))


def test_the_loss_of_a_lookup_table():
    from interp.losses import cross_entropy

    loss = cross_entropy(lookup_logits(5, [3, 4], amplitude=7.0), labels(5))
    assert loss[3].item() == pytest.approx(math.log1p(4 * math.exp(-7.0)), rel=1e-12)
    assert loss[0].item() == pytest.approx(math.log(5), rel=1e-12)


@pytest.mark.parametrize("dial", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("equals_sign", [True, False])
def test_mixed_weights_are_the_mixed_logits(dial, equals_sign):
    table = lookup_weights(6, train_index(6), amplitude=5.0, equals_sign=equals_sign)
    clock = clock_weights(6, [1, 3], amplitude=2.0, equals_sign=equals_sign)
    expected = mixture(dial, lookup_logits(6, train_index(6), amplitude=5.0), clock_logits(6, [1, 3], amplitude=2.0))
    assert torch.allclose(computed(mixture_weights(dial, table, clock)), expected, rtol=0, atol=1e-9)
    assert torch.allclose(computed(mixture_weights(1 - dial, clock, table)), expected, rtol=0, atol=1e-9)


def test_models_with_biases_and_heads_of_other_sizes_mix_too():
    generator = torch.Generator().manual_seed(0)

    def draw(p: int, d_model: int, d_head: int, heads: int, d_mlp: int) -> Weights:
        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        return Weights(
            W_E=normal(p + 1, d_model), W_pos=normal(3, d_model), W_Q=normal(heads, d_model, d_head),
            W_K=normal(heads, d_model, d_head), W_V=normal(heads, d_model, d_head), W_O=normal(heads, d_head, d_model),
            W_in=normal(d_model, d_mlp), W_out=normal(d_mlp, d_model), W_U=normal(d_model, p),
            b_Q=normal(heads, d_head), b_in=normal(d_mlp), b_O=normal(d_model),
        )  # fmt: skip

    first, second = draw(5, 6, 3, 2, 7), draw(5, 4, 2, 1, 9)
    assert torch.allclose(computed(mixture_weights(0.3, first, second)), 0.7 * computed(first) + 0.3 * computed(second))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"given 4, expected 1\.\.3"):
        clock_logits(7, [4])
    with pytest.raises(UsageError, match="distinct ones with one each"):
        clock_logits(7, [1, 1])
    with pytest.raises(UsageError, match="distinct ones with one each"):
        pizza_logits(7, [1, 2], amplitude=[1.0])
    with pytest.raises(UsageError, match="add or subtract"):
        clock_logits(7, [1], operation="multiply")
    with pytest.raises(UsageError, match="add or subtract"):
        clock_weights(7, [1], operation="multiply")
    with pytest.raises(UsageError, match="directions: given 1"):
        clock_weights(7, [1], directions=1)
    with pytest.raises(UsageError, match=r"train_index: given 25\.\.25, expected 0\.\.24"):
        lookup_logits(5, [25])
    with pytest.raises(UsageError, match=r"dial: given 1\.5"):
        mixture(1.5, torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(UsageError, match="shapes"):
        unwrap(mixture)(0.5, torch.zeros(4, 2), torch.zeros(9, 3))
    with pytest.raises(UsageError, match="p is 5 and 7"):
        mixture_weights(0.5, clock_weights(5, [1]), clock_weights(7, [1]))
    with pytest.raises(UsageError, match="attention_rate"):
        mixture_weights(0.5, clock_weights(5, [1], equals_sign=False), pizza_weights(5, [1]))
