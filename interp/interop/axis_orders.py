"""In which order other code stores the axes of a tensor: as nn.Linear does, (out, in), or as a left factor's, (in, out).

Where the two sizes differ, one order fits the rest of the model and the other does not. All ways in which the shapes of a whole
model fit together are found here; which of several it is, is not a question of shapes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

from interp.networks.tensor_layout import PACKED, TARGETS

Orientation = Literal["linear", "left"]

# Our name -> orders of the axes of their tensor, as nn.Linear stores a matrix and as a left factor is stored; by number of axes.
_Q: dict[int, dict[str, tuple[str, ...]]] = {
    2: {"linear": ("(n_heads d_head) d_model",), "left": ("d_model (n_heads d_head)",)},
    3: {"linear": ("n_heads d_head d_model",), "left": ("n_heads d_model d_head", "d_model n_heads d_head")},
}
_ORDERS: dict[str, dict[int, dict[str, tuple[str, ...]]]] = {
    "W_E": {2: {"left": ("d_vocab d_model",), "linear": ("d_model d_vocab",)}},
    "W_pos": {2: {"left": ("n_ctx d_model",), "linear": ("d_model n_ctx",)}},
    "W_Q": _Q, "W_K": _Q, "W_V": _Q,
    "W_QKV": {
        2: {
            "linear": ("(qkv n_heads d_head) d_model", "(n_heads qkv d_head) d_model"),
            "left": ("d_model (qkv n_heads d_head)", "d_model (n_heads qkv d_head)"),
        },
        3: {"linear": ("qkv (n_heads d_head) d_model",), "left": ("qkv d_model (n_heads d_head)",)},
    },
    "W_O": {
        2: {"linear": ("d_model (n_heads d_head)",), "left": ("(n_heads d_head) d_model",)},
        3: {"linear": ("n_heads d_model d_head", "d_model n_heads d_head"), "left": ("n_heads d_head d_model",)},
    },
    "W_in": {2: {"linear": ("d_mlp d_model",), "left": ("d_model d_mlp",)}},
    "W_out": {2: {"linear": ("d_model d_mlp",), "left": ("d_mlp d_model",)}},
    "W_U": {2: {"linear": ("classes d_model",), "left": ("d_model classes",)}},
}  # fmt: skip
_ATTENTION = ("W_Q", "W_K", "W_V", "W_QKV")
_TABLES = ("W_E", "W_pos")  # looked up and not multiplied: stored one row a token by everyone but the official code


@dataclass(frozen=True)
class Reading:
    """One way in which the shapes fit together.

    Attributes:
        axes: their name -> the axes of their tensor.
        orientation: their name -> ``linear`` or ``left``, for matrices that are multiplied.
        n_ctx: number of positions that are read.
        sizes: the size of each axis; ``n_ctx`` is that of the positional embedding, which may have more rows than are read.
        oddness: how unusual it is, 0 where every matrix is stored in the same way.
    """

    axes: Mapping[str, str]
    orientation: Mapping[str, Orientation]
    n_ctx: int
    sizes: Mapping[str, int]
    oddness: float

    @property
    def is_cut(self) -> bool:
        """Whether the positional embedding has rows that are not read."""
        return self.sizes.get("n_ctx", self.n_ctx) > self.n_ctx

    @property
    def merges_heads(self) -> bool:
        """Whether nothing tells the number of heads."""
        return "n_heads" not in self.sizes


def readings(
    roles: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    stated: Mapping[str, str],
    tied: bool,
) -> tuple[list[Reading], list[str]]:
    """All ways in which the shapes fit together, the usual ones first; and why the others do not, where that can be said.

    Args:
        roles: their name -> our name.
        shapes: their name -> shape.
        stated: their name -> axes that the caller states.
        tied: whether the embedding is the unembedding too.
    """
    groups = _groups(roles)
    found: dict[tuple[tuple[str, str], ...], Reading] = {}
    reasons: list[str] = []
    for chosen in product(*(_options(group, roles, shapes, stated) for group in groups)):
        axes = {name: order for option in chosen for name, (order, _) in option.items()}
        sizes = _sizes(axes, roles, shapes)
        if sizes is None:
            continue
        for n_ctx in (2, 3) if sizes.get("n_ctx", 4) > 3 else (sizes["n_ctx"],):
            if reason := _misfit(sizes, n_ctx, tied=tied):
                reasons.append(reason)
                continue
            how = {name: kind for option in chosen for name, (_, kind) in option.items() if roles[name] not in _TABLES and kind}
            odd = _oddness(chosen, roles, how)
            found.setdefault((*sorted(axes.items()), ("n_ctx", str(n_ctx))), Reading(axes, how, n_ctx, sizes, odd))
    return sorted(found.values(), key=lambda reading: reading.oddness), list(dict.fromkeys(reasons))


def _groups(roles: Mapping[str, str]) -> list[list[str]]:
    """Tensors that are stored in one way: queries, keys, values and all of an nn.MultiheadAttention; each other by itself."""
    attention = {*_ATTENTION, "b_Q", "b_K", "b_V", "b_QKV"}
    if any(name.endswith("in_proj_weight") for name in roles):
        attention |= {"W_O"}
    together = [name for name, role in roles.items() if role in attention]
    return [group for group in (together, *([name] for name in roles if name not in together)) if group]


def _options(
    group: list[str], roles: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], stated: Mapping[str, str]
) -> list[dict[str, tuple[str, Orientation | None]]]:
    """Orders of the axes of a group's tensors: their name -> (order, how it is stored; None for what is not a matrix)."""
    found = []
    for kind, place in product(_kinds(group), (0, 1)):
        option = {name: _order(roles[name], shapes[name], kind, place, stated.get(name)) for name in group}
        if all(option.values()) and option not in found:
            found.append(option)
    return found  # type: ignore[return-value] # none of them is None


