"""Tables from which a page makes any neuron's map: put together, they are the forward pass. One neuron's map and its fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_models import BIASES, all_pairs, random_weights

from interp.errors import UsageError
from interp.harmonics.frames import addition
from interp.measures import frequency_shares
from interp.networks.hooked import HookedModel
from interp.networks.neuron_tables import NeuronTables, neuron_tables
from interp.networks.one_layer import Weights, forward
from interp.networks.pair_tables import pair_pattern
from interp.networks.scored_attention import attention_of
from interp.observing.neuron_maps import neuron_map
from interp.tasks.modular import ModularTask


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


@pytest.mark.parametrize("p", [2, 5])
@pytest.mark.parametrize("equals_sign", [True, False])
@pytest.mark.parametrize("biases", [[], BIASES])
@pytest.mark.parametrize("attention_rate", [1.0, 0.3, 0.0])
def test_attention_in_little_space_is_that_of_the_model(p, equals_sign, biases, attention_rate) -> None:
    weights = random_weights(p, equals_sign=equals_sign, biases=biases, attention_rate=attention_rate, seed=p)
    tables, heads = neuron_tables(weights), weights.n_heads
    expected = pair_pattern(weights).reshape(p, p, heads, -1)[..., :2].permute(2, 3, 0, 1).numpy()
    assert tables.compact.shape == ((heads, 2, p) if equals_sign else (heads, 1, p, p))
    assert np.allclose(tables.attention, expected, atol=1e-6)


def test_a_head_that_looks_at_one_place_alone_is_no_exception() -> None:
    scores = np.array([[[-300.0, 300.0], [-300.0, 300.0]]], dtype=np.float32)
    assert np.allclose(attention_of(scores, 1.0)[0], [[[0, 0], [1, 0.5]], [[0, 1], [0, 0.5]]])


def test_tables_know_the_non_linearity_and_do_not_hold_on_to_gradients() -> None:
    weights = random_weights(5, activation="gelu").map(lambda tensor: tensor.requires_grad_())
    tables = neuron_tables(weights)
    assert tables.activation == "gelu"
    assert isinstance(tables.read, np.ndarray)
    assert tables.read.dtype == np.float32
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("p", [2, 5, 6])
@pytest.mark.parametrize("equals_sign", [True, False])
@pytest.mark.parametrize("biases", [[], ["b_in", "b_out"], BIASES])
@pytest.mark.parametrize(("activation", "attention_rate"), [("relu", 1.0), ("gelu", 1.0), ("relu", 0.3)])
def test_a_neurons_map_is_what_its_hook_gives_for_all_pairs(p, equals_sign, biases, activation, attention_rate) -> None:
    weights = random_weights(
        p, equals_sign=equals_sign, biases=biases, activation=activation, attention_rate=attention_rate, seed=p
    )
    name = "blocks.0.mlp.hook_post"
    with torch.no_grad():
        _, hooked = HookedModel(weights).run_with_cache(all_pairs(p), names_filter=name)
    for neuron in (0, 7, weights.d_mlp - 1):
        found = neuron_map(weights, neuron, addition(p))
        assert found.activation.dtype == found.fit.dtype == np.float32
        assert np.allclose(found.activation, hooked[name][:, -1, neuron].reshape(p, p).numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply"])
def test_a_neurons_fit_leaves_what_its_share_does_not_explain(operation) -> None:
    p, harmonics = 7, ModularTask(7, operation).harmonics
    rows = torch.arange(p * p) if harmonics.rows is None else harmonics.rows
    weights, alive = random_weights(p, seed=3), 0
    for neuron in range(weights.d_mlp):
        found = neuron_map(weights, neuron, harmonics)
        activation, fit = (one.flatten()[rows].astype(float) for one in (found.activation, found.fit))
        assert np.isnan(found.fit).sum() == p * p - len(rows)
        if not found.frequency:
            assert np.isnan(found.share)
            assert np.array_equal(fit, activation)
            continue
        alive += 1
        shares = frequency_shares(torch.from_numpy(activation)[:, None], harmonics=harmonics)[:, 0]
        assert found.frequency == int(shares.argmax()) + 1
        assert found.share == pytest.approx(float(shares.max()), abs=1e-6)
        assert np.square(activation - fit).mean() / activation.var() == pytest.approx(1 - found.share, abs=1e-6)
    assert alive > 5


@pytest.mark.parametrize("neuron", [12, -1, 1.0, "1", True])
def test_a_neuron_that_there_is_not_is_refused(neuron) -> None:
    with pytest.raises(UsageError, match=rf"neuron: given {neuron!r}, expected 0\.\.11, as the model has 12 neurons"):
        neuron_map(random_weights(5), neuron, addition(5))
