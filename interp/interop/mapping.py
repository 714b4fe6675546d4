"""A plain mapping for files of any other code: it says which tensor is which, and states every transposition."""

from __future__ import annotations

import re
from collections.abc import Sequence

from interp.errors import UsageError, unknown
from interp.networks.shapes import REQUIRED, SHAPES
from interp.networks.tensor_layout import Layout

_ENTRY = re.compile(r"(?P<theirs>[^=\[\]]+?)(?P<transposed>\.T)?(\[(?P<axes>[^\]]*)\])?=(?P<ours>[^=]+)")
DROPPED = "-"


def mapping_layout(entries: Sequence[str]) -> Layout:
    """The layout given by entries ``theirs=ours``.

    ``theirs=W_E`` takes a tensor as it is; ``theirs.T=W_E`` swaps its last two axes; ``theirs[d_model (n_heads d_head)]=W_O``
    names its axes, for heads merged into one axis; ``theirs=-`` drops a tensor. Our names and axes are those of
    `interp.networks.one_layer.SHAPES`.

    >>> mapping_layout(["tok.T=W_E", *(f"{name}={name}" for name in SHAPES if name[0] == "W" and name != "W_E")]).tensors["tok"]
    ('W_E', 'd_model d_vocab')

    Raises:
        UsageError: if an entry is not of this form, a name is unknown or given twice, or a required tensor is not mapped.
    """
    tensors: dict[str, tuple[str, str]] = {}
    dropped: set[str] = set()
    for entry in entries:
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise UsageError(f"map: given {entry!r}, expected theirs=ours, theirs.T=ours, theirs[axes]=ours or theirs=-")
        theirs, ours = match["theirs"].strip(), match["ours"].strip()
        if theirs in tensors or theirs in dropped:
            raise UsageError(f"map: {theirs!r} is given twice")
        if ours == DROPPED:
            dropped.add(theirs)
            continue
        if ours not in SHAPES:
            raise unknown("tensor", ours, [*SHAPES, DROPPED])
        if ours in {taken for taken, _ in tensors.values()}:
            raise UsageError(f"map: {ours} is given twice")
        tensors[theirs] = ours, _axes(entry, ours, transposed=bool(match["transposed"]), stated=match["axes"])
    if missing := sorted(REQUIRED - {ours for ours, _ in tensors.values()}):
        raise UsageError(f"map: nothing is mapped to {', '.join(missing)}; each needs an entry theirs=ours")
    merged_last = sorted(tensors.items(), key=lambda item: "(" in item[1][1])
    return Layout(name="the given map", tensors=dict(merged_last), constants=frozenset(dropped))


def _axes(entry: str, ours: str, *, transposed: bool, stated: str | None) -> str:
    axes = list(SHAPES[ours])
    if stated is not None:
        given = stated.replace("(", " ").replace(")", " ").split()
        if transposed or sorted(given) != sorted(axes) or not re.fullmatch(r"(\s*(\w+|\([\w\s]+\)))*\s*", stated):
            raise UsageError(f"map: given {entry!r}, expected the axes of {ours} ({' '.join(axes)}) in their order, and no .T")
        return stated.strip()
    if transposed:
        if len(axes) < 2:
            raise UsageError(f"map: given {entry!r}, but {ours} has one axis only ({axes[0]}): nothing to transpose")
        axes[-2:] = reversed(axes[-2:])
    return " ".join(axes)
