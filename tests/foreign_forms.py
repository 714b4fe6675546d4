"""One-layer models as code of many kinds stores them: names, orders of axes and packings, spelled out here by hand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp.networks.one_layer import Weights

State = dict[str, Tensor]


def out_in(tensor: Tensor) -> Tensor:
    """Of a matrix that multiplies row vectors from the right: as nn.Linear stores it."""
    return tensor.T


def merged(tensor: Tensor) -> Tensor:
    """Queries, keys or values of all heads in one matrix (d_model, n_heads * d_head)."""
    return torch.cat([*tensor], dim=1)


def merged_output(w: Weights) -> Tensor:
    """W_O of all heads in one matrix (n_heads * d_head, d_model)."""
    return torch.cat([*w.W_O], dim=0)


def attention_biases(w: Weights) -> dict[str, Tensor]:
    """Biases of queries, keys and values with heads merged; all of them, with zeros, if the model has any."""
    named = {"q": w.b_Q, "k": w.b_K, "v": w.b_V}
    if all(bias is None for bias in named.values()):
        return {}
    return {name: w.W_E.new_zeros(w.n_heads * w.d_head) if bias is None else bias.flatten() for name, bias in named.items()}


def present(state: dict[str, Tensor | None]) -> State:
    """What is there, each in memory of its own."""
    return {name: tensor.clone() for name, tensor in state.items() if tensor is not None}


def plain_linear(w: Weights) -> State:
    """nn.Linear for everything, q, k and v apart."""
    return present({
        "embed.weight": w.W_E, "pos_embed.weight": w.W_pos,
        **{f"attn.{name}_proj.weight": out_in(merged(W)) for name, W in {"q": w.W_Q, "k": w.W_K, "v": w.W_V}.items()},
        **{f"attn.{name}_proj.bias": bias for name, bias in attention_biases(w).items()},
        "attn.o_proj.weight": out_in(merged_output(w)), "attn.o_proj.bias": w.b_O,
        "fc1.weight": out_in(w.W_in), "fc1.bias": w.b_in, "fc2.weight": out_in(w.W_out), "fc2.bias": w.b_out,
        "unembed.weight": out_in(w.W_U), "unembed.bias": w.b_U,
    })  # fmt: skip


def plain_left(w: Weights) -> State:
    """Matrices that a row vector is multiplied with from the left, heads merged."""
    return present({
        "tok_embed": w.W_E, "position_embedding": w.W_pos,
        **{f"attention.{name}": merged(W) for name, W in {"W_q": w.W_Q, "W_k": w.W_K, "W_v": w.W_V}.items()},
        **{f"attention.b_{name}": bias for name, bias in attention_biases(w).items()},
        "attention.W_o": merged_output(w), "attention.b_o": w.b_O,
        "mlp.W1": w.W_in, "mlp.b1": w.b_in, "mlp.W2": w.W_out, "mlp.b2": w.b_out,
        "head": w.W_U, "unembed.bias": w.b_U,
    })  # fmt: skip


def multihead(w: Weights) -> State:
    """nn.MultiheadAttention, a Sequential MLP, nn.Parameter for positions with a batch axis."""
    biases = [*attention_biases(w).values()]
    return present({
        "embedding.weight": w.W_E, "pos_embedding": w.W_pos[None],
        "self_attn.in_proj_weight": torch.cat([out_in(merged(W)) for W in (w.W_Q, w.W_K, w.W_V)]),
        "self_attn.in_proj_bias": torch.cat(biases) if len(biases) == 3 else None,
        "self_attn.out_proj.weight": out_in(merged_output(w)), "self_attn.out_proj.bias": w.b_O,
        "mlp.0.weight": out_in(w.W_in), "mlp.0.bias": w.b_in, "mlp.2.weight": out_in(w.W_out), "mlp.2.bias": w.b_out,
        "output.weight": out_in(w.W_U), "output.bias": w.b_U,
    })  # fmt: skip


def nano_gpt(w: Weights) -> State:
    """nanoGPT's names, with the mask that older versions store."""
    biases = [*attention_biases(w).values()]
    block = "transformer.h.0"
    return present({
        "transformer.wte.weight": w.W_E, "transformer.wpe.weight": w.W_pos,
        f"{block}.attn.bias": torch.ones(w.n_ctx, w.n_ctx).tril()[None, None].to(w.W_E.dtype),
        f"{block}.attn.c_attn.weight": torch.cat([out_in(merged(W)) for W in (w.W_Q, w.W_K, w.W_V)]),
        f"{block}.attn.c_attn.bias": torch.cat(biases) if len(biases) == 3 else None,
        f"{block}.attn.c_proj.weight": out_in(merged_output(w)), f"{block}.attn.c_proj.bias": w.b_O,
        f"{block}.mlp.c_fc.weight": out_in(w.W_in), f"{block}.mlp.c_fc.bias": w.b_in,
        f"{block}.mlp.c_proj.weight": out_in(w.W_out), f"{block}.mlp.c_proj.bias": w.b_out,
        "lm_head.weight": out_in(w.W_U), "lm_head.bias": w.b_U,
    })  # fmt: skip


