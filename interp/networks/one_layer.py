"""The one-layer transformer: its named, shaped tensors, the two facts about its function that no shape tells, and that function.

Shapes follow TransformerLens: ``W_E (d_vocab, d_model)``, ``W_Q (head, d_model, d_head)``, ``W_O (head, d_head, d_model)``,
``W_in (d_model, d_mlp)``, ``W_U (d_model, classes)``; a row vector is multiplied from the left.

Only the last position is read, so queries, attention and everything after them are computed there alone. (A causal mask changes
nothing at the last position, which sees every other.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import DataError, UsageError, unknown
from interp.networks.shapes import ACTIVATIONS, KIND, SHAPES, Activation, check_names, dimensions
from interp.networks.sites import SITES, Activations


@dataclass(frozen=True, eq=False)
class Weights:
    """One model: its tensors (biases may be absent), its activation function and its attention rate.

    With 3 positions the input is ``a b =`` and ``=`` is token p; with 2 it is ``a b``. The last position is read.

    Args:
        activation: of the MLP, ``relu`` or ``gelu`` (exact, with erf).
        attention_rate: alpha in ``A' = alpha softmax(scores) + (1 - alpha) ones``; 1 is ordinary attention
            (Zhong et al. 2023, arXiv 2306.17844, section 3).

    Raises:
        DataError: if shapes do not fit together; the message names the tensor, the shape given and the one expected.
    """

    W_E: Float[Tensor, "d_vocab d_model"]
    W_pos: Float[Tensor, "n_ctx d_model"]
    W_Q: Float[Tensor, "n_heads d_model d_head"]
    W_K: Float[Tensor, "n_heads d_model d_head"]
    W_V: Float[Tensor, "n_heads d_model d_head"]
    W_O: Float[Tensor, "n_heads d_head d_model"]
    W_in: Float[Tensor, "d_model d_mlp"]
    W_out: Float[Tensor, "d_mlp d_model"]
    W_U: Float[Tensor, "d_model classes"]
    b_Q: Float[Tensor, "n_heads d_head"] | None = None
    b_K: Float[Tensor, "n_heads d_head"] | None = None
    b_V: Float[Tensor, "n_heads d_head"] | None = None
    b_O: Float[Tensor, " d_model"] | None = None
    b_in: Float[Tensor, " d_mlp"] | None = None
    b_out: Float[Tensor, " d_model"] | None = None
    b_U: Float[Tensor, " classes"] | None = None
    activation: Activation = "relu"
    attention_rate: float = 1.0

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise unknown("activation", self.activation, ACTIVATIONS)
        if not 0 <= self.attention_rate <= 1:
            raise UsageError(f"attention_rate: given {self.attention_rate!r}, expected a number in 0..1")
        for name, tensor in self.tensors().items():
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                raise DataError(
                    f"{name}: given {getattr(tensor, 'dtype', type(tensor).__name__)}, expected a floating-point tensor"
                )
        dimensions({name: tuple(tensor.shape) for name, tensor in self.tensors().items()})

    def __repr__(self) -> str:
        """Its shape in a line; the numbers are in `tensors`."""
        heads, width, _ = self.W_Q.shape
        biases = ", ".join(name for name in self.tensors() if name.startswith("b_")) or "none"
        return (
            f"Weights(p = {self.p}: d_model {width}, {heads} heads, {self.W_in.shape[1]} {self.activation} neurons, "
            f"{self.W_U.shape[1]} classes, n_ctx {self.W_pos.shape[0]}, biases {biases}, {self.n_parameters:,} parameters, "
            f"{str(self.W_E.dtype).removeprefix('torch.')})"
        )

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor present, by name, in the order of `SHAPES`."""
        named = ((name, getattr(self, name)) for name in SHAPES)
        return {name: tensor for name, tensor in named if tensor is not None}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], *, activation: Activation = "relu", attention_rate: float = 1.0
    ) -> Weights:
        """Weights from named tensors; every required name must be there and every name given must be known."""
        check_names(tensors)
        return cls(**tensors, activation=activation, attention_rate=attention_rate)

    @property
    def kind(self) -> str:
        """What sort of network it is."""
        return KIND

    def facts(self) -> dict[str, Any]:
        """Activation function and attention rate."""
        return {"activation": self.activation, "attention_rate": self.attention_rate}

    def activations(self, inputs: Int[np.ndarray, "row pos"]) -> dict[str, Float[Tensor, "row ..."]]:
        """Every value that is computed at the last position (embedding, keys and values: at every one), by TransformerLens'
        names.

        ``logits`` are those of the p residues.
        """
        found = forward(self, inputs[:, :2])
        return {**{site: getattr(found, name) for site, name in SITES.items()}, "logits": found.logits}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Weights:
        """The same function of other tensors."""
        return Weights.from_tensors(tensors, activation=self.activation, attention_rate=self.attention_rate)

    def map(self, function: Callable[[Tensor], Tensor]) -> Weights:
        """The same model with a function applied to every tensor."""
        tensors = {name: function(tensor) for name, tensor in self.tensors().items()}
        return Weights(**tensors, activation=self.activation, attention_rate=self.attention_rate)

    def clone(self) -> Weights:
        """A detached copy that later training steps do not touch."""
        return self.map(lambda tensor: tensor.detach().clone())

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Weights:
        """The same model on another device or in another precision."""
        return self.map(lambda tensor: tensor.to(device=device, dtype=dtype))

    @property
    def n_ctx(self) -> int:
        """Number of positions: 3 with ``=``, 2 without."""
        return self.W_pos.shape[0]

    @property
    def equals_sign(self) -> bool:
        """Whether the input ends with ``=``."""
        return self.n_ctx == 3

    @property
    def p(self) -> int:
        """The modulus: the number of tokens less ``=``."""
        return self.W_E.shape[0] - int(self.equals_sign)

    @property
    def classes(self) -> int:
        """Number of output classes, p or p + 1."""
        return self.W_U.shape[1]

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.W_E.shape[1]

    @property
    def n_heads(self) -> int:
        """Number of attention heads."""
        return self.W_Q.shape[0]

    @property
    def d_head(self) -> int:
        """Width of each head."""
        return self.W_Q.shape[2]

    @property
    def d_mlp(self) -> int:
        """Number of neurons."""
        return self.W_in.shape[1]

    @property
    def n_parameters(self) -> int:
        """Number of scalars in all tensors."""
        return sum(tensor.numel() for tensor in self.tensors().values())

    @property
    def residue_embedding(self) -> Float[Tensor, "p d_model"]:
        """W_E without its ``=`` row."""
        return self.W_E[: self.p]

    @property
    def W_L(self) -> Float[Tensor, "p d_mlp"]:
        """The neuron-logit map ``W_U^T W_out^T`` for the first p classes: how each neuron moves each logit."""
        return (self.W_out @ self.W_U[:, : self.p]).T


