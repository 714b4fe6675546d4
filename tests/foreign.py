"""Files as other people's code writes them, made by hand: the layouts are spelled out here, independently of the importers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from interp.networks.one_layer import Weights, tokens


def official_state(w: Weights) -> dict[str, Tensor]:
    """A state dict of the official grokking code: weights on the left of column vectors, heads merged in W_O."""
    state = {
        "embed.W_E": w.W_E.T,
        "pos_embed.W_pos": w.W_pos,
        "blocks.0.attn.W_K": w.W_K.transpose(1, 2),
        "blocks.0.attn.W_Q": w.W_Q.transpose(1, 2),
        "blocks.0.attn.W_V": w.W_V.transpose(1, 2),
        "blocks.0.attn.W_O": torch.cat([*w.W_O]).T,
        "blocks.0.attn.mask": torch.ones(w.n_ctx, w.n_ctx).tril(),
        "blocks.0.mlp.W_in": w.W_in.T,
        "blocks.0.mlp.b_in": w.b_in,
        "blocks.0.mlp.W_out": w.W_out.T,
        "blocks.0.mlp.b_out": w.b_out,
        "unembed.W_U": w.W_U,
    }
    return {name: tensor for name, tensor in state.items() if tensor is not None}


def official_logits(state: dict[str, Tensor], token_rows: Tensor, *, rate: float | None = None) -> Tensor:
    """The function of the official code (with a rate: of the clock/pizza code) at the last position, from its own state dict."""
    columns = state["embed.W_E"][:, token_rows]  # d_model, batch, pos
    x = columns.permute(1, 2, 0) + state["pos_embed.W_pos"]
    q, k, v = (torch.einsum("ihd,bpd->biph", state[f"blocks.0.attn.W_{name}"], x) for name in "QKV")
    scores = torch.einsum("biph,biqh->biqp", k, q) / q.shape[-1] ** 0.5
    if rate is None:
        pattern = (scores - 1e10 * (1 - state["blocks.0.attn.mask"])).softmax(-1)
    else:
        pattern = scores.softmax(-1) * rate + (1 - rate)
    z = torch.einsum("biph,biqp->bqih", v, pattern).flatten(2)
    x = x + z @ state["blocks.0.attn.W_O"].T
    neurons = (x @ state["blocks.0.mlp.W_in"].T + state["blocks.0.mlp.b_in"]).relu()
    x = x + neurons @ state["blocks.0.mlp.W_out"].T + state["blocks.0.mlp.b_out"]
    return (x @ state["unembed.W_U"])[:, -1]


def legacy_state_by_hand(w: Weights) -> dict[str, Tensor]:
    """A HookedTransformer's state dict; biases that the model does not have are left out."""
    state = {
        "embed.W_E": w.W_E, "pos_embed.W_pos": w.W_pos, "unembed.W_U": w.W_U, "unembed.b_U": w.b_U,
        **{f"blocks.0.attn.{name}": getattr(w, name) for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")},
        **{f"blocks.0.mlp.{name}": getattr(w, name) for name in ("W_in", "b_in", "W_out", "b_out")},
        "blocks.0.attn.mask": torch.ones(w.n_ctx, w.n_ctx, dtype=torch.bool).tril(),
        "blocks.0.attn.IGNORE": torch.tensor(-torch.inf),
    }  # fmt: skip
    return {name: tensor for name, tensor in state.items() if tensor is not None}


def save(content: object, path: Path) -> Path:
    """Write as torch does."""
    torch.save(content, path)
    return path


def rows(weights: Weights) -> Tensor:
    """Token rows of all pairs."""
    return tokens(weights, torch.cartesian_prod(torch.arange(weights.p), torch.arange(weights.p)))
