"""The forward pass by tables is the reference forward pass, for every architecture."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from random_models import architectures

from interp.networks.one_layer import Weights, forward
from interp.networks.pair_tables import pair_tables
from interp.tasks.modular import ModularTask


@settings(max_examples=60, deadline=None)
@given(weights=architectures())
def test_tables_are_the_reference_forward_pass(weights: Weights):
    expected, found = forward(weights, ModularTask(weights.p).pairs), pair_tables(weights)
    for name in ("pattern", "neurons", "all_logits", "logits"):
        assert torch.allclose(getattr(found, name), getattr(expected, name), rtol=1e-11, atol=1e-12), name


def test_precision_is_that_of_the_weights_and_nothing_is_tracked():
    from random_models import random_weights

    weights = random_weights(dtype=torch.float32).map(lambda tensor: tensor.requires_grad_())
    found = pair_tables(weights)
    assert found.neurons.dtype == torch.float32
    assert not found.all_logits.requires_grad


@settings(max_examples=20, deadline=None)
@given(weights=architectures())
def test_the_neurons_part_of_the_logits_is_theirs(weights: Weights):
    found = pair_tables(weights)
    assert torch.allclose(found.from_neurons, found.neurons @ weights.W_out @ weights.W_U, rtol=1e-11, atol=1e-12)


def test_the_number_of_torch_threads_is_left_as_it_was():
    from random_models import random_weights

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        pair_tables(random_weights())
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