def tokens(weights: Weights, pairs: Int[Tensor, "pair 2"] | Int[np.ndarray, "pair 2"]) -> Int[Tensor, "pair pos"]:
    """The input tokens of pairs (a, b): ``a b =`` or ``a b``, as the model's positions say.

    Raises:
        UsageError: if pairs is not an (n, 2) array of residues in 0..p-1.
    """
    pairs = torch.as_tensor(pairs, device=weights.W_E.device)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.is_floating_point():
        raise UsageError(f"pairs: given {tuple(pairs.shape)} of {pairs.dtype}, expected integers of shape (n, 2)")
    if len(pairs) and not (int(pairs.min()) >= 0 and int(pairs.max()) < weights.p):
        raise UsageError(f"pairs: given residues {int(pairs.min())}..{int(pairs.max())}, expected 0..{weights.p - 1}")
    return F.pad(pairs.long(), (0, 1), value=weights.p) if weights.equals_sign else pairs.long()


def forward(weights: Weights, pairs: Int[Tensor, "pair 2"] | Int[np.ndarray, "pair 2"]) -> Activations:
    """Run the model on pairs and keep everything it computes.

    ``x_i = W_E[t_i] + W_pos[i]``; scores ``q . k_i / sqrt(d_head)``; pattern ``A' = alpha softmax(scores) + (1 - alpha)``;
    ``resid_mid = x_last + sum_heads z W_O + b_O``; ``neurons = act(resid_mid W_in + b_in)``;
    ``logits = (resid_mid + neurons W_out + b_out) W_U + b_U``. Differentiable; device and precision are those of the weights.

    Args:
        pairs: integers (n, 2), residues a and b.

    >>> from interp.synthetic import clock_weights
    >>> forward(clock_weights(7, [1, 2, 3]), torch.tensor([[3, 5]])).logits.argmax().item()
    1
    """
    return forward_embedded(weights, F.embedding(tokens(weights, pairs), weights.W_E) + weights.W_pos)


def forward_embedded(weights: Weights, embed: Float[Tensor, "pair pos d_model"]) -> Activations:
    """`forward` from the embedding on: the residual stream before attention, ``W_E[t_i] + W_pos[i]`` or anything in its place."""
    w = weights
    q = torch.einsum("nd,hde->nhe", embed[:, -1], w.W_Q) + or_zero(w.b_Q)
    k = torch.einsum("nid,hde->nihe", embed, w.W_K) + or_zero(w.b_K)
    v = torch.einsum("nid,hde->nihe", embed, w.W_V) + or_zero(w.b_V)
    scores = torch.einsum("nhe,nihe->nhi", q, k) / w.d_head**0.5
    pattern = w.attention_rate * scores.softmax(dim=-1) + (1 - w.attention_rate)
    z = torch.einsum("nhi,nihe->nhe", pattern, v)
    attn_out = torch.einsum("nhe,hed->nd", z, w.W_O) + or_zero(w.b_O)
    resid_mid = embed[:, -1] + attn_out
    neurons_pre = resid_mid @ w.W_in + or_zero(w.b_in)
    neurons = neurons_pre.relu() if w.activation == "relu" else F.gelu(neurons_pre)
    mlp_out = neurons @ w.W_out + or_zero(w.b_out)
    resid_post = resid_mid + mlp_out
    all_logits = resid_post @ w.W_U + or_zero(w.b_U)
    return Activations(
        embed=embed, q=q, k=k, v=v, scores=scores, pattern=pattern, z=z, attn_out=attn_out, resid_mid=resid_mid,
        neurons_pre=neurons_pre, neurons=neurons, mlp_out=mlp_out, resid_post=resid_post, all_logits=all_logits, p=w.p,
    )  # fmt: skip


def or_zero(bias: Tensor | None) -> Tensor | float:
    """A bias, or what its absence means."""
    return 0.0 if bias is None else bias