def _kinds(group: Collection[str]) -> tuple[str, ...]:
    """How a group may be stored: flax's kernels are (in, out), nn.MultiheadAttention has matrices of nn.Linear's kind."""
    if any(name.endswith("kernel") for name in group):
        return ("left",)
    return ("linear",) if any(name.endswith("in_proj_weight") for name in group) else ("linear", "left")


def _order(role: str, shape: tuple[int, ...], kind: str, place: int, stated: str | None) -> tuple[str, Orientation | None] | None:
    if stated is not None:
        return stated, None
    if role.startswith("b_"):
        order = _bias_order(role, len(shape), interleaved=place == 1)
        return None if order is None else (order, None)
    squeezed = tuple(size for size in shape if size != 1) if role == "W_pos" and len(shape) == 3 else shape
    orders = _ORDERS[role].get(len(squeezed), {}).get(kind, ())
    if place >= len(orders):
        return None
    order = orders[place]
    if squeezed != shape:
        rest = iter(order.split())
        order = " ".join("1" if size == 1 else next(rest) for size in shape)
    return order, kind  # type: ignore[return-value] # one of the two


def _bias_order(role: str, ndim: int, *, interleaved: bool) -> str | None:
    axes = TARGETS[role]
    if role not in PACKED:
        return {1: f"({' '.join(axes)})" if len(axes) > 1 else axes[0], len(axes): " ".join(axes)}.get(ndim)
    if ndim == 1:
        return "(n_heads qkv d_head)" if interleaved else "(qkv n_heads d_head)"
    return {2: "qkv (n_heads d_head)", 3: "qkv n_heads d_head"}.get(ndim)


def _sizes(axes: Mapping[str, str], roles: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int] | None:
    """The size of each axis, ``n_heads d_head`` being one; None if two tensors want different ones."""
    sizes: dict[str, int] = {"qkv": 3, "1": 1}
    for name in roles:
        groups = grouped(axes[name])
        if len(groups) != len(shapes[name]):
            return None
        for group, size in zip(groups, shapes[name], strict=True):
            inside = [axis for axis in group if axis != "qkv"]
            over = 3 if "qkv" in group and inside else 1
            if size % over or size == 0 or sizes.setdefault(" ".join(inside) or "qkv", size // over) != size // over:
                return None
    apart = sizes.get("n_heads", 0), sizes.get("d_head", 0)
    if all(apart) and sizes.setdefault("n_heads d_head", prod(apart)) != prod(apart):
        return None
    return sizes


def grouped(axes: str) -> list[list[str]]:
    """The axes in each dimension of a tensor.

    >>> grouped("d_model (n_heads d_head)")
    [['d_model'], ['n_heads', 'd_head']]
    """
    spaced = axes.replace("(", " ( ").replace(")", " ) ").split()
    found: list[list[str]] = []
    inside = False
    for word in spaced:
        if word in "()":
            inside = word == "("
            found += [[]] if inside else []
        elif inside:
            found[-1].append(word)
        else:
            found.append([word])
    return found


def _misfit(sizes: Mapping[str, int], n_ctx: int, *, tied: bool) -> str:
    """Why sizes that fit together are still not those of a model on ``a b`` or ``a b =``; empty if they are."""
    if n_ctx not in (2, 3):
        return f"a network that reads {n_ctx} position{'' if n_ctx == 1 else 's'}"
    tokens, p = sizes["d_vocab"], sizes["d_vocab"] - (n_ctx == 3)
    classes = tokens if tied else sizes["classes"]
    if p < 2 or classes not in (p, p + 1):
        return f"a network of {tokens} tokens and {classes} classes that reads {n_ctx} positions"
    return ""


def _oddness(
    chosen: Collection[Mapping[str, tuple[str, Orientation | None]]], roles: Mapping[str, str], how: Mapping[str, Orientation]
) -> float:
    """0 if every matrix is stored alike; tables one row a token, heads contiguous, q, k and v one after the other."""
    block = [kind for name, kind in how.items() if roles[name] != "W_U"]
    head = [kind for name, kind in how.items() if roles[name] == "W_U"]
    main: Orientation = "linear" if 2 * block.count("linear") >= len(block) else "left"
    odd = 2.0 * sum(kind != main for kind in block) + 0.5 * sum(kind != main for kind in head)
    for option in chosen:
        for name, (order, kind) in option.items():
            odd += (roles[name] in _TABLES and kind == "linear") + ("(n_heads qkv" in order)
    return odd
