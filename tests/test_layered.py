"""Networks of other depths and kinds: every site against TransformerLens and torch, formulas by hand, bad tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from other_networks import MODELS, SMALL, small
from torch import Tensor, nn

from interp.config.run_config import ModelConfig
from interp.errors import DataError, UsageError
from interp.networks.initial import Trained, initial_network, initial_weights
from interp.networks.initial_shapes import initial_shapes, n_parameters
from interp.networks.layered import Layered
from interp.networks.layered_bridge import layered_legacy_state, layered_to_bridge
from interp.networks.layered_shapes import Layout
from interp.networks.one_layer import forward
from interp.networks.two_embeddings import TwoEmbeddings
from interp.store.tensors import pack_network, unpack_network

INPUTS = SMALL.task.inputs


def stirred(network: Trained) -> Trained:
    """The network with noise on every tensor: biases and LayerNorms begin with values that hide mistakes."""
    generator = torch.Generator().manual_seed(5)
    named = {name: tensor + 0.2 * torch.randn(tensor.shape, generator=generator) for name, tensor in network.tensors().items()}
    return network.with_tensors(named)


def network_of(name: str) -> Trained:
    return stirred(initial_network(small(MODELS[name])))


_THEIRS = {("relu", 1), ("gelu", 1)}
BRIDGED = [
    name for name, model in MODELS.items()
    if model.normalization != "post" and model.architecture != "mlp" and (model.activation, model.attention_rate) in _THEIRS
]  # fmt: skip


@pytest.mark.parametrize("name", BRIDGED)
def test_every_site_is_that_of_a_transformer_lens_bridge(name: str) -> None:
    network = network_of(name)
    assert isinstance(network, Layered)
    logits, cache = layered_to_bridge(network).run_with_cache(torch.from_numpy(INPUTS))
    found = network.activations(INPUTS)
    assert torch.allclose(found["logits"], logits[:, -1], atol=1e-5)
    # TransformerLens' native hook_attn_scores holds the pattern.
    sites = [site for site in found if site != "logits" and not site.endswith("attn_scores")]
    assert len(sites) >= 9 * network.layout.n_layers
    for site in sites:
        assert torch.allclose(found[site], cache[site], atol=1e-5), site


def test_real_scores_give_the_pattern() -> None:
    found = network_of("two layers").activations(INPUTS)
    scores, pattern = (found[f"blocks.1.attn.{name}"] for name in ("hook_attn_scores", "hook_pattern"))
    assert torch.equal(scores.softmax(-1), pattern)
    assert bool((pattern.triu(1) == 0).all())


def test_layer_norm_after_the_sums_is_torchs_encoder_layer() -> None:
    network = network_of("two layers, post")
    found, w, heads = network.activations(INPUTS), network.tensors(), 2
    x = found["blocks.0.hook_resid_pre"]
    for number in range(2):
        layer = nn.TransformerEncoderLayer(12, heads, 10, dropout=0.0, batch_first=True, norm_first=False).eval()
        part = {name.removeprefix(f"blocks.{number}."): tensor for name, tensor in w.items()}
        merged = {one: part[f"attn.W_{one}"].transpose(1, 2).flatten(0, 1) for one in "QKV"}
        layer.load_state_dict({
            "self_attn.in_proj_weight": torch.cat([merged[one] for one in "QKV"]),
            "self_attn.in_proj_bias": torch.cat([part[f"attn.b_{one}"].flatten() for one in "QKV"]),
            "self_attn.out_proj.weight": part["attn.W_O"].flatten(0, 1).T, "self_attn.out_proj.bias": part["attn.b_O"],
            "linear1.weight": part["mlp.W_in"].T, "linear1.bias": part["mlp.b_in"],
            "linear2.weight": part["mlp.W_out"].T, "linear2.bias": part["mlp.b_out"],
            "norm1.weight": part["ln1.w"], "norm1.bias": part["ln1.b"],
            "norm2.weight": part["ln2.w"], "norm2.bias": part["ln2.b"],
        })  # fmt: skip
        with torch.no_grad():
            x = layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(3))
        assert torch.allclose(found[f"blocks.{number}.hook_normalized_resid_post"], x, atol=1e-5)
    assert torch.allclose(found["logits"], x[:, -1] @ w["unembed.W_U"] + w["unembed.b_U"], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_training_computes_the_same_logits_with_less(name: str) -> None:
    network = network_of(name)
    full = network.activations(INPUTS)["logits"]
    assert torch.allclose(network.logits(torch.from_numpy(INPUTS)), full, atol=1e-5)
    assert full.shape == (49, 7)


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_one_layer_is_the_one_layer_transformer(rate: float) -> None:
    config = replace(SMALL, model=replace(SMALL.model, biases="all", attention_rate=rate))
    weights = stirred(initial_weights(config))
    logits = Layered.of(weights).logits(torch.from_numpy(INPUTS))
    assert torch.allclose(logits, forward(weights, SMALL.task.pairs).all_logits, atol=1e-5)


def test_a_tied_unembedding_is_the_embedding() -> None:
    network = network_of("tied")
    found, w = network.activations(INPUTS), network.tensors()
    assert "unembed.W_U" not in w
    last = found["blocks.1.hook_resid_post"][:, -1]
    assert torch.allclose(found["logits"], last @ w["embed.W_E"][:7].T + w["unembed.b_U"], atol=1e-6)


@pytest.mark.parametrize(("name", "function"), [("mlp", torch.square), ("mlp, tied", torch.relu)])
def test_an_mlp_is_its_formula(name: str, function: object) -> None:
    network = network_of(name)
    assert isinstance(network, TwoEmbeddings)
    w, (a, b) = network.tensors(), torch.from_numpy(INPUTS[:, :2]).T
    first, second = (w["embed.W_E"],) * 2 if network.is_tied else (w["embed_a.W_E"], w["embed_b.W_E"])
    pre = F.one_hot(a, 7).float() @ first + F.one_hot(b, 7).float() @ second + w["mlp.b_in"]
    neurons: Tensor = function(pre)  # type: ignore[operator]
    expected = neurons @ w["unembed.W_U"] + w.get("unembed.b_U", torch.zeros(7))
    found = network.activations(INPUTS)
    assert torch.allclose(found["logits"], expected, atol=1e-5)
    assert torch.allclose(found["mlp.hook_post"], neurons, atol=1e-6)
    # Tied embeddings cannot tell a + b from b + a.
    swapped = network.activations(INPUTS[:, [1, 0, 2]])["logits"]
    assert torch.allclose(swapped, found["logits"], atol=1e-6) == network.is_tied


@pytest.mark.parametrize("name", MODELS)
def test_shapes_are_those_that_the_configuration_says(name: str) -> None:
    config = small(MODELS[name])
    network = initial_network(config)
    assert {one: tuple(tensor.shape) for one, tensor in network.tensors().items()} == initial_shapes(config)
    assert network.n_parameters == n_parameters(config)
    again = initial_network(config).tensors()
    assert all(torch.equal(tensor, again[one]) for one, tensor in network.tensors().items())
    other = initial_network(replace(config, seed=1)).tensors()
    assert all(not torch.equal(tensor, other[one]) for one, tensor in network.tensors().items() if ".W_" in one)


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_gives_the_network_back(name: str) -> None:
    network = network_of(name)
    step, found = unpack_network(pack_network(7, network), where="here")
    assert (step, found.kind, found.facts()) == (7, network.kind, network.facts())
    assert torch.equal(found.activations(INPUTS)["logits"], network.activations(INPUTS)["logits"])


def test_the_legacy_state_has_every_tensor_under_its_name() -> None:
    network = network_of("three layers, pre")
    state = layered_legacy_state(network)  # type: ignore[arg-type]
    assert all(torch.equal(state[name], tensor) for name, tensor in network.tensors().items())
    assert state["blocks.2.attn.mask"].tolist() == np.tri(3, dtype=bool).tolist()
    bare = layered_legacy_state(network_of("attention only"))  # type: ignore[arg-type]
    assert bare["blocks.1.attn.b_O"].abs().sum() == 0


@pytest.mark.parametrize(
    ("name", "what"),
    [("two layers, post", "normalization"), ("square", "activation"), ("constant attention", "attention_rate")],
)
def test_what_transformer_lens_does_not_have_is_refused(name: str, what: str) -> None:
    with pytest.raises(UsageError, match=rf"{what}: given .*, which TransformerLens' native models do not have"):
        layered_to_bridge(network_of(name))  # type: ignore[arg-type]


def test_tensors_that_do_not_fit_are_named() -> None:
    network = network_of("two layers")
    named = network.tensors()
    with pytest.raises(DataError, match=r"missing tensors \['blocks.1.attn.W_Q'\], surplus tensors \['x'\]"):
        network.with_tensors({"x" if name == "blocks.1.attn.W_Q" else name: tensor for name, tensor in named.items()})
    with pytest.raises(DataError, match=r"blocks\.1\.mlp\.W_in: given shape \(12, 9\), expected \(d_model=12, d_mlp=10\)"):
        network.with_tensors({**named, "blocks.1.mlp.W_in": named["blocks.1.mlp.W_in"][:, 1:]})
    with pytest.raises(DataError, match="facts of a layered-transformer"):
        Layout.read({"n_layers": 2, "depth": 3})
    with pytest.raises(DataError, match="facts of a two-embedding-mlp"):
        TwoEmbeddings.read(network_of("mlp").tensors(), {})
    with pytest.raises(DataError, match="activation: given 'tanh'"):
        TwoEmbeddings.read(network_of("mlp").tensors(), {"activation": "tanh"})


def test_inputs_that_are_none_are_refused() -> None:
    for name, inputs in (("two layers", INPUTS[:, :2]), ("mlp", INPUTS[:, :1])):
        with pytest.raises(UsageError, match="expected integers of shape"):
            network_of(name).activations(inputs)
    with pytest.raises(UsageError, match=r"given tokens 0\.\.8, expected 0\.\.7"):
        network_of("two layers").activations(np.array([[0, 8, 7]]))


def test_initial_weights_are_of_one_layer_alone() -> None:
    with pytest.raises(UsageError, match="given 2 layers, expected the one-layer transformer"):
        initial_weights(small(ModelConfig(n_layers=2)))
