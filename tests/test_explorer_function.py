"""The network's function as the page has it, in JavaScript, and as the page's rounding error is measured: the forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from exploring import neurons_of
from playwright.sync_api import Browser, Page
from random_models import BIASES, all_pairs, random_weights
from scipy.special import erf

from interp import reporting
from interp.networks.neuron_tables import neuron_tables
from interp.networks.one_layer import Weights, forward
from interp.reporting.explorer import _NON_LINEARITIES, Explorer, activations

ACTIVATIONS = get_args(get_type_hints(Weights.from_tensors)["activation"])
SCRIPT = Path(reporting.__file__).parent / "page" / "explorer.js"
# The page's blocks, reduced to plain arrays: a flat one for each table, and rows of the attention maps.
MAP = """({ tables, flat, shapes, maps, neuron }) => {
    const blocks = {
        shape: (number) => shapes[number],
        mix: (number, at, from, count) => Float32Array.from(flat[number].slice(from, from + count)),
        at: (number) => maps[number].map((row) => Float32Array.from(row)),
    };
    return [...activation(tables, 0, neuron, blocks)];
}"""


@pytest.fixture(scope="module")
def scripted(browser: Browser) -> Page:
    """An empty page with the explorer's functions."""
    page = browser.new_page()
    page.add_script_tag(content=f"class Panel {{}}\n{SCRIPT.read_text(encoding='utf-8')}")
    return page


def in_the_page(page: Page, weights: Weights, neuron: int) -> np.ndarray:
    """A neuron over all pairs, computed by the page's script from the model's tables."""
    found, p = neuron_tables(weights), weights.p
    arrays = {name: getattr(found, name)[None] for name in ("read", "write", "base")}
    # Without `=` the page has attention to a alone: what is left goes to b.
    heads = [[head[0], head[1]] if weights.equals_sign else [head[0]] for head in found.attention.tolist()]
    maps = [one for head in heads for one in head]
    places = iter(range(len(maps)))
    tables = {
        "p": p, "heads": weights.n_heads, "equals": weights.equals_sign, "total": found.total, "activation": found.activation,
        "read": 0, "write": 1, "base": 2, "attention": [[next(places) for _ in head] for head in heads],
    }  # fmt: skip
    given = {
        "tables": tables, "flat": [one.ravel().tolist() for one in arrays.values()],
        "shapes": [list(one.shape) for one in arrays.values()], "maps": maps, "neuron": neuron,
    }  # fmt: skip
    return np.array(page.evaluate(MAP, given))


def model(activation: str, equals_sign: bool, attention_rate: float) -> Weights:
    return random_weights(
        6, activation=activation, equals_sign=equals_sign, attention_rate=attention_rate, biases=BIASES, seed=4
    )  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("attention_rate", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("equals_sign", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_page_computes_what_the_forward_pass_computes(scripted, activation, equals_sign, attention_rate) -> None:
    weights = model(activation, equals_sign, attention_rate)
    expected = forward(weights, all_pairs(6)).neurons.numpy()
    assert expected.std(axis=0).max() > 0.1
    for neuron in range(weights.d_mlp):
        assert np.allclose(in_the_page(scripted, weights, neuron), expected[:, neuron], rtol=1e-4, atol=2e-5)


@pytest.mark.browser
def test_the_page_knows_the_normal_distribution(scripted) -> None:
    x = np.linspace(-8, 8, 400)
    found = np.array(scripted.evaluate("(xs) => xs.map(gelu)", x.tolist()))
    assert np.abs(found - 0.5 * x * (1 + erf(x / 2**0.5))).max() < 1e-6


@pytest.mark.parametrize("attention_rate", [1.0, 0.4])
@pytest.mark.parametrize("equals_sign", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_rounding_error_is_that_of_the_models_own_activation(activation, equals_sign, attention_rate) -> None:
    weights = model(activation, equals_sign, attention_rate)
    neurons = neurons_of([0], [neuron_tables(weights)])
    made = activations(
        neurons, neurons.read[0], neurons.write[0], base=neurons.base[0], attention=neurons.attention[0]
    )  # fmt: skip
    expected = forward(weights, all_pairs(6)).neurons.reshape(6, 6, -1).numpy()
    assert np.allclose(made, expected, rtol=1e-4, atol=2e-5)


def test_another_activation_has_another_rounding_error() -> None:
    """Half of all that is rounded below zero does not show after a rectification, and does after a gelu."""
    errors = {}
    for activation in ACTIVATIONS:
        tables = [neuron_tables(random_weights(6, activation=activation, seed=seed)) for seed in range(3)]
        errors[activation] = Explorer(neurons_of([0, 1, 2], tables)).errors()
    assert len(set(errors.values())) == len(ACTIVATIONS)
    assert _NON_LINEARITIES.keys() == set(ACTIVATIONS)


def test_gelu_here_is_torchs() -> None:
    x = torch.linspace(-8, 8, 101, dtype=torch.float64)
    assert np.allclose(_NON_LINEARITIES["gelu"](x.numpy()), torch.nn.functional.gelu(x).numpy(), atol=1e-12)
