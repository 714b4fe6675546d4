"""Networks that `Weights` cannot hold, recognised by the names and shapes of their tensors and by their configuration.

Each gets one sentence that says what cannot be represented: no map of names could help.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from torch import Tensor

from interp.errors import DataError
from interp.interop.usual_names import GATE, MASK, NORM, ROTARY, layers_of, roles_of

HOLDS = "what can be held is one layer of attention and one MLP without normalization, on `a b` or `a b =`"
_LAYERS = ("n_layers", "n_layer", "num_layers", "num_hidden_layers", "depth")
_NORMS = (
    "normalization", "normalization_type", "norm", "norm_type", "norm_layer", "use_ln", "use_norm", "use_layernorm",
    "use_layer_norm", "layer_norm", "layernorm",
)  # fmt: skip
_NO_NORM = {"", "none", "no", "false", "off", "identity", "null"}
# `embed_a`, `lembed`, `emb.x` ...; `W_x` beside `W_y`.
_SIDED = (
    re.compile(r"(^|[._])(?P<side>l|r|left|right)_?(emb\w*|w_?e)([._]|$)", re.IGNORECASE),
    re.compile(r"(^|[._])(emb\w*?|w_?e)[._]?(?P<side>a|b|x|y|l|r|left|right|1|2)([._]|$)", re.IGNORECASE),
    re.compile(r"(^|[._])w_?(?P<side>x|y|a|b)([._]|$)", re.IGNORECASE),
)
_SIDES = ({"a", "b"}, {"x", "y"}, {"l", "r"}, {"left", "right"}, {"1", "2"})


def check_representable(
    state: Mapping[str, object], config: Mapping[str, object], *, named: Collection[str] = (), dropped: Collection[str] = ()
) -> None:
    """Error if a state dict or its configuration is of a network whose function Weights cannot compute.

    Args:
        named: tensors that the caller says what they are of.
        dropped: tensors that the caller says to leave out.

    Raises:
        DataError: with one sentence on what cannot be represented.
    """
    if lost := [name for name in sorted(dropped) if _is_norm(name, state.get(name))]:
        raise DataError(
            f"map: {', '.join(lost)} cannot be dropped: normalization divides the activations by their size, also where its "
            "weight is 1 and its bias 0, so that a model without it is another model; Weights has no normalization"
        )
    rest = {name: value for name, value in state.items() if name not in {*named, *dropped}}
    reason = next(_reasons(rest, config, complete=not named), None)
    if reason is not None:
        raise DataError(f"{reason}; {HOLDS}")


def _reasons(state: Mapping[str, object], config: Mapping[str, object], *, complete: bool) -> Iterator[str]:
    roles = roles_of(state)
    # Two layers first: who has them has the rest as well, and it is the larger difference.
    if (layers := max(layers_of(roles), *(_count(config.get(name)) for name in _LAYERS))) > 1:
        yield f"a network of {layers} layers"
    if norms := [name for name, value in state.items() if _is_norm(name, value)]:
        yield f"a network with {_norm_kind(norms)} ({_some(norms)})"
    elif normalized := _says_normalization(config):
        yield f"a network with normalization (the configuration says {normalized})"
    if rotary := [name for name in state if ROTARY.search(name)]:
        yield f"a network with rotary positions ({_some(rotary)})"
    if attends(roles) and (gates := [name for name, value in state.items() if GATE.search(name) and _ndim(value) == 2]):
        yield f"a network with a gated MLP, or one of more than two matrices ({_some(gates)})"
    if sides := _two_vocabularies(state):
        yield f"a network with an embedding for a and another for b ({_some(sides)})"
    if complete:
        yield from _without_a_part(state, roles)


def _without_a_part(state: Mapping[str, object], roles: Mapping[str, str]) -> Iterator[str]:
    """Attention alone; or an MLP: matrices and vectors with names that are known or numbered, none of them of attention."""
    matrices = {name: value for name, value in state.items() if isinstance(value, Tensor) and value.ndim == 2}
    plain = all(name in roles or re.search(r"\d", name) for name in state)
    if attends(roles):
        if not any(role[2:] in ("in", "out") for role in roles.values()) and all(
            name in roles or MASK.search(name) for name in state
        ):
            yield "a network without an MLP"
        return
    if not plain or len(matrices) < 2 or any(_ndim(value) > 2 for value in state.values()):
        return
    if "W_E" in roles.values():
        yield f"an MLP on embeddings, a network without attention ({_some([*matrices])})"
    else:
        first = next(iter(matrices))
        shape = tuple(matrices[first].shape)
        yield f"an MLP on one-hot inputs, a network without attention or embedding (its first matrix is {first} {shape})"


def attends(roles: Mapping[str, str]) -> bool:
    """Whether any tensor is of attention, or of positions, which nothing else needs."""
    return any(role[2:] in ("Q", "K", "V", "QKV", "O", "pos") for role in roles.values())


def _two_vocabularies(state: Mapping[str, object]) -> list[str]:
    found: dict[str, str] = {}
    for name, value in state.items():
        match = next((match for pattern in _SIDED if (match := pattern.search(name))), None)
        if match is not None and _ndim(value) == 2:
            found[match["side"].lower()] = name
    return next(([found[side] for side in sorted(pair)] for pair in _SIDES if pair <= found.keys()), [])


def _is_norm(name: str, value: object) -> bool:
    return bool(NORM.search(name)) and _ndim(value) < 2


def _says_normalization(config: Mapping[str, object]) -> str:
    """The field of a configuration that says so, with its value; empty if none does."""
    said = {name: config[name] for name in _NORMS if isinstance(config.get(name), str | bool)}
    return next((f"{name} = {value!r}" for name, value in said.items() if str(value).lower() not in _NO_NORM), "")


def _norm_kind(names: Collection[str]) -> str:
    if any("rms" in name.lower() for name in names):
        return "RMSNorm"
    if any("running_mean" in name or re.search(r"(^|[._])(bn|batch_?norm)", name.lower()) for name in names):
        return "batch normalization"
    has_bias = any(name.lower().endswith((".bias", ".b", "_bias", ".beta")) for name in names)
    return "LayerNorm" if has_bias else "LayerNorm or RMSNorm"


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _ndim(value: object) -> int:
    return value.ndim if isinstance(value, Tensor) else -1


def _some(names: Collection[str]) -> str:
    return ", ".join([*names][:3]) + (", ..." if len(names) > 3 else "")
