"""Opening a one-layer transformer that another program wrote: its layout, its heads, and what its tensors do not tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from interp.errors import DataError, UsageError
from interp.interop import pizza
from interp.interop.content import Content, State
from interp.interop.guess import Guess
from interp.interop.known import Known, UnknownFactError, check_divides, check_heads, divisors
from interp.interop.mapping import DROPPED, mapping_layout, parse_entries
from interp.interop.opened import Opened
from interp.interop.plain_models import plain_model
from interp.interop.recognising import LAYOUTS, NAMED
from interp.interop.transformer_lens import check_config
from interp.interop.unrepresentable import check_representable
from interp.interop.untold_facts import TRANSFORMER_LENS, Read, UntoldFacts
from interp.networks.one_layer import Weights
from interp.networks.tensor_layout import Layout

_HEADS = ("n_heads", "n_head", "num_heads", "nhead", "nheads", "heads")


@dataclass(frozen=True)
class Foreign:
    """What was read of a run, and what the caller knows of it."""

    content: Content
    known: Known


def open_foreign(path: Path, format: str, why: str, foreign: Foreign) -> Opened:
    """A file of a known format, with what its tensors do not tell settled or guessed.

    Raises:
        UsageError: for a fact that neither the file nor the caller gives.
        DataError: for an architecture that cannot be held, or a file that contradicts itself.
    """
    beside = pizza.read_config(path) if format == "pizza" else None
    config = beside if beside is not None else foreign.content.config
    if format in TRANSFORMER_LENS:
        # Of the activation the caller may know better: `UntoldFacts` checks it, for every format.
        check_config({name: value for name, value in config.items() if name != "act_fn"})
    named, dropped = _said(foreign.known)
    check_representable(foreign.content.states[-1][1], config, named=named, dropped=dropped)
    facts = UntoldFacts.of(path, format, config, beside, foreign.known)
    stored = None if beside is not None else next((config[name] for name in _HEADS if name in config), None)
    layout, read, guesses = _reader(format, foreign, facts, stored)
    facts = facts.with_activation(read, foreign.content.states[-1][1])

    def weights_of(state: State) -> Weights:
        weights = facts.weights(read(state))
        if beside is not None:
            pizza.check_config(beside, weights)
        return weights

    content = foreign.content
    mixed = _mixed(content.states[-1][1], layout)
    return Opened(
        format,
        content,
        weights_of,
        layout,
        why,
        config,
        (*facts.notes, *mixed),
        (*guesses, *facts.guesses),
        tuple(sorted(dropped)),
    )


def _reader(format: str, foreign: Foreign, facts: UntoldFacts, stored: object) -> tuple[Layout, Read, tuple[Guess, ...]]:
    """The layout of a format's state dicts, how they are read, and what was guessed."""
    known, state = foreign.known, foreign.content.states[-1][1]
    try:
        check_heads("n_heads of the configuration", stored)
    except UsageError as error:  # the file is at fault
        raise DataError(str(error)) from error
    given = known.settle("n_heads", stored)
    n_heads = given if isinstance(given, int) else None
    if format == "names":
        found = plain_model(state, known=known, n_heads=n_heads, formats=f" ({NAMED})", makes=facts.makes())
        return found.layout, found.read, found.guesses
    layout = mapping_layout(known.map) if format == "map" else LAYOUTS[format]
    _check_heads(format, layout, state, n_heads)
    sizes = {} if n_heads is None else {"n_heads": n_heads}
    return layout, lambda state: layout.read(state, sizes), ()


def _said(known: Known) -> tuple[set[str], set[str]]:
    """Names of the tensors of which a map says what they are, and of those that it drops."""
    entries = parse_entries(known.map)
    dropped = {entry.theirs for entry in entries if entry.ours == DROPPED}
    return {entry.theirs for entry in entries} - dropped, dropped


def _check_heads(format: str, layout: Layout, state: State, n_heads: int | None) -> None:
    """Error if every tensor merges the heads, and nothing tells their number, or what does cannot be it."""
    merged = [name for name, (ours, axes) in layout.tensors.items() if ours in ("W_Q", "W_QKV") and "(" in axes and name in state]
    apart = any("n_heads" in re.sub(r"\([^)]*\)", "", axes).split() for _, (_, axes) in layout.entries())
    if not merged or apart:
        return
    width = _merged_width(state[merged[0]], layout.tensors[merged[0]][1])
    if n_heads is not None:
        check_divides(n_heads, width)
        return
    possible = divisors(width)
    what = "a TransformerLens 4 state dict" if format == "bridge" else "this map"
    raise UnknownFactError(
        f"n_heads: {what} merges the heads and does not tell their number, which divides the width "
        f"({', '.join(map(str, possible))})",
        {"n_heads": 4 if 4 in possible else 1},
    )


def _merged_width(tensor: object, axes: str) -> int:
    """The size of the axis in which heads are merged, of queries alone; 0 if the tensor has other axes."""
    groups = re.findall(r"\([^)]*\)|\S+", axes)
    if not isinstance(tensor, Tensor) or tensor.ndim != len(groups):
        return 0
    at = next(i for i, group in enumerate(groups) if "n_heads" in group)
    return tensor.shape[at] // (3 if "qkv" in groups[at] else 1)


def _mixed(state: State, layout: Layout) -> tuple[str, ...]:
    kinds = sorted(
        {
            str(value.dtype)
            for name, _ in layout.entries()
            if isinstance(value := state.get(name), Tensor) and value.is_floating_point()
        }
    )
    told = " and ".join(kind.removeprefix("torch.") for kind in kinds)
    return (f"stored in {told}: all was widened to the widest as it was read",) if len(kinds) > 1 else ()
