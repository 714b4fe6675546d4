"""ModelConfig: which network is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar, Literal, get_args

from interp.config.field_checks import integer, number, one_of, refuse, truth, without_negative_zeros
from interp.errors import UsageError

Architecture = Literal["transformer", "attention-only", "mlp"]
Normalization = Literal["none", "pre", "post"]
ActivationName = Literal["relu", "gelu", "square"]
Biases = Literal["none", "mlp", "all"]
Init = Literal["nanda", "transformer-lens"]

MOST_LAYERS = 4
# What an MLP of two embeddings cannot be asked for, with the values that ask for nothing.
_NOT_OF_AN_MLP = {"n_layers": 1, "normalization": "none", "tied_unembedding": False}
# What has no meaning beside an architecture, with the values that it is given, so that equal networks have equal configurations.
_WITHOUT_MEANING: dict[str, dict[str, object]] = {
    "transformer": {},
    "attention-only": {"d_mlp": 512, "activation": "relu"},
    "mlp": {"n_heads": 4, "d_model": 128, "attention_rate": 1.0, "init": "nanda", "equals_class": False},
}


@dataclass(frozen=True)
class ModelConfig:
    """The network: by default the one-layer transformer. docs/networks.md has the formulas of all of them.

    Widths and the like that an architecture has no use for are at their defaults, whatever is given.

    Args:
        d_model: width of the residual stream.
        n_heads: number of attention heads; must divide d_model (each head has d_model / n_heads dimensions).
        d_mlp: number of neurons, in each layer.
        activation: of the neurons; `square` is x^2.
        biases: trained biases: none, those of the MLP only (the official code), or all of them. They start at zero.
        equals_class: give the output a class for the `=` token too (p + 1 classes, as the official code has).
        attention_rate: alpha in A' = alpha softmax + (1 - alpha) ones; 1 is ordinary attention, 0 is constant attention.
        init: `nanda`: N(0, 1/d_model), W_U N(0, 1/d_vocab); `transformer-lens`: N(0, 0.64/d_model) throughout.
        init_scale: factor on every initial weight (Omnigrok's alpha).
        architecture: `transformer`; `attention-only`, a transformer without MLPs; `mlp`, one hidden layer that is the sum of an
            embedding of a and one of b (it has no use for d_model, heads, layers and the `=` token).
        n_layers: number of layers of a transformer, 1 to 4.
        normalization: LayerNorm before attention, MLP and unembedding (pre), or after each sum with the residual stream (post).
        tied_unembedding: W_U is W_E transposed.
        tied_embeddings: of `mlp`: a and b have the same embedding.
        dropout: probability with which a number that attention or MLP writes (of `mlp`: a neuron) is 0 during training.
    """

    d_model: int = 128
    n_heads: int = 4
    d_mlp: int = 512
    activation: ActivationName = "relu"
    biases: Biases = "mlp"
    equals_class: bool = False
    attention_rate: float = 1.0
    init: Init = "nanda"
    init_scale: float = 1.0
    architecture: Architecture = "transformer"
    n_layers: int = 1
    normalization: Normalization = "none"
    tied_unembedding: bool = False
    tied_embeddings: bool = False
    dropout: float = 0.0

    later: ClassVar[tuple[str, ...]] = (
        "architecture",
        "n_layers",
        "normalization",
        "tied_unembedding",
        "tied_embeddings",
        "dropout",
    )

    def __post_init__(self) -> None:
        refuse(
            *(integer(f"model.{name}", getattr(self, name), least=1) for name in ("d_model", "n_heads", "d_mlp")),
            one_of("model.activation", self.activation, get_args(ActivationName)),
            one_of("model.biases", self.biases, get_args(Biases)),
            one_of("model.init", self.init, get_args(Init)),
            number("model.attention_rate", self.attention_rate, "a number in 0..1", lambda x: 0 <= x <= 1),
            number("model.init_scale", self.init_scale, "a finite number > 0", lambda x: x > 0 and isfinite(x)),
            truth("model.equals_class", self.equals_class),
            one_of("model.architecture", self.architecture, get_args(Architecture)),
            integer("model.n_layers", self.n_layers, least=1, most=MOST_LAYERS),
            one_of("model.normalization", self.normalization, get_args(Normalization)),
            truth("model.tied_unembedding", self.tied_unembedding),
            truth("model.tied_embeddings", self.tied_embeddings),
            number("model.dropout", self.dropout, "a number in [0, 1)", lambda x: 0 <= x < 1),
        )
        without_negative_zeros(self)
        refuse(*self._senseless())
        for name, usual in _WITHOUT_MEANING[self.architecture].items():
            object.__setattr__(self, name, usual)
        if self.d_model % self.n_heads:
            raise UsageError(
                f"model.d_model: given {self.d_model}, expected a multiple of model.n_heads = {self.n_heads} "
                f"(for example {self.n_heads * max(1, self.d_model // self.n_heads)})"
            )

    @property
    def is_one_layer(self) -> bool:
        """Whether it is the one-layer transformer, `Weights`, to which every measure applies."""
        return self.unusual is None

    @property
    def unusual(self) -> str | None:
        """In what it is not the one-layer transformer, in words; None if it is that."""
        if self.architecture != "transformer":
            return f"architecture {self.architecture!r}"
        if self.n_layers > 1:
            return f"{self.n_layers} layers"
        if self.normalization != "none":
            return f"normalization {self.normalization!r}"
        if self.activation == "square":
            return "activation 'square'"
        return "a tied unembedding" if self.tied_unembedding else None

    def _senseless(self) -> Iterator[str]:
        """Fields that ask for what the architecture does not have."""
        if self.architecture == "mlp":
            for name, usual in _NOT_OF_AN_MLP.items():
                if (given := getattr(self, name)) != usual:
                    yield f"model.{name}: given {given!r} with architecture 'mlp', which has no such thing; leave it {usual!r}"
            return
        if self.tied_embeddings:
            yield "model.tied_embeddings: given True, but a transformer has one embedding; it is for architecture 'mlp'"
