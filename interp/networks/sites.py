"""Activations: every value that the one-layer transformer computes on its way, by site."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

# By the names of TransformerLens' hook points.
SITES = {
    "blocks.0.hook_resid_pre": "embed",
    "blocks.0.attn.hook_q": "q",
    "blocks.0.attn.hook_k": "k",
    "blocks.0.attn.hook_v": "v",
    "blocks.0.attn.hook_attn_scores": "scores",
    "blocks.0.attn.hook_pattern": "pattern",
    "blocks.0.attn.hook_z": "z",
    "blocks.0.hook_attn_out": "attn_out",
    "blocks.0.hook_resid_mid": "resid_mid",
    "blocks.0.mlp.hook_pre": "neurons_pre",
    "blocks.0.mlp.hook_post": "neurons",
    "blocks.0.hook_mlp_out": "mlp_out",
    "blocks.0.hook_resid_post": "resid_post",
}


@dataclass(frozen=True, eq=False)
class Activations:
    """Every intermediate value at the last position (``embed``, ``k`` and ``v``: at every position), one row per pair."""

    embed: Float[Tensor, "pair pos d_model"]
    q: Float[Tensor, "pair head d_head"]
    k: Float[Tensor, "pair pos head d_head"]
    v: Float[Tensor, "pair pos head d_head"]
    scores: Float[Tensor, "pair head pos"]
    pattern: Float[Tensor, "pair head pos"]
    z: Float[Tensor, "pair head d_head"]
    attn_out: Float[Tensor, "pair d_model"]
    resid_mid: Float[Tensor, "pair d_model"]
    neurons_pre: Float[Tensor, "pair d_mlp"]
    neurons: Float[Tensor, "pair d_mlp"]
    mlp_out: Float[Tensor, "pair d_model"]
    resid_post: Float[Tensor, "pair d_model"]
    all_logits: Float[Tensor, "pair classes"]
    p: int

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(getattr(self, name).shape)}" for name in (*SITES.values(), "all_logits"))
        return f"Activations({shapes})"

    @property
    def logits(self) -> Float[Tensor, "pair p"]:
        """The logits of the p residues: what every analysis uses. `all_logits` has the ``=`` class too, where there is one."""
        return self.all_logits[:, : self.p]
