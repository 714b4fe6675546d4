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
    heads, _, p, _ = tables.attention.shape
    positions = 3 if tables.read.shape[1] == p + 4 else 2
    tokens = tables.read.shape[1] - positions
    made = np.zeros((p, p, len(tables.base)))
    made += tables.base.T[None] if tables.base.shape[1] > 1 else tables.base[:, 0]

    def value(head: int, position: int, rows: slice | int) -> np.ndarray:
        return (tables.read[head, rows] + tables.read[head, tokens + position]) @ tables.write[:, head].T

    for head in range(heads):
        to_a, to_b = tables.attention[head]
        made += to_a[..., None] * value(head, 0, slice(p))[:, None] + to_b[..., None] * value(head, 1, slice(p))[None]
        if positions == 3:
            made += (tables.total - to_a - to_b)[..., None] * value(head, 2, p)
    return made.reshape(p * p, -1)


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
    assert isinstance(tables.read, np.ndarray)
    assert tables.read.dtype == np.float32
    assert torch.is_grad_enabled()
