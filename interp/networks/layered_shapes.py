"""Which tensors networks of other depths and kinds have, and whether their shapes fit together. Nothing here imports torch.

Names and shapes are TransformerLens': ``embed.W_E (d_vocab, d_model)``, ``blocks.1.attn.W_Q (head, d_model, d_head)``,
``ln_final.w (d_model)``. Tensors named b_ may be absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from interp.config.model_config import ActivationName, ModelConfig, Normalization
from interp.errors import DataError
from interp.networks.shapes import KIND as ONE_LAYER

LAYERED, TWO_EMBEDDINGS = "layered-transformer", "two-embedding-mlp"
# Kinds whose function this toolkit knows.
OWN_KINDS = (ONE_LAYER, LAYERED, TWO_EMBEDDINGS)

_ATTENTION = {
    "attn.W_Q": ("n_heads", "d_model", "d_head"), "attn.b_Q": ("n_heads", "d_head"),
    "attn.W_K": ("n_heads", "d_model", "d_head"), "attn.b_K": ("n_heads", "d_head"),
    "attn.W_V": ("n_heads", "d_model", "d_head"), "attn.b_V": ("n_heads", "d_head"),
    "attn.W_O": ("n_heads", "d_head", "d_model"), "attn.b_O": ("d_model",),
}  # fmt: skip
_NEURONS = {
    "mlp.W_in": ("d_model", "d_mlp"), "mlp.b_in": ("d_mlp",), "mlp.W_out": ("d_mlp", "d_model"), "mlp.b_out": ("d_model",),
}  # fmt: skip
# The tensors that a configuration's `biases` trains.
_OF_THE_NEURONS = ("mlp.b_in", "mlp.b_out")


@dataclass(frozen=True)
class Layout:
    """What a transformer computes besides what its tensors say: a checkpoint's facts.

    Args:
        n_layers: number of layers.
        normalization: ``pre``, ``post`` or ``none``.
        has_neurons: whether its layers have an MLP.
        activation: of the neurons.
        attention_rate: alpha in ``A' = alpha softmax(scores) + (1 - alpha) ones``; below 1 there is no causal mask.
        tied_classes: number of answers where W_U is W_E transposed, of whose rows the first are the answers'; None where it is
            a tensor of its own.
    """

    n_layers: int
    normalization: Normalization = "none"
    has_neurons: bool = True
    activation: ActivationName = "relu"
    attention_rate: float = 1.0
    tied_classes: int | None = None

    @classmethod
    def of(cls, model: ModelConfig, *, classes: int) -> Layout:
        """That of a configuration."""
        return cls(
            n_layers=model.n_layers,
            normalization=model.normalization,
            has_neurons=model.architecture == "transformer",
            activation=model.activation,
            attention_rate=model.attention_rate,
            tied_classes=classes if model.tied_unembedding else None,
        )

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Layout:
        """That of a checkpoint's facts.

        Raises:
            DataError: if they are not such facts.
        """
        try:
            found = cls(**facts)
        except TypeError as error:
            raise DataError(f"facts of a {LAYERED}: {error}") from error
        counts = found.n_layers, 1 if found.tied_classes is None else found.tied_classes
        number = all(isinstance(one, int) and one >= 1 for one in counts) and isinstance(found.attention_rate, int | float)
        if not number or found.normalization not in get_args(Normalization) or found.activation not in get_args(ActivationName):
            raise DataError(f"facts of a {LAYERED}: given {dict(facts)!r:.200}, expected those that such a run has")
        return found

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def axes(self) -> dict[str, tuple[str, ...]]:
        """The axes of every tensor that there can be, by name, in the order of the computation."""
        return dict(self._named())

    def _named(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        normed = self.normalization != "none"
        yield from (("embed.W_E", ("d_vocab", "d_model")), ("pos_embed.W_pos", ("n_ctx", "d_model")))
        for number in range(self.n_layers):
            for norm, part in (("ln1", _ATTENTION), ("ln2", _NEURONS if self.has_neurons else {})):
                normalizing = {f"{norm}.w": ("d_model",), f"{norm}.b": ("d_model",)} if normed and part else {}
                inside = {**normalizing, **part} if self.normalization == "pre" else {**part, **normalizing}
                yield from ((f"blocks.{number}.{name}", axes) for name, axes in inside.items())
        if self.normalization == "pre":
            yield from (("ln_final.w", ("d_model",)), ("ln_final.b", ("d_model",)))
        if self.tied_classes is None:
            yield "unembed.W_U", ("d_model", "classes")
        yield "unembed.b_U", ("classes",)


def two_embedding_axes(*, tied: bool) -> dict[str, tuple[str, ...]]:
    """The axes of the tensors of an MLP of two embeddings, by name, in the order of the computation."""
    embeddings = ("embed.W_E",) if tied else ("embed_a.W_E", "embed_b.W_E")
    return {
        **dict.fromkeys(embeddings, ("p", "d_mlp")),
        "mlp.b_in": ("d_mlp",),
        "unembed.W_U": ("d_mlp", "classes"),
        "unembed.b_U": ("classes",),
    }


def kind_of(model: ModelConfig) -> Literal["one-layer", "layered-transformer", "two-embedding-mlp"]:
    """The kind of network that a configuration asks for.

    >>> kind_of(ModelConfig(n_layers=2))
    'layered-transformer'
    """
    if model.architecture == "mlp":
        return "two-embedding-mlp"
    return "one-layer" if model.is_one_layer else "layered-transformer"


def is_bias(name: str) -> bool:
    """Whether a tensor is a bias, which may be absent; the b of a LayerNorm is none."""
    return name.rpartition(".")[2].startswith("b_")


def is_matrix(name: str) -> bool:
    """Whether a tensor is neither a bias nor of a LayerNorm."""
    return name.rpartition(".")[2].startswith("W_")


def has_bias(name: str, biases: str) -> bool:
    """Whether a tensor is trained where a configuration says ``none``, ``mlp`` or ``all`` biases."""
    return not is_bias(name) or biases == "all" or (biases == "mlp" and name.endswith(_OF_THE_NEURONS))


def check_shapes(shapes: Mapping[str, tuple[int, ...]], axes: Mapping[str, tuple[str, ...]], *, kind: str) -> dict[str, int]:
    """The sizes of the axes, by name, from the shapes of all tensors.

    Raises:
        DataError: for a tensor that is missing, unknown or of a shape that does not fit the others.
    """
    surplus, missing = (
        sorted(shapes.keys() - axes.keys()),
        sorted(name for name in axes.keys() - shapes.keys() if not is_bias(name)),
    )
    if surplus or missing:
        raise DataError(f"{kind}: missing tensors {missing or 'none'}, surplus tensors {surplus or 'none'}")
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        named = axes[name]
        expected = tuple(sizes.get(axis, actual) for axis, actual in zip(named, shape, strict=False))
        if len(shape) != len(named) or tuple(shape) != expected:
            wanted = ", ".join(f"{axis}={sizes[axis]}" if axis in sizes else axis for axis in named)
            raise DataError(f"{name}: given shape {tuple(shape)}, expected ({wanted})")
        sizes.update(zip(named, shape, strict=True))
    return sizes


def activation_named(name: object) -> ActivationName:
    """An activation function's name, checked.

    Raises:
        DataError: if there is none of this name.
    """
    if name not in get_args(ActivationName):
        raise DataError(f"activation: given {name!r:.80}, expected one of {', '.join(get_args(ActivationName))}")
    return cast("ActivationName", name)
