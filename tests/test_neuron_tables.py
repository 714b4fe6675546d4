"""Tables from which a page makes any neuron's map: put together, they are the forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import BIASES, all_pairs, random_weights

from interp.forward_pass import forward
from interp.neuron_tables import NeuronTables, neuron_tables
from interp.weights import Weights


def put_together(tables: NeuronTables) -> np.ndarray:
    """The formula of the docstring, literally: (pair, neuron) before the non-linearity."""
    heads, _, p, neurons = tables.values.shape
    made = np.zeros((p, p, neurons))
    made += tables.base[None, :] if len(tables.base) > 1 else tables.base[0]
    for head in range(heads):
        to_a, to_b = tables.attention[head]
        made += to_a[..., None] * tables.values[head, 0][:, None] + to_b[..., None] * tables.values[head, 1][None]
        made += (tables.total - to_a - to_b)[..., None] * tables.equals[head]
    return made.reshape(p * p, neurons)


@pytest.mark.parametrize("p", [2, 5, 6])
@pytest.mark.parametrize("equals_sign", [True, False])
@pytest.mark.parametrize("biases", [[], ["b_in", "b_out"], BIASES])
@pytest.mark.parametrize("attention_rate", [1.0, 0.3, 0.0])
def test_tables_put_together_are_the_neurons_of_the_forward_pass(p, equals_sign, biases, attention_rate) -> None:
    weights: Weights = random_weights(p, equals_sign=equals_sign, biases=biases, attention_rate=attention_rate, seed=p)
    expected = forward(weights, all_pairs(p)).neurons_pre
    assert np.allclose(put_together(neuron_tables(weights)), expected.numpy(), atol=2e-5)


def test_tables_know_the_non_linearity_and_do_not_hold_on_to_gradients() -> None:
    weights = random_weights(5, activation="gelu").map(lambda tensor: tensor.requires_grad_())
    tables = neuron_tables(weights)
    assert tables.activation == "gelu"
    assert isinstance(tables.values, np.ndarray)
    assert tables.values.dtype == np.float32
    assert torch.is_grad_enabled()
