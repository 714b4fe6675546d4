"""Which tensor of a file is which of ours, by what they are usually called; what a caller says of a tensor comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop.mapping import DROPPED, Entry, parse_entries
from interp.interop.usual_names import MASK, is_dense, roles_of
from interp.networks.shapes import REQUIRED
from interp.networks.tensor_layout import PACKED, TARGETS


@dataclass(frozen=True)
class Assignment:
    """A whole model, found by names.

    Attributes:
        roles: their name -> our name.
        stated: their name -> axes, where the caller states them.
        ignored: their names of masks, positions' numbers, and what the caller drops.
        tied: their name of the embedding, if it is the unembedding too.
        has_positions: whether there is a positional embedding.
    """

    roles: Mapping[str, str]
    stated: Mapping[str, str]
    ignored: frozenset[str]
    tied: str | None
    has_positions: bool


def assign(state: Mapping[str, object], entries: Sequence[str], *, formats: str = "") -> Assignment:
    """The one complete assignment of names; without an unembedding of its own, the embedding is it too.

    Args:
        entries: of a map, ``theirs=ours``, for names that tell nothing or mislead.
        formats: the known formats, none of which this is, for the message.

    Raises:
        UsageError: if an entry names no tensor of the file.
        DataError: if there is none: what is known, what is missing, and the map that would complete it.
    """
    said = parse_entries(entries)
    if absent := [entry.theirs for entry in said if entry.theirs not in state]:
        raise UsageError(f"map: given {', '.join(map(repr, absent))}, but there is no such tensor; there are {_names(state)}")
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    ignored = {entry.theirs for entry in said if entry.ours == DROPPED}
    ignored |= {name for name, value in tensors.items() if _is_buffer(name, value)}
    roles, doubtful = _roles({name: value for name, value in tensors.items() if name not in ignored and is_dense(value)}, said)
    ours = {part for role in roles.values() for part in PACKED.get(role, (role,))}
    unread = [name for name in state if name not in roles and name not in ignored]
    tied = next((name for name, role in roles.items() if role == "W_E"), None) if "W_U" not in ours and not unread else None
    missing = [name for name in TARGETS if name in REQUIRED - ours - ({"W_U"} if tied else set())]
    has_positions = "W_pos" in ours
    if missing == ["W_pos"] and not unread:
        missing = []
    if missing or unread:
        raise DataError(_incomplete(state, roles, doubtful, _Lacking(missing, unread, formats)))
    stated = {entry.theirs: entry.axes for entry in said if entry.stated and entry.theirs in roles}
    return Assignment(roles, stated, frozenset(ignored), tied, has_positions)


def _roles(tensors: Mapping[str, Tensor], said: Sequence[Entry]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Our name of each tensor whose own is not in doubt; and of which of ours several of theirs have the name."""
    given = {entry.theirs: entry.ours for entry in reversed(said) if entry.ours != DROPPED}  # of a tied one, W_E comes first
    given |= {entry.theirs: "W_E" for entry in said if entry.ours == "W_E"}
    taken = {part for entry in said for part in PACKED.get(entry.ours, (entry.ours,))}
    found = {
        name: role
        for name, role in roles_of([name for name in tensors if name not in given]).items()
        if not taken.intersection(PACKED.get(role, (role,))) and _has_rank(role, tensors[name].ndim)
    }
    claims: dict[str, list[str]] = {}
    for name, role in found.items():
        for part in PACKED.get(role, (role,)):
            claims.setdefault(part, []).append(name)
    doubtful = {ours: names for ours, names in claims.items() if len(names) > 1}
    clear = {name: role for name, role in found.items() if not any(name in names for names in doubtful.values())}
    return given | clear, doubtful


def _has_rank(role: str, ndim: int) -> bool:
    if role.startswith("b_"):
        return 1 <= ndim <= len(TARGETS[role])
    return ndim in (2, 3) if role in ("W_pos", "W_Q", "W_K", "W_V", "W_O", "W_QKV") else ndim == 2


