"""Weights: the named, shaped tensors of one model, and the two facts about its function that no shape tells.

Shapes follow TransformerLens: ``W_E (d_vocab, d_model)``, ``W_Q (head, d_model, d_head)``, ``W_O (head, d_head, d_model)``,
``W_in (d_model, d_mlp)``, ``W_U (d_model, classes)``; a row vector is multiplied from the left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import DataError, UsageError, unknown

Activation = Literal["relu", "gelu"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)

# Shape of each tensor in terms of the model's dimensions; tensors named b_ may be absent.
SHAPES: dict[str, tuple[str, ...]] = {
    "W_E": ("d_vocab", "d_model"),
    "W_pos": ("n_ctx", "d_model"),
    "W_Q": ("n_heads", "d_model", "d_head"),
    "W_K": ("n_heads", "d_model", "d_head"),
    "W_V": ("n_heads", "d_model", "d_head"),
    "W_O": ("n_heads", "d_head", "d_model"),
    "W_in": ("d_model", "d_mlp"),
    "W_out": ("d_mlp", "d_model"),
    "W_U": ("d_model", "classes"),
    "b_Q": ("n_heads", "d_head"),
    "b_K": ("n_heads", "d_head"),
    "b_V": ("n_heads", "d_head"),
    "b_O": ("d_model",),
    "b_in": ("d_mlp",),
    "b_out": ("d_model",),
    "b_U": ("classes",),
}


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
        sizes: dict[str, int] = {}
        for name, tensor in self.tensors().items():
            _check_shape(name, tensor, sizes)
        if self.n_ctx not in (2, 3):
            raise DataError(f"W_pos: given {self.n_ctx} positions, expected 2 (input a b) or 3 (input a b =)")
        if self.p < 2:
            raise DataError(
                f"W_E: given {len(self.W_E)} tokens with {self.n_ctx} positions, which leaves p = {self.p}; expected p >= 2"
            )
        if self.classes not in (self.p, self.p + 1):
            raise DataError(f"W_U: given {self.classes} classes, expected p = {self.p} or p + 1 = {self.p + 1}")

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor present, by name, in the order of `SHAPES`."""
        named = ((name, getattr(self, name)) for name in SHAPES)
        return {name: tensor for name, tensor in named if tensor is not None}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], *, activation: Activation = "relu", attention_rate: float = 1.0
    ) -> Weights:
        """Weights from named tensors; every required name must be there and every name given must be known."""
        surplus, missing = set(tensors) - set(SHAPES), REQUIRED - set(tensors)
        if surplus or missing:
            raise DataError(
                f"weights: missing tensors {sorted(missing) or 'none'}, surplus tensors {sorted(surplus) or 'none'}; "
                f"expected {', '.join(sorted(REQUIRED))} and optionally {', '.join(sorted(set(SHAPES) - REQUIRED))}"
            )
        return cls(**tensors, activation=activation, attention_rate=attention_rate)

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


REQUIRED = {field.name for field in fields(Weights) if field.name.startswith("W_")}


def _check_shape(name: str, tensor: Tensor, sizes: dict[str, int]) -> None:
    """Compare a tensor with SHAPES; `sizes` collects each dimension from the first tensor that has it."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise DataError(f"{name}: given {getattr(tensor, 'dtype', type(tensor).__name__)}, expected a floating-point tensor")
    axes = SHAPES[name]
    expected = tuple(sizes.get(axis, actual) for axis, actual in zip(axes, tensor.shape, strict=False))
    if tensor.ndim != len(axes) or tuple(tensor.shape) != expected:
        wanted = ", ".join(f"{axis}={sizes[axis]}" if axis in sizes else axis for axis in axes)
        raise DataError(f"{name}: given shape {tuple(tensor.shape)}, expected ({wanted})")
    sizes.update(zip(axes, tensor.shape, strict=True))
