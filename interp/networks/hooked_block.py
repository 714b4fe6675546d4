"""The parts of `HookedModel`: its map of hook points, and the attention layer, the MLP and the block that bear them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens import FactoredMatrix
from transformer_lens.hook_points import HookPoint

from interp.errors import UsageError, unknown
from interp.networks.notebook_names import INSTEAD, refusal
from interp.networks.one_layer import or_zero

# The map of hook points, in the order they fire: name -> axes of the activation.
# ``query`` and ``key`` are positions too; ``result`` is computed only while something listens to it.
HOOKS: dict[str, tuple[str, ...]] = {
    "hook_embed": ("batch", "pos", "d_model"),
    "hook_pos_embed": ("batch", "pos", "d_model"),
    "blocks.0.hook_resid_pre": ("batch", "pos", "d_model"),
    "blocks.0.attn.hook_q": ("batch", "pos", "n_heads", "d_head"),
    "blocks.0.attn.hook_k": ("batch", "pos", "n_heads", "d_head"),
    "blocks.0.attn.hook_v": ("batch", "pos", "n_heads", "d_head"),
    "blocks.0.attn.hook_attn_scores": ("batch", "n_heads", "query", "key"),
    "blocks.0.attn.hook_pattern": ("batch", "n_heads", "query", "key"),
    "blocks.0.attn.hook_z": ("batch", "pos", "n_heads", "d_head"),
    "blocks.0.attn.hook_result": ("batch", "pos", "n_heads", "d_model"),
    "blocks.0.hook_attn_out": ("batch", "pos", "d_model"),
    "blocks.0.hook_resid_mid": ("batch", "pos", "d_model"),
    "blocks.0.mlp.hook_pre": ("batch", "pos", "d_mlp"),
    "blocks.0.mlp.hook_post": ("batch", "pos", "d_mlp"),
    "blocks.0.hook_mlp_out": ("batch", "pos", "d_model"),
    "blocks.0.hook_resid_post": ("batch", "pos", "d_model"),
}


class HookPoints(dict[str, nn.Module]):
    """Hook points by name; asking for one that does not exist says which are near."""

    def __missing__(self, name: str) -> nn.Module:
        raise unknown("hook", name, self)


class Cached(dict[str, Tensor]):
    """Activations by hook name; asking for one that is not there says why."""

    def __missing__(self, name: str) -> Tensor:
        part = next((part for part in str(name).split(".") if part in INSTEAD), None)
        if part is not None:
            raise UsageError(refusal(part))
        if name in HOOKS:
            raise UsageError(f"cache: {name} was not kept; it has {', '.join(self) or 'nothing'}")
        raise unknown("activation", name, self)


class Parameters(nn.Module):
    """Some of a model's tensors, under the names they have in `Weights`; an absent bias is None."""

    W_E: Tensor
    W_pos: Tensor
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    W_in: Tensor
    W_out: Tensor
    W_U: Tensor
    b_Q: Tensor | None
    b_K: Tensor | None
    b_V: Tensor | None
    b_O: Tensor | None
    b_in: Tensor | None
    b_out: Tensor | None
    b_U: Tensor | None

    def __init__(self, parameters: Mapping[str, nn.Parameter], *names: str) -> None:
        super().__init__()
        for name in names:
            self.register_parameter(name, parameters.get(name))


class _Attention(Parameters):
    """The attention layer, every query position attending to the key positions up to it (or to all: see HookedModel)."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, attention_rate: float) -> None:
        super().__init__(parameters, "W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")
        self.attention_rate = attention_rate
        self.hook_q, self.hook_k, self.hook_v, self.hook_z = HookPoint(), HookPoint(), HookPoint(), HookPoint()
        self.hook_attn_scores, self.hook_pattern, self.hook_result = HookPoint(), HookPoint(), HookPoint()

    @property
    def QK(self) -> FactoredMatrix:
        """``W_Q W_K^T`` of every head, factored, (head, d_model, d_model)."""
        return FactoredMatrix(self.W_Q, self.W_K.transpose(-2, -1))

    @property
    def OV(self) -> FactoredMatrix:
        """``W_V W_O`` of every head, factored, (head, d_model, d_model)."""
        return FactoredMatrix(self.W_V, self.W_O)

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        q = self.hook_q(torch.einsum("bpd,hde->bphe", x, self.W_Q) + or_zero(self.b_Q))
        k = self.hook_k(torch.einsum("bpd,hde->bphe", x, self.W_K) + or_zero(self.b_K))
        v = self.hook_v(torch.einsum("bpd,hde->bphe", x, self.W_V) + or_zero(self.b_V))
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k) / q.shape[-1] ** 0.5
        if self.attention_rate == 1:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        softmax = self.hook_attn_scores(scores).softmax(dim=-1)
        pattern = self.hook_pattern(self.attention_rate * softmax + (1 - self.attention_rate))
        z = self.hook_z(torch.einsum("bhqk,bkhe->bqhe", pattern, v))
        # One vector per head and position is d_model / d_head times as large as z: only made where it is asked for.
        if self.hook_result.has_hooks():
            attn_out = self.hook_result(torch.einsum("bphe,hed->bphd", z, self.W_O)).sum(dim=2)
        else:
            attn_out = torch.einsum("bphe,hed->bpd", z, self.W_O)
        return attn_out + or_zero(self.b_O)


class _MLP(Parameters):
    """The MLP layer."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, activation: str) -> None:
        super().__init__(parameters, "W_in", "W_out", "b_in", "b_out")
        self.activation = F.relu if activation == "relu" else F.gelu
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        pre = self.hook_pre(x @ self.W_in + or_zero(self.b_in))
        return self.hook_post(self.activation(pre)) @ self.W_out + or_zero(self.b_out)


class Block(nn.Module):
    """The residual stream's two writers, with their hook points."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, activation: str, attention_rate: float) -> None:
        super().__init__()
        self.hook_resid_pre, self.hook_attn_out = HookPoint(), HookPoint()
        self.hook_resid_mid, self.hook_mlp_out, self.hook_resid_post = HookPoint(), HookPoint(), HookPoint()
        self.attn = _Attention(parameters, attention_rate=attention_rate)
        self.mlp = _MLP(parameters, activation=activation)

    def __getattr__(self, name: str) -> Tensor | nn.Module:
        if name in INSTEAD:
            raise AttributeError(refusal(name))
        return super().__getattr__(name)

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the block."""
        resid_pre = self.hook_resid_pre(x)
        resid_mid = self.hook_resid_mid(resid_pre + self.hook_attn_out(self.attn(resid_pre)))
        return self.hook_resid_post(resid_mid + self.hook_mlp_out(self.mlp(resid_mid)))
