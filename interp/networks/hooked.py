"""HookedModel: the function of `interp.forward` at every position, with TransformerLens' hooks, names and shapes.

This is the only module, besides interop/, that loads transformer_lens (which takes seconds to import).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache, HookedRootModule
from transformer_lens.hook_points import HookPoint

from interp.errors import UsageError, unknown
from interp.networks.one_layer import Weights, or_zero
from interp.networks.one_layer import tokens as tokens_of_pairs

if TYPE_CHECKING:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

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


class HookedModel(HookedRootModule):
    """A model whose every intermediate value can be read, replaced and differentiated, as in TransformerLens.

    ``run_with_cache``, ``run_with_hooks``, ``add_hook`` and the context ``hooks()`` work as they do there; names and axes of the
    hook points are in `HOOKS`. Called on pairs (n, 2), or on full token rows (n, n_ctx), it returns the logits at ALL positions,
    (n, n_ctx, classes), as TransformerLens does; the answer is at the last, and there the logits equal `interp.forward`'s.

    Attention is causal as in TransformerLens (scores of masked positions are -inf) unless ``attention_rate < 1``: those models
    (Zhong et al. 2023) have no mask. The parameters are copies under TransformerLens' names (``blocks.0.attn.W_Q``); ``weights``
    gives them back exactly, live, so that gradients reach them.

    >>> from interp.synthetic import clock_weights
    >>> model = HookedModel(clock_weights(7, [1, 2, 3]))
    >>> logits, cache = model.run_with_cache(torch.tensor([[3, 5]]))
    >>> logits[0, -1, :7].argmax().item(), tuple(cache["pattern", 0].shape)
    (1, (1, 2, 3, 3))
    """

    blocks: nn.ModuleList

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.activation = weights.activation
        self.attention_rate = weights.attention_rate
        parameters = {name: nn.Parameter(tensor.detach().clone()) for name, tensor in weights.tensors().items()}
        self.embed = _Parameters(parameters, "W_E")
        self.hook_embed = HookPoint()
        self.pos_embed = _Parameters(parameters, "W_pos")
        self.hook_pos_embed = HookPoint()
        block = _Block(parameters, activation=weights.activation, attention_rate=weights.attention_rate)
        self.blocks = nn.ModuleList([block])
        self.unembed = _Parameters(parameters, "W_U", "b_U")
        self.setup()  # type: ignore[no-untyped-call]  # TransformerLens leaves it untyped
        # TransformerLens looks names up here: hook points only, and an error that helps, for add_hook, hooks and run_with_hooks.
        self.mod_dict = _HookPoints((name, self.hook_dict[name]) for name in HOOKS)

    @property
    def weights(self) -> Weights:
        """The model's `Weights`; its tensors are this model's parameters, not copies."""
        named = {name.split(".")[-1]: parameter for name, parameter in self.named_parameters()}
        return Weights.from_tensors(named, activation=self.activation, attention_rate=self.attention_rate)

    @property
    def cfg(self) -> TransformerBridgeConfig:
        """The architecture as TransformerLens describes it, which its `ActivationCache` asks for."""
        from interp.networks.bridge import bridge_config

        return bridge_config(self.weights)

    @property
    def hook_names(self) -> tuple[str, ...]:
        """Every hook point, in the order they fire; `HOOKS` has their axes."""
        return tuple(HOOKS)

    def to_bridge(self) -> TransformerBridge:
        """A TransformerLens 4 `TransformerBridge` with the same weights and the same function.

        Raises:
            UsageError: if a bridge cannot hold the model (attention_rate below 1).
        """
        from interp.networks.bridge import to_bridge

        return to_bridge(self.weights)

    def forward(
        self, pairs: Int[Tensor, "batch two_or_pos"] | Int[np.ndarray, "batch two_or_pos"]
    ) -> Float[Tensor, "batch pos classes"]:
        """Logits at every position. Pairs (n, 2) get their ``=`` appended; rows of n_ctx tokens are taken as they are.

        Raises:
            UsageError: if the input is neither, or a token is out of range.
        """
        tokens = self._tokens(pairs)
        embed = self.hook_embed(F.embedding(tokens, self.embed.W_E))
        pos_embed = self.hook_pos_embed(self.pos_embed.W_pos.repeat(len(tokens), 1, 1))
        resid_post = self.blocks[0](embed + pos_embed)
        return resid_post @ self.unembed.W_U + or_zero(self.unembed.b_U)

    def _tokens(self, pairs: Tensor | np.ndarray) -> Int[Tensor, "batch pos"]:
        given, (d_vocab, _), n_ctx = torch.as_tensor(pairs), self.embed.W_E.shape, len(self.pos_embed.W_pos)
        if given.ndim != 2 or given.shape[1] not in (2, n_ctx) or given.is_floating_point():
            raise UsageError(
                f"input: given {tuple(given.shape)} of {given.dtype}, expected integers: pairs (n, 2) or tokens (n, {n_ctx})"
            )
        if given.shape[1] == 2:
            return tokens_of_pairs(self.weights, given.long())
        if len(given) and not (int(given.min()) >= 0 and int(given.max()) < d_vocab):
            raise UsageError(f"tokens: given {int(given.min())}..{int(given.max())}, expected 0..{d_vocab - 1}")
        return given.to(self.embed.W_E.device).long()

    def run_with_cache(  # type: ignore[override] # explicit arguments instead of *args and **kwargs
        self,
        pairs: Int[Tensor, "batch two_or_pos"] | Int[np.ndarray, "batch two_or_pos"],
        *,
        names_filter: str | Sequence[str] | Callable[[str], bool] | None = None,
        device: torch.device | str | None = None,
    ) -> tuple[Float[Tensor, "batch pos classes"], ActivationCache]:
        """Logits and the cache of detached activations; ``cache["pattern", 0]`` and full hook names both work.

        For gradients with respect to activations keep them yourself in a hook, or use ``hooks(bwd_hooks=...)``.

        Args:
            names_filter: one hook name, several, or a function of the name that says which to keep; None keeps all.
            device: where to keep the activations; None leaves them where they are.

        Raises:
            UsageError: for a hook name that does not exist; the message has the nearest one.
        """
        if names_filter is not None and not callable(names_filter):
            names_filter = [names_filter] if isinstance(names_filter, str) else list(names_filter)
            for name in names_filter:
                _ = self.mod_dict[name]  # a name that does not exist would keep nothing, silently
        where = torch.device(device) if device is not None else None
        logits, cache = super().run_with_cache(pairs, names_filter=names_filter, device=where)
        return logits, ActivationCache(cache, self)


class _HookPoints(dict[str, nn.Module]):
    """Hook points by name; asking for one that does not exist says which are near."""

    def __missing__(self, name: str) -> nn.Module:
        raise unknown("hook", name, self)


class _Parameters(nn.Module):
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


class _Attention(_Parameters):
    """The attention layer, every query position attending to the key positions up to it (or to all: see HookedModel)."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, attention_rate: float) -> None:
        super().__init__(parameters, "W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")
        self.attention_rate = attention_rate
        self.hook_q, self.hook_k, self.hook_v, self.hook_z = HookPoint(), HookPoint(), HookPoint(), HookPoint()
        self.hook_attn_scores, self.hook_pattern, self.hook_result = HookPoint(), HookPoint(), HookPoint()

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


class _MLP(_Parameters):
    """The MLP layer."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, activation: str) -> None:
        super().__init__(parameters, "W_in", "W_out", "b_in", "b_out")
        self.activation = F.relu if activation == "relu" else F.gelu
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        pre = self.hook_pre(x @ self.W_in + or_zero(self.b_in))
        return self.hook_post(self.activation(pre)) @ self.W_out + or_zero(self.b_out)


class _Block(nn.Module):
    """The residual stream's two writers, with their hook points."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, activation: str, attention_rate: float) -> None:
        super().__init__()
        self.hook_resid_pre, self.hook_attn_out = HookPoint(), HookPoint()
        self.hook_resid_mid, self.hook_mlp_out, self.hook_resid_post = HookPoint(), HookPoint(), HookPoint()
        self.attn = _Attention(parameters, attention_rate=attention_rate)
        self.mlp = _MLP(parameters, activation=activation)

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        resid_pre = self.hook_resid_pre(x)
        resid_mid = self.hook_resid_mid(resid_pre + self.hook_attn_out(self.attn(resid_pre)))
        return self.hook_resid_post(resid_mid + self.hook_mlp_out(self.mlp(resid_mid)))
