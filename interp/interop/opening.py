"""Opening a file: which format it has, and how its state dicts become Weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp.errors import DataError, UsageError, unknown
from interp.interop import pizza
from interp.interop.containers import limits
from interp.interop.containers.widening import short_precisions, widened
from interp.interop.content import Content, State
from interp.interop.flat_states import step_number
from interp.interop.gathering import Files, gather
from interp.interop.group_models import (
    GroupConfig,
    check_sizes,
    group_config,
    group_layout,
    two_embeddings,
    with_group_config,
)
from interp.interop.guess import Guess
from interp.interop.held_network import Held
from interp.interop.known import Known, UnknownFactError, check_divides, check_heads, divisors
from interp.interop.mapping import DROPPED, mapping_layout, parse_entries
from interp.interop.plain_models import plain_model
from interp.interop.recognising import FORMATS, LAYOUTS, NAMED, recognise
from interp.interop.stored_sizes import check_modulus
from interp.interop.transformer_lens import check_config
from interp.interop.unrepresentable import check_representable
from interp.interop.unsaid_activation import likely_activation
from interp.interop.untrusted import blaming, read_untrusted
from interp.interop.zip_comment import comment_of
from interp.networks.one_layer import Weights
from interp.networks.shapes import ACTIVATIONS, SHAPES, Activation
from interp.networks.tensor_layout import Layout
from interp.networks.two_embeddings import TwoEmbeddings
from interp.store.tensors import unpack_weights

_HEADS = ("n_heads", "n_head", "num_heads", "nhead", "nheads", "heads")
_ACTIVATIONS = ("act_fn", "act_type", "activation")
_TRANSFORMER_LENS = ("transformer-lens", "bridge")

_Read = Callable[[State], Mapping[str, Tensor]]


def open_file(source: Files, format: str, known: Known) -> Opened:
    """Recognise the format of a run's files, or read them in the format that the caller gives.

    Raises:
        UsageError: for an unknown format, a file that does not exist, or a fact that neither the file nor the caller gives.
        DataError: for a file that is damaged, crafted, or of an architecture that cannot be held.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if format == "safetensors" or (format == "auto" and all(map(_is_own, source.files))):
        _check_options("safetensors", known)
        return _open_own(source, known)
    if format != "auto":
        _check_options(format, known)
    path = source.files[-1]
    content = _with_comment(gather(source, known), path)
    why = "it was given"
    if format == "auto":
        format, why = recognise(path, content.states[-1][1], known)
    _check_options(format, known)
    group = group_config(path)
    if group is not None:
        content = with_group_config(content, path, group)
    if format == "groups":
        return _open_group(_Foreign(content, known), why, group)
    opened = _open_foreign(path, format, why, _Foreign(content, known))
    return opened if group is None else _checked(opened, group)


def _open_group(foreign: _Foreign, why: str, group: GroupConfig | None) -> Opened:
    """The MLP of the group-representation code, or its bilinear network."""
    known, content = foreign.known, foreign.content
    for name in ("activation", "attention_rate", "n_heads"):
        if (given := getattr(known, name)) is not None:
            raise UsageError(f"{name}: given {given!r} for the format groups, which states it; leave it out")

    def read(state: State) -> TwoEmbeddings:
        model = two_embeddings(state)
        _finite(model.tensors())
        n, neurons = model.tensors()["embed_a.W_E"].shape
        if group is not None:
            check_sizes(group, n, is_transformer=False)
        limits.check_table(n, neurons + n, insisted=known.large)
        return model

    layout, notes = group_layout(content.states[-1][1])
    named = None if group is None else group.group
    return Opened("groups", content, read, layout, why, content.config, notes, group=named)


def _checked(opened: Opened, group: GroupConfig) -> Opened:
    """A transformer of the group-representation code, checked against its configuration."""

    def read(state: State) -> Held:
        weights = opened.read(state)
        if isinstance(weights, Weights):
            check_sizes(group, weights.p, is_transformer=True)
        return weights

    return replace(opened, read=read, group=group.group)


def _check_options(format: str, known: Known) -> None:
    if known.orientation is not None and format != "names":
        raise UsageError(f"orientation: given {known.orientation!r} for format {format!r}, which states it; leave it out")
    if known.map and format not in ("names", "map"):
        raise UsageError(f"map: given a map with format {format!r}, which has its own; leave one of the two out")


def _with_comment(content: Content, path: Path) -> Content:
    """A file that we exported says its step and activation in its comment."""
    facts = comment_of(path)
    step, (first, *later) = facts.get("step"), content.states
    if later or first[0] is not None or not isinstance(step, int) or isinstance(step, bool) or step < 0:
        return content
    told = {name: value for name, value in facts.items() if name == "act_fn"}
    return replace(content, states=((step, first[1]),), config={**told, **content.config})


def _open_own(source: Files, known: Known) -> Opened:
    """This toolkit's checkpoints, each with its step and model."""
    models: dict[int, Weights] = {}
    for path in source.files:
        if not path.is_file():
            read_untrusted(path)
        with blaming(path):
            limits.check("the file", path.stat().st_size, limits.WHOLE, "bytes")
            step, weights = unpack_weights(path.read_bytes(), where=str(path))
            if step in models:
                raise DataError(f"step {step}, which another file has as well; expected one file a step")
        models[step_number(step, "step")] = weights
    for name in ("activation", "attention_rate", "n_heads"):
        known.settle(name, getattr(weights, name))
    states = [(step, models[step].tensors()) for step in sorted(models)]
    short = short_precisions(state for _, state in states)
    notes = (*source.notes, *([f"stored in {' and '.join(short)}: widened to float32 as it was read"] if short else []))
    content = Content(tuple((step, widened(state)) for step, state in states), config={}, rest={}, notes=notes, precision=short)

    def read(state: State) -> Weights:
        return Weights.from_tensors(
            _finite(_in_one_precision(cast(Mapping[str, Tensor], state))),
            activation=weights.activation,
            attention_rate=weights.attention_rate,
        )

    layout = Layout("this toolkit", {name: (name, " ".join(axes)) for name, axes in SHAPES.items()})
    return Opened("safetensors", content, read, layout, why="it is one of this toolkit's checkpoints")