def conv1d(w: Weights) -> State:
    """The Conv1D of the transformers library in the block, (in, out), and nn.Linear for the head."""
    state = nano_gpt(w)
    block = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return {name: tensor.T.clone() if name.endswith(block) else tensor for name, tensor in state.items()}


def interleaved(w: Weights) -> State:
    """q, k and v of each head side by side, as GPT-NeoX stores them."""
    state = {name: tensor for name, tensor in nano_gpt(w).items() if "c_attn" not in name}
    parts = torch.stack([w.W_Q, w.W_K, w.W_V], dim=1)  # head, qkv, d_model, d_head
    state["transformer.h.0.attn.query_key_value.weight"] = parts.transpose(2, 3).reshape(-1, w.d_model).clone()
    if biases := [bias.view(w.n_heads, w.d_head) for bias in attention_biases(w).values()]:
        state["transformer.h.0.attn.query_key_value.bias"] = torch.stack(biases, dim=1).flatten()
    return state


def flax(w: Weights) -> State:
    """flax: kernels (in, out), heads an axis of their own, names joined by dots."""
    named = {"query": (w.W_Q, w.b_Q), "key": (w.W_K, w.b_K), "value": (w.W_V, w.b_V)}
    return present({
        "params.embed.embedding": w.W_E, "params.pos_embed.embedding": w.W_pos,
        **{f"params.attn.{name}.kernel": W.permute(1, 0, 2) for name, (W, _) in named.items()},
        **{f"params.attn.{name}.bias": bias for name, (_, bias) in named.items()},
        "params.attn.out.kernel": w.W_O, "params.attn.out.bias": w.b_O,
        "params.mlp.Dense_0.kernel": w.W_in, "params.mlp.Dense_0.bias": w.b_in,
        "params.mlp.Dense_1.kernel": w.W_out, "params.mlp.Dense_1.bias": w.b_out,
        "params.unembed.kernel": w.W_U, "params.unembed.bias": w.b_U,
    })  # fmt: skip


def our_names(w: Weights) -> State:
    """Our names and axes, without any module."""
    return present({**w.tensors()})


def per_part(w: Weights) -> State:
    """q, k and v along a first axis of their own; names of a small script."""
    biases = [*attention_biases(w).values()]
    return present({
        "wte.weight": w.W_E, "wpe.weight": w.W_pos,
        "attn.qkv": torch.stack([merged(W) for W in (w.W_Q, w.W_K, w.W_V)]),
        "attn.qkv_bias": torch.stack(biases) if len(biases) == 3 else None,
        "attn.proj.weight": merged_output(w), "attn.proj.bias": w.b_O,
        "ffn.up.weight": w.W_in, "ffn.up.bias": w.b_in, "ffn.down.weight": w.W_out, "ffn.down.bias": w.b_out,
        "readout.weight": w.W_U, "readout.bias": w.b_U,
    })  # fmt: skip


def one_head_each(w: Weights) -> State:
    """A module for each head."""
    state = {name: tensor for name, tensor in plain_linear(w).items() if not name.startswith(("attn.q", "attn.k", "attn.v"))}
    named = {"query": (w.W_Q, w.b_Q), "key": (w.W_K, w.b_K), "value": (w.W_V, w.b_V)}
    for head in range(w.n_heads):
        for name, (matrix, bias) in named.items():
            state[f"attn.heads.{head}.{name}.weight"] = matrix[head].T.clone()
            if bias is not None:
                state[f"attn.heads.{head}.{name}.bias"] = bias[head].clone()
    return state


FORMS: dict[str, Callable[[Weights], State]] = {
    "nn.Linear, q k v apart": plain_linear,
    "left factors, q k v apart": plain_left,
    "nn.MultiheadAttention": multihead,
    "nanoGPT": nano_gpt,
    "Conv1D": conv1d,
    "GPT-NeoX": interleaved,
    "flax": flax,
    "our own names": our_names,
    "q k v stacked": per_part,
    "one module for each head": one_head_each,
}