def _is_buffer(name: str, value: Tensor) -> bool:
    """A mask, the positions' numbers, or a constant: no weights."""
    if value.layout is not torch.strided or value.is_complex():
        return False
    if value.ndim == 0:
        return bool(MASK.search(name))
    if not value.is_floating_point() and value.dtype is not torch.bool and value.numel() > 1:
        return bool(MASK.search(name)) and torch.equal(value.flatten(), torch.arange(value.numel(), dtype=value.dtype))
    return value.ndim >= 2 and (bool(MASK.search(name)) or value.ndim == 4) and is_mask(value)


_LARGEST_MASK = 4096


def is_mask(value: Tensor) -> bool:
    """Whether a tensor is a causal mask of a usual kind: ones below the diagonal, or False or 0 there and True or -inf above."""
    square = value.squeeze()
    if square.ndim != 2 or square.shape[0] != square.shape[1] or len(square) > _LARGEST_MASK:
        return False
    below = torch.ones(square.shape).tril().bool()
    numbers = square.float()
    if torch.equal(numbers, below.float()) or torch.equal(numbers, (~below).float()):
        return True
    return bool((numbers[below] == 0).all() and (numbers[~below] < -1e3).all())


@dataclass(frozen=True)
class _Lacking:
    missing: Sequence[str]
    unread: Sequence[str]
    formats: str


def _incomplete(
    state: Mapping[str, object], roles: Mapping[str, str], doubtful: Mapping[str, Sequence[str]], lacking: _Lacking
) -> str:
    """What is known by names, what is not, and the entries that would complete it."""
    lines = [f"given tensors named {_names(state)}, which is no known format{lacking.formats} and no complete set of usual names"]
    if roles:
        lines.append("known: " + ", ".join(f"{theirs} -> {ours}" for theirs, ours in roles.items()))
    for ours, names in doubtful.items():
        lines.append(f"in doubt: {ours} could be {' or '.join(names)}")
    wanted = [f"{ours} ({' '.join(TARGETS[ours])})" for ours in lacking.missing]
    lines += [f"missing: {', '.join(wanted)}"] if wanted else []
    unclear = [f"{name} {_shape(state[name])}" for name in lacking.unread]
    lines += [f"not understood: {', '.join(unclear[:12])}{', ...' if len(unclear) > 12 else ''}"] if unclear else []
    entries = _suggested(state, roles, lacking)
    return "\n  ".join(lines) + f"\n  Say which tensor is which (--map theirs=ours), for example: {entries}"


def _suggested(state: Mapping[str, object], roles: Mapping[str, str], lacking: _Lacking) -> str:
    """A map of what is not understood, by shapes as far as they go; what is left over is dropped in it."""
    width = _width(state, roles)
    left = {name: value for name, value in state.items() if name in lacking.unread and isinstance(value, Tensor)}
    chosen: dict[str, str] = {}
    for ours in lacking.missing:
        fitting = [n for n, t in left.items() if n not in chosen and _has_rank(ours, t.ndim) and (not width or width in t.shape)]
        chosen |= {fitting[0]: ours} if fitting else {}
    rest = {name: DROPPED for name in lacking.unread if name not in chosen}
    said = [f"--map {name}={ours}" for name, ours in {**chosen, **rest}.items()]
    said += [f"--map theirs={ours}" for ours in lacking.missing if ours not in chosen.values()]
    return " ".join(said[:12]) + (" ..." if len(said) > 12 else "")


def _width(state: Mapping[str, object], roles: Mapping[str, str]) -> int | None:
    """d_model, if the matrices that are known have one size in common."""
    shapes = [set(t.shape) for name, role in roles.items() if role[0] == "W" and isinstance(t := state[name], Tensor)]
    common = set.intersection(*shapes) if shapes else set()
    return common.pop() if len(common) == 1 else None


def _shape(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{tuple(value.shape)}{'' if is_dense(value) else f' {value.dtype} {value.layout}'}"


def _names(state: Mapping[str, object]) -> str:
    names = sorted(state)
    return f"{', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
