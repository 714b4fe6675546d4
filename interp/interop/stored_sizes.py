"""The sizes that a configuration names, compared with those of the tensors."""

from __future__ import annotations

from collections.abc import Mapping

from interp.errors import DataError
from interp.networks.one_layer import Weights

# Names of fields that are sizes of `Weights`; n_layers is compared by `interp.interop.unrepresentable`.
_SIZES = ("d_vocab", "n_ctx", "d_model", "n_heads", "d_head", "d_mlp")


def whole_number(value: object) -> int | None:
    """A stored number as an integer; None if it is no whole number.

    >>> whole_number(13.0), whole_number("13"), whole_number(True), whole_number(0.3)
    (13, 13, None, None)
    """
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def check_modulus(config: Mapping[str, object], weights: Weights) -> None:
    """Error if a configuration names another modulus than the tensors have.

    Raises:
        DataError: naming both.
    """
    p = whole_number(config.get("p"))
    if p is None or p == weights.p:
        return
    tokens, ending = len(weights.W_E), " and `=`" if weights.equals_sign else ""
    why = (
        f"what can be held has p tokens{ending}, and no others" if p < weights.p else "the configuration is that of another model"
    )
    raise DataError(
        f"p: the configuration says {p}, the tensors have {tokens} tokens and {weights.classes} classes on {weights.n_ctx} "
        f"positions, as p = {weights.p} has{ending and ' with `=`'}; {why}"
    )


def size_notes(config: Mapping[str, object], weights: Weights) -> list[str]:
    """Where a configuration names another size than the tensors have, in words; the tensors' is taken.

    Widths change no answer, and others give their names (``width``, ``vocab_size``, ``block_size``) to other things as well.
    """
    sizes = {"d_vocab": len(weights.W_E), **{name: getattr(weights, name) for name in _SIZES if name != "d_vocab"}}
    differing = {name: size for name in _SIZES if (size := whole_number(config.get(name))) is not None and size != sizes[name]}
    return [
        f"{name}: the configuration says {size}, the tensors have {sizes[name]}, which was taken; is it the configuration of "
        "this model?"
        for name, size in differing.items()
    ]
