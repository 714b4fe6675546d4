"""Hooks on transformers of any depth: what they read, what they replace, what reaches the parameters."""

from __future__ import annotations

import pytest
import torch
from other_networks import MODELS, SMALL, small
from test_layered import network_of

from interp import HookedLayered
from interp.errors import UsageError
from interp.networks.initial import initial_weights

INPUTS = torch.from_numpy(SMALL.task.inputs)


@pytest.mark.parametrize("name", ["three layers, pre", "two layers, post", "attention only", "tied"])
def test_a_cache_has_what_the_network_computes(name: str) -> None:
    network = network_of(name)
    model = HookedLayered(network)  # type: ignore[arg-type]
    logits, cache = model.run_with_cache(INPUTS)
    found = network.activations(SMALL.task.inputs)
    assert torch.equal(logits[:, -1], found.pop("logits"))
    assert list(cache) == list(found) == list(model.hook_names)
    assert all(torch.equal(cache[site], value) for site, value in found.items())


def test_what_a_hook_replaces_goes_on() -> None:
    model = HookedLayered(network_of("two layers, post"))  # type: ignore[arg-type]
    plain = model(INPUTS)
    without = model.run_with_hooks(INPUTS, fwd_hooks=[("blocks.1.hook_mlp_out", lambda value, hook: torch.zeros_like(value))])
    assert not torch.allclose(plain, without)
    with torch.no_grad():
        model.network.named["blocks.1.mlp.W_out"].zero_()
        model.network.named["blocks.1.mlp.b_out"].zero_()
    assert torch.allclose(model(INPUTS), without)


def test_gradients_reach_the_parameters() -> None:
    model = HookedLayered(network_of("three layers, pre"))  # type: ignore[arg-type]
    model(INPUTS)[:, -1].square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(
        gradient is not None and bool(gradient.any()) for name, gradient in gradients.items() if name != "blocks.0.attn.b_K"
    )


def test_a_bridge_has_the_same_function() -> None:
    model = HookedLayered(network_of("three layers, pre"))  # type: ignore[arg-type]
    assert torch.allclose(model.to_bridge()(INPUTS), model(INPUTS), atol=1e-5)


def test_misspelt_sites_and_other_networks_are_refused() -> None:
    model = HookedLayered(network_of("two layers"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"unknown hook 'blocks\.1\.hook_mlp'"):
        model.run_with_hooks(INPUTS, fwd_hooks=[("blocks.1.hook_mlp", lambda value, hook: value)])
    for other in (initial_weights(SMALL), network_of("mlp")):
        with pytest.raises(UsageError, match=r"HookedLayered: given a network of kind '(one-layer|two-embedding-mlp)'"):
            HookedLayered(other)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected integers of shape"):
        model(INPUTS[:, :2])
    assert small(MODELS["two layers"]).unusual == "2 layers"
