"""What a caller says of tensors: ``theirs=ours``. With the format ``map`` it says everything, and every transposition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from interp.errors import UsageError, unknown
from interp.networks.shapes import REQUIRED
from interp.networks.tensor_layout import PACKED, TARGETS, Layout

_ENTRY = re.compile(r"(?P<theirs>[^=\[\]]+?)(?P<transposed>\.T)?(\[(?P<axes>[^\]]*)\])?=(?P<ours>[^=]+)")
DROPPED = "-"
_TIED = {"W_E", "W_U"}


@dataclass(frozen=True)
class Entry:
    """One entry of a map: their name, ours (``-``: dropped), the axes of their tensor, and whether these were stated."""

    theirs: str
    ours: str
    axes: str = ""
    stated: bool = False


def mapping_layout(entries: Sequence[str]) -> Layout:
    """The layout given by entries ``theirs=ours``.

    ``theirs=W_E`` takes a tensor as it is; ``theirs.T=W_E`` swaps its last two axes; ``theirs[d_model (n_heads d_head)]=W_O``
    names its axes, for heads merged into one axis; ``theirs=-`` drops a tensor. Our names and axes are those of
    `interp.networks.one_layer.SHAPES`. Queries, keys and values in one tensor are ``W_QKV``, with an axis ``qkv``:
    ``theirs[(qkv n_heads d_head) d_model]=W_QKV``. One tensor may be both ``W_E`` and ``W_U``, each with an entry.

    >>> mapping_layout(["tok.T=W_E", *(f"{name}={name}" for name in REQUIRED - {"W_E"})]).tensors["tok"]
    ('W_E', 'd_model d_vocab')

    Raises:
        UsageError: if an entry is not of this form, a name is unknown or given twice, or a required tensor is not mapped.
    """
    parsed = parse_entries(entries)
    return _complete(layout_of("the given map", [(entry.theirs, entry.ours, entry.axes) for entry in parsed]))


def layout_of(name: str, entries: Iterable[tuple[str, str, str]], *, masks: frozenset[str] = frozenset()) -> Layout:
    """A layout from (their name, our name or ``-``, axes of theirs); a name that comes twice is a tied tensor."""
    tensors: dict[str, tuple[str, str]] = {}
    tied: dict[str, tuple[str, str]] = {}
    dropped: set[str] = set()
    # Heads merged into one axis come after those that tell them apart.
    for theirs, ours, axes in sorted(entries, key=lambda entry: "(" in entry[2]):
        if ours == DROPPED:
            dropped.add(theirs)
        else:
            (tied if theirs in tensors else tensors)[theirs] = ours, axes
    return Layout(name=name, tensors=tensors, tied=tied, masks=masks, constants=frozenset(dropped))


def parse_entries(entries: Sequence[str]) -> list[Entry]:
    """The entries of a map, each of which says of one tensor what it is.

    Raises:
        UsageError: if an entry has another form, or a name is unknown or given twice.
    """
    found: list[Entry] = []
    for text in entries:
        entry = _parse(text)
        before = {one.ours for one in found if one.theirs == entry.theirs}
        if before and {*before, entry.ours} != _TIED:
            raise UsageError(f"map: {entry.theirs!r} is given twice")
        if entry.ours != DROPPED and entry.ours in {one.ours for one in found}:
            raise UsageError(f"map: {entry.ours} is given twice")
        found.append(entry)
    named = {entry.ours for entry in found}
    for packed, parts in PACKED.items():
        if packed in named and (both := sorted(named.intersection(parts))):
            raise UsageError(f"map: given {packed} and {', '.join(both)}, expected the one tensor or the three")
    return found


def _parse(text: str) -> Entry:
    match = _ENTRY.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"map: given {text!r}, expected theirs=ours, theirs.T=ours, theirs[axes]=ours or theirs=-")
    theirs, ours = match["theirs"].strip(), match["ours"].strip()
    if ours == DROPPED:
        return Entry(theirs, ours)
    if ours not in TARGETS:
        raise unknown("tensor", ours, [*TARGETS, DROPPED])
    axes = _axes(text, ours, transposed=bool(match["transposed"]), stated=match["axes"])
    return Entry(theirs, ours, axes, stated=bool(match["transposed"] or match["axes"]))


def _complete(layout: Layout) -> Layout:
    if missing := sorted(REQUIRED - layout.ours()):
        raise UsageError(f"map: nothing is mapped to {', '.join(missing)}; each needs an entry theirs=ours")
    return layout


def _axes(entry: str, ours: str, *, transposed: bool, stated: str | None) -> str:
    axes = list(TARGETS[ours])
    if stated is not None:
        given = [axis for axis in stated.replace("(", " ").replace(")", " ").split() if axis != "1"]
        if transposed or sorted(given) != sorted(axes) or not re.fullmatch(r"(\s*(\w+|\([\w\s]+\)))*\s*", stated):
            raise UsageError(f"map: given {entry!r}, expected the axes of {ours} ({' '.join(axes)}) in their order, and no .T")
        return stated.strip()
    if transposed:
        if len(axes) < 2:
            raise UsageError(f"map: given {entry!r}, but {ours} has one axis only ({axes[0]}): nothing to transpose")
        axes[-2:] = reversed(axes[-2:])
    return " ".join(axes)