def _open_foreign(path: Path, format: str, why: str, foreign: _Foreign) -> Opened:
    beside = pizza.read_config(path) if format == "pizza" else None
    config = beside if beside is not None else foreign.content.config
    if format in _TRANSFORMER_LENS:
        check_config(config)
    named, dropped = _said(foreign.known)
    check_representable(foreign.content.states[-1][1], config, named=named, dropped=dropped)
    facts = _Facts.of(path, format, config, beside, foreign.known)
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


def _reader(format: str, foreign: _Foreign, facts: _Facts, stored: object) -> tuple[Layout, _Read, tuple[Guess, ...]]:
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
    apart = any("n_heads" in axes.split() for _, (_, axes) in layout.entries())
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


@dataclass(frozen=True)
class _Foreign:
    content: Content
    known: Known


@dataclass(frozen=True)
class _Facts:
    """What no tensor tells of a model: its activation and attention rate; what was said and guessed of them."""

    activation: Activation | None
    attention_rate: float
    notes: tuple[str, ...]
    guesses: tuple[Guess, ...]
    large: bool
    config: Mapping[str, object]

    @classmethod
    def of(
        cls, path: Path, format: str, config: Mapping[str, object], beside: Mapping[str, object] | None, known: Known
    ) -> _Facts:
        activation = known.settle("activation", _stored_activation(config))
        notes: list[str] = []
        guesses: list[Guess] = []
        if format in _TRANSFORMER_LENS and not config:
            # Normalization without parameters (LNPre) leaves no trace in a state dict.
            notes.append("no configuration is stored: a model without normalization, with causal attention, was assumed")
            guesses.append(Guess("normalization", "none", "no configuration is stored, and LNPre leaves no trace in tensors"))
        rate = known.settle("attention_rate", beside["attn_coeff"] if beside is not None else None)
        if format == "pizza" and rate is None:
            raise DataError(
                "the clock/pizza code keeps the attention rate (attn_coeff) in a .json beside the .pt, and there is none: "
                f"put it at {path.with_suffix('.json').name}, or give the attention rate yourself"
            )
        return cls(
            cast(Activation | None, activation), 1.0 if rate is None else float(cast(float, rate)), tuple(notes),
            tuple(guesses), known.large, config,
        )  # fmt: skip

    def makes(self) -> dict[Activation, Callable[[Mapping[str, Tensor]], Weights]]:
        """How tensors become a model, for each activation that it may have."""
        possible = ACTIVATIONS if self.activation is None else (self.activation,)
        return {name: replace(self, activation=name).weights for name in possible}

    def with_activation(self, read: _Read, state: State) -> _Facts:
        """With the activation with which a model works, if it is not known."""
        if self.activation is not None:
            return self
        tensors, makes = read(state), self.makes()
        found = likely_activation(lambda name: makes[name](tensors))
        return replace(self, activation=found.activation, notes=(*found.notes, *self.notes), guesses=(found.guess, *self.guesses))

    def weights(self, tensors: Mapping[str, Tensor]) -> Weights:
        activation: Activation = self.activation or ACTIVATIONS[0]
        whole = _finite(_in_one_precision(tensors))
        weights = Weights.from_tensors(whole, activation=activation, attention_rate=self.attention_rate)
        check_modulus(self.config, weights)
        limits.check_table(weights.p, weights.d_mlp + weights.classes, insisted=self.large)
        return weights


def _stored_activation(config: Mapping[str, object]) -> str | None:
    stored = next((config[name] for name in _ACTIVATIONS if config.get(name) is not None), None)
    if stored is not None and str(stored).lower() not in ACTIVATIONS:
        raise DataError(f"activation: the file says {stored!r}, expected one of {', '.join(ACTIVATIONS)}")
    return None if stored is None else str(stored).lower()


def _is_own(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with safe_open(path, framework="pt") as file:
            return "interp" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _in_one_precision(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """All in the widest of their precisions, in which every value is the same."""
    kinds = {tensor.dtype for tensor in tensors.values()}
    widest = max(kinds, key=lambda kind: kind.itemsize)
    return tensors if len(kinds) == 1 else {name: tensor.to(widest) for name, tensor in tensors.items()}


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


def _finite(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    wrong = [f"{name}: {int((~t.isfinite()).sum())} of {t.numel()} values are not finite" for name, t in tensors.items()]
    if bad := [text for text, t in zip(wrong, tensors.values(), strict=True) if not bool(t.isfinite().all())]:
        raise DataError("a damaged model:\n  " + "\n  ".join(bad))
    return tensors


@dataclass(frozen=True)
class Opened:
    """A file whose format is known: its content, how to turn a state dict of it into a model, and the group that it names."""

    format: str
    content: Content
    read: Callable[[State], Held]
    layout: Layout
    why: str = ""
    config: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    guesses: tuple[Guess, ...] = ()
    dropped: tuple[str, ...] = ()
    group: str | None = None
