"""The official grokking code's files (Nanda et al. 2023): left-facing weights, heads merged in W_O, biases in the MLP only."""

from __future__ import annotations

from interp.networks.tensor_layout import Layout

OFFICIAL = Layout(
    name="the official grokking code",
    tensors={
        "embed.W_E": ("W_E", "d_model d_vocab"),
        "pos_embed.W_pos": ("W_pos", "n_ctx d_model"),
        "blocks.0.attn.W_Q": ("W_Q", "n_heads d_head d_model"),
        "blocks.0.attn.W_K": ("W_K", "n_heads d_head d_model"),
        "blocks.0.attn.W_V": ("W_V", "n_heads d_head d_model"),
        "blocks.0.attn.W_O": ("W_O", "d_model (n_heads d_head)"),
        "blocks.0.mlp.W_in": ("W_in", "d_mlp d_model"),
        "blocks.0.mlp.b_in": ("b_in", "d_mlp"),
        "blocks.0.mlp.W_out": ("W_out", "d_model d_mlp"),
        "blocks.0.mlp.b_out": ("b_out", "d_model"),
        "unembed.W_U": ("W_U", "d_model classes"),
    },
    masks=frozenset({"blocks.0.attn.mask"}),
)
