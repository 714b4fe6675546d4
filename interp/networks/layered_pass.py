"""The forward pass of a transformer of any depth, with every value by TransformerLens' name on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.networks.layered_shapes import Layout

EPSILON = 1e-5  # of every LayerNorm, as TransformerLens has it

# What is done with a value of a site: kept, replaced, or nothing.
AtSite = Callable[[str, Tensor], Tensor]
# What is done with what attention and MLP write.
Drop = Callable[[Tensor], Tensor]


def as_it_is(site: str, value: Tensor) -> Tensor:  # noqa: ARG001  as any other `AtSite`
    """Leave a value as it is."""
    return value


def activated(x: Tensor, name: str) -> Tensor:
    """The activation function of a name: relu, gelu (exact, with erf), or square, x^2."""
    return x.relu() if name == "relu" else F.gelu(x) if name == "gelu" else x.square()


class LayeredPass:
    """One pass: tensors by TransformerLens' names, and what is done at sites.

    ``x_0 = W_E[t] + W_pos``; in each layer, with N a LayerNorm or nothing, before (pre) or after (post) the sum:

        x_mid = x + attn(N x)         x_post = x_mid + mlp(N x_mid)         pre, none
        x_mid = N(x + attn(x))        x_post = N(x_mid + mlp(x_mid))        post

    ``logits = (N x) W_U + b_U`` at the last position, N there with pre only. Attention is causal unless the attention rate is
    below 1.

    Args:
        tensors: of the network.
        layout: what else its function depends on.
        at: called with every value by the name of its site; what it returns goes on. Without it, nothing but the last position
            is computed in the last layer, the only one that is read.
        drop: applied to what attention and MLP write, in training.
        only_last: leave out the other positions of the last layer with `at` too, and the values inside LayerNorms.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        layout: Layout,
        *,
        at: AtSite | None = None,
        drop: Drop | None = None,
        only_last: bool = False,
    ) -> None:
        self._tensors, self._layout = tensors, layout
        self._at, self._drop = at or as_it_is, drop or (lambda x: x)
        self._only_last = only_last or at is None
        self._is_kept = not self._only_last

    def logits(self, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row *pos classes"]:
        """Logits: of the last position alone, or, where sites are asked for, of every one."""
        at, w = self._at, self._tensors
        embed, pos = at("hook_embed", F.embedding(tokens, w["embed.W_E"])), w["pos_embed.W_pos"]
        x = embed + (at("hook_pos_embed", pos.expand(len(tokens), -1, -1)) if self._is_kept else pos)
        for number in range(self._layout.n_layers):
            x = self._layer(x, number)
        if self._layout.normalization == "pre":
            x = self._norm(x, "ln_final")
        if self._only_last:
            x = x[:, -1]
        tied = self._layout.tied_classes
        found = x @ (w["unembed.W_U"] if tied is None else w["embed.W_E"][:tied].T)
        return found + w["unembed.b_U"] if "unembed.b_U" in w else found

    def _layer(self, x: Float[Tensor, "row pos d_model"], number: int) -> Float[Tensor, "row read d_model"]:
        at, block, layout = self._at, f"blocks.{number}", self._layout
        x = at(f"{block}.hook_resid_pre", x)
        is_post = layout.normalization == "post"
        read = self._norm(x, f"{block}.ln1") if layout.normalization == "pre" else x
        is_short = self._only_last and number == layout.n_layers - 1
        written = at(f"{block}.hook_attn_out", self._attention(read, f"{block}.attn", only_last=is_short))
        x = (x[:, -1:] if is_short else x) + self._drop(written)
        if not layout.has_neurons:
            return self._after(x, block, "ln1", "post") if is_post else at(f"{block}.hook_resid_post", x)
        x = self._after(x, block, "ln1", "mid") if is_post else at(f"{block}.hook_resid_mid", x)
        read = self._norm(x, f"{block}.ln2") if layout.normalization == "pre" else x
        x = x + self._drop(at(f"{block}.hook_mlp_out", self._neurons(read, f"{block}.mlp")))
        return self._after(x, block, "ln2", "post") if is_post else at(f"{block}.hook_resid_post", x)

    def _after(self, x: Tensor, block: str, norm: str, where: str) -> Tensor:
        """A sum with the residual stream, and its LayerNorm."""
        summed = self._at(f"{block}.hook_resid_{where}", x)
        return self._at(f"{block}.hook_normalized_resid_{where}", self._norm(summed, f"{block}.{norm}"))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        w, b = self._tensors[f"{name}.w"], self._tensors[f"{name}.b"]
        if not self._is_kept:
            return F.layer_norm(x, w.shape, w, b, EPSILON)
        centred = x - x.mean(dim=-1, keepdim=True)
        scale = self._at(f"{name}.hook_scale", (centred.square().mean(dim=-1, keepdim=True) + EPSILON).sqrt())
        return self._at(f"{name}.hook_normalized", centred / scale) * w + b

    def _attention(self, x: Float[Tensor, "row pos d_model"], name: str, *, only_last: bool) -> Float[Tensor, "row read d_model"]:
        at, rate = self._at, self._layout.attention_rate
        q = at(f"{name}.hook_q", self._heads(x[:, -1:] if only_last else x, name, "Q"))
        k, v = (at(f"{name}.hook_{part.lower()}", self._heads(x, name, part)) for part in "KV")
        scores = torch.einsum("nqhe,nkhe->nhqk", q, k) / q.shape[-1] ** 0.5
        if rate == 1 and not only_last:
            future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(future, -torch.inf)
        pattern = at(f"{name}.hook_attn_scores", scores).softmax(dim=-1)
        pattern = at(f"{name}.hook_pattern", pattern if rate == 1 else rate * pattern + (1 - rate))
        z = at(f"{name}.hook_z", torch.einsum("nhqk,nkhe->nqhe", pattern, v))
        written = z.flatten(2) @ self._tensors[f"{name}.W_O"].flatten(0, 1)
        return self._plus(written, f"{name}.b_O")

    def _heads(self, x: Float[Tensor, "row pos d_model"], name: str, part: str) -> Float[Tensor, "row pos head d_head"]:
        weight = self._tensors[f"{name}.W_{part}"]
        heads = (x @ weight.transpose(0, 1).flatten(1)).unflatten(-1, (weight.shape[0], weight.shape[2]))  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return self._plus(heads, f"{name}.b_{part}")

    def _neurons(self, x: Float[Tensor, "row pos d_model"], name: str) -> Float[Tensor, "row pos d_model"]:
        pre = self._at(f"{name}.hook_pre", self._plus(x @ self._tensors[f"{name}.W_in"], f"{name}.b_in"))
        post = self._at(f"{name}.hook_post", activated(pre, self._layout.activation))
        return self._plus(post @ self._tensors[f"{name}.W_out"], f"{name}.b_out")

    def _plus(self, x: Tensor, bias: str) -> Tensor:
        return x + self._tensors[bias] if bias in self._tensors else x
