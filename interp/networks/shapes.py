"""Which tensors the one-layer transformer has, and whether their shapes fit together. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from interp.errors import DataError

KIND = "one-layer"

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
REQUIRED = {name for name in SHAPES if name.startswith("W_")}


def check_names(given: Collection[str]) -> None:
    """Error unless every required tensor is there, and every one given is known.

    Raises:
        DataError: naming what is missing and what is surplus.
    """
    surplus, missing = set(given) - set(SHAPES), REQUIRED - set(given)
    if surplus or missing:
        raise DataError(
            f"weights: missing tensors {sorted(missing) or 'none'}, surplus tensors {sorted(surplus) or 'none'}; "
            f"expected {', '.join(sorted(REQUIRED))} and optionally {', '.join(sorted(set(SHAPES) - REQUIRED))}"
        )


def dimensions(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The model's dimensions by the names of `SHAPES`, and the modulus ``p``, from the shapes of its tensors.

    Raises:
        DataError: if shapes do not fit together; the message names the tensor, the shape given and the one expected.
    """
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        axes = SHAPES[name]
        expected = tuple(sizes.get(axis, actual) for axis, actual in zip(axes, shape, strict=False))
        if len(shape) != len(axes) or tuple(shape) != expected:
            wanted = ", ".join(f"{axis}={sizes[axis]}" if axis in sizes else axis for axis in axes)
            raise DataError(f"{name}: given shape {tuple(shape)}, expected ({wanted})")
        sizes.update(zip(axes, shape, strict=True))
    if sizes["n_ctx"] not in (2, 3):
        raise DataError(f"W_pos: given {sizes['n_ctx']} positions, expected 2 (input a b) or 3 (input a b =)")
    p = sizes["d_vocab"] - int(sizes["n_ctx"] == 3)
    if p < 2:
        raise DataError(
            f"W_E: given {sizes['d_vocab']} tokens with {sizes['n_ctx']} positions, which leaves p = {p}; expected p >= 2"
        )
    if sizes["classes"] not in (p, p + 1):
        raise DataError(f"W_U: given {sizes['classes']} classes, expected p = {p} or p + 1 = {p + 1}")
    return {**sizes, "p": p}
