"""TransformerLens 4 bridges: the layout of their tensors, and building one from Weights.

TransformerLens 4 has no HookedTransformer: small models are natively booted `TransformerBridge` objects, whose biases always
exist. A bias that our model does not have is a zero there that is not trained (``requires_grad`` off): nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from interp.errors import DataError, UsageError
from interp.networks.one_layer import Weights
from interp.networks.tensor_layout import Layout

if TYPE_CHECKING:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

BRIDGE = Layout(
    name="a TransformerLens 4 bridge",
    tensors={
        "embed.weight": ("W_E", "d_vocab d_model"),
        "pos_embed.weight": ("W_pos", "n_ctx d_model"),
        "blocks.0.attn.q.weight": ("W_Q", "(n_heads d_head) d_model"),
        "blocks.0.attn.k.weight": ("W_K", "(n_heads d_head) d_model"),
        "blocks.0.attn.v.weight": ("W_V", "(n_heads d_head) d_model"),
        "blocks.0.attn.o.weight": ("W_O", "d_model (n_heads d_head)"),
        "blocks.0.mlp.in.weight": ("W_in", "d_mlp d_model"),
        "blocks.0.mlp.out.weight": ("W_out", "d_model d_mlp"),
        "unembed.weight": ("W_U", "classes d_model"),
        "blocks.0.attn.q.bias": ("b_Q", "(n_heads d_head)"),
        "blocks.0.attn.k.bias": ("b_K", "(n_heads d_head)"),
        "blocks.0.attn.v.bias": ("b_V", "(n_heads d_head)"),
        "blocks.0.attn.o.bias": ("b_O", "d_model"),
        "blocks.0.mlp.in.bias": ("b_in", "d_mlp"),
        "blocks.0.mlp.out.bias": ("b_out", "d_model"),
        "unembed.bias": ("b_U", "classes"),
    },
)


def bridge_config(weights: Weights) -> TransformerBridgeConfig:
    """The architecture of a model as TransformerLens describes it."""
    from transformer_lens.config import TransformerBridgeConfig

    return TransformerBridgeConfig(**bridge_facts(weights), dtype=weights.W_E.dtype, device=str(weights.W_E.device))


def bridge_facts(weights: Weights) -> dict[str, Any]:
    """The architecture as keyword arguments of a ``TransformerBridgeConfig``: plain values, dtype and device left out."""
    return {
        "n_layers": 1,
        "d_model": weights.d_model,
        "n_heads": weights.n_heads,
        "d_head": weights.d_head,
        "d_mlp": weights.d_mlp,
        "n_ctx": weights.n_ctx,
        "d_vocab": len(weights.W_E),
        "d_vocab_out": weights.classes,
        "act_fn": weights.activation,
        "normalization_type": None,
        "init_weights": False,
    }


def to_bridge(weights: Weights) -> TransformerBridge:
    """A natively booted TransformerBridge with the same tensors and the same function.

    Raises:
        UsageError: if attention_rate is not 1, which a bridge cannot hold.
    """
    from transformer_lens.model_bridge.sources.native import boot

    if weights.attention_rate != 1:
        raise UsageError(
            f"to_bridge: given attention_rate {weights.attention_rate}, expected 1: a TransformerBridge has ordinary attention "
            "only; use HookedModel, which has the same hooks"
        )
    with torch.random.fork_rng(devices=[]):  # its construction draws weights, all of which are replaced below
        bridge = boot(bridge_config(weights), device=weights.W_E.device, dtype=weights.W_E.dtype)
    tensors = BRIDGE.write(weights)
    if weights.b_U is not None:
        # The bridge makes the output bias a constant; ours is trained.
        head = bridge.unembed.original_component
        del head.bias
        head.bias = nn.Parameter(torch.zeros_like(tensors["unembed.bias"]))
    live = bridge.state_dict(keep_vars=True)
    if live.keys() != BRIDGE.tensors.keys():
        raise DataError(f"to_bridge: this TransformerLens stores {sorted(live)}, expected {sorted(BRIDGE.tensors)}")
    with torch.no_grad():
        for name, tensor in live.items():
            tensor.copy_(tensors.get(name, torch.zeros_like(tensor)))
            tensor.requires_grad_(name in tensors)
    return bridge
