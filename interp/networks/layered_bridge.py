"""TransformerLens of transformers of any depth: natively booted bridges, and the state dict of a HookedTransformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from interp.errors import DataError, UsageError
from interp.networks.layered import Layered
from interp.networks.layered_pass import EPSILON
from interp.networks.layered_shapes import is_bias

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


def layered_facts(network: Layered) -> dict[str, Any]:
    """The architecture as keyword arguments of a ``TransformerBridgeConfig``: plain values, dtype and device left out.

    Raises:
        UsageError: if TransformerLens has no such model: LayerNorm after the sums, an attention rate below 1, x^2.
    """
    layout, sizes = network.layout, network.sizes
    for what, given, allowed in (
        ("normalization", layout.normalization, ("none", "pre")),
        ("attention_rate", layout.attention_rate, (1,)),
        ("activation", layout.activation, ("relu", "gelu")),
    ):
        if given not in allowed:
            raise UsageError(
                f"{what}: given {given!r}, which TransformerLens' native models do not have, expected "
                f"{' or '.join(map(repr, allowed))}; export as safetensors, or use network.activations"
            )
    return {
        "n_layers": layout.n_layers,
        "d_model": sizes["d_model"],
        "n_heads": sizes["n_heads"],
        "d_head": sizes["d_head"],
        "d_mlp": sizes.get("d_mlp", 1),
        "n_ctx": sizes["n_ctx"],
        "d_vocab": sizes["d_vocab"],
        "d_vocab_out": sizes["classes"],
        "act_fn": layout.activation,
        "attn_only": not layout.has_neurons,
        "normalization_type": "LN" if layout.normalization == "pre" else None,
        "eps": EPSILON,
        "init_weights": False,
    }


def bridge_state(network: Layered) -> dict[str, Tensor]:
    """The tensors under a bridge's names, ``(out, in)`` as torch's linear layers have them, heads merged."""
    return {_bridge_name(name): _as_linear(name, tensor) for name, tensor in _with_own_unembedding(network).items()}


def layered_to_bridge(network: Layered) -> TransformerBridge:
    """A natively booted TransformerBridge with the same tensors and the same function.

    A bias that the network does not have is a zero there that is not trained. A tied unembedding becomes a copy.

    Raises:
        UsageError: as `layered_facts`.
    """
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge.sources.native import boot

    like, facts = network.named["embed.W_E"], layered_facts(network)
    config = TransformerBridgeConfig(**facts, dtype=like.dtype, device=str(like.device))
    with torch.random.fork_rng(devices=[]):  # its construction draws weights, all of which are replaced below
        bridge = boot(config, device=like.device, dtype=like.dtype)
    tensors = bridge_state(network)
    if "unembed.bias" in tensors:  # a constant there; ours is trained
        head = bridge.unembed.original_component
        del head.bias
        head.bias = nn.Parameter(torch.zeros_like(tensors["unembed.bias"]))
    live = bridge.state_dict(keep_vars=True)
    if surplus := tensors.keys() - live.keys():
        raise DataError(f"to_bridge: this TransformerLens does not store {sorted(surplus)}, but {sorted(live)}")
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(tensors.get(name, torch.zeros_like(tensor)))
            tensor.requires_grad_(name in tensors)
    return bridge


def layered_legacy_state(network: Layered) -> dict[str, Tensor]:
    """The state dict of a HookedTransformer: the tensors as they are named, absent biases as zeros, each layer's causal mask.

    Raises:
        UsageError: as `layered_facts`.
    """
    layered_facts(network)
    like, sizes, axes = network.named["embed.W_E"], network.sizes, network.layout.axes()
    state = _with_own_unembedding(network)
    state |= {name: like.new_zeros([sizes[axis] for axis in axes[name]]) for name in axes if name not in state and is_bias(name)}
    for number in range(network.layout.n_layers):
        state[f"blocks.{number}.attn.mask"] = torch.ones(sizes["n_ctx"], sizes["n_ctx"], dtype=torch.bool).tril()
        state[f"blocks.{number}.attn.IGNORE"] = torch.tensor(-torch.inf, dtype=like.dtype)
    return state


def _with_own_unembedding(network: Layered) -> dict[str, Tensor]:
    tied = network.layout.tied_classes
    found = network.tensors()
    return found if tied is None else {**found, "unembed.W_U": network.named["embed.W_E"][:tied].T.contiguous()}


def _bridge_name(name: str) -> str:
    module, _, own = name.rpartition(".")
    if own in ("W_E", "W_pos", "W_U", "b_U", "w", "b"):
        return f"{module}.{'bias' if own.startswith('b') else 'weight'}"
    return f"{module}.{own[2:].lower()}.{'bias' if is_bias(name) else 'weight'}"


def _as_linear(name: str, tensor: Tensor) -> Tensor:
    own = name.rpartition(".")[2]
    if own in ("W_Q", "W_K", "W_V"):
        return tensor.transpose(1, 2).flatten(0, 1)
    if own == "W_O":
        return tensor.flatten(0, 1).T
    if own in ("W_in", "W_out", "W_U"):
        return tensor.T
    return tensor.flatten() if own in ("b_Q", "b_K", "b_V") else tensor
