"""Opening a file: which format it has, and how its state dicts become Weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp.errors import DataError, UsageError, unknown
from interp.interop.containers import limits
from interp.interop.containers.widening import short_precisions, widened
from interp.interop.content import Content, State
from interp.interop.flat_states import step_number
from interp.interop.foreign_models import Foreign, open_foreign
from interp.interop.gathering import Files, gather, given_steps
from interp.interop.group_models import (
    GroupConfig,
    check_sizes,
    group_config,
    group_layout,
    two_embeddings,
    with_group_config,
)
from interp.interop.held_network import Held
from interp.interop.known import Known
from interp.interop.opened import Opened, finite, in_one_precision
from interp.interop.recognising import FORMATS, recognise
from interp.interop.stored_settings import joined
from interp.interop.untrusted import blaming, read_untrusted
from interp.interop.zip_comment import comment_of
from interp.networks.one_layer import Weights
from interp.networks.shapes import SHAPES
from interp.networks.tensor_layout import Layout
from interp.networks.two_embeddings import TwoEmbeddings
from interp.store.tensors import unpack_weights


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
        return _open_group(Foreign(content, known), why, group)
    opened = open_foreign(path, format, why, Foreign(content, known))
    return opened if group is None else _checked(opened, group)


def _open_group(foreign: Foreign, why: str, group: GroupConfig | None) -> Opened:
    """The MLP of the group-representation code, or its bilinear network."""
    known, content = foreign.known, foreign.content
    for name in ("activation", "attention_rate", "n_heads"):
        if (given := getattr(known, name)) is not None:
            raise UsageError(f"{name}: given {given!r} for the format groups, which states it; leave it out")

    def read(state: State) -> TwoEmbeddings:
        model = two_embeddings(state)
        finite(model.tensors())
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
    return replace(content, states=((step, first[1]),), config=joined(content.config, told))


def _open_own(source: Files, known: Known) -> Opened:
    """This toolkit's checkpoints, each with its step and model."""
    models: dict[int, Weights] = {}
    given, told = given_steps(source, known) if known.steps else ([], [])
    for at, path in enumerate(source.files):
        if not path.is_file():
            read_untrusted(path)
        with blaming(path):
            limits.check("the file", path.stat().st_size, limits.WHOLE, "bytes")
            step, weights = unpack_weights(path.read_bytes(), where=str(path))
            step = given[at] if given else step
            if step in models:
                raise DataError(f"step {step}, which another file has as well; expected one file a step")
        models[step_number(step, "step")] = weights
    for name in ("activation", "attention_rate", "n_heads"):
        known.settle(name, getattr(weights, name))
    states = [(step, models[step].tensors()) for step in sorted(models)]
    short = short_precisions(state for _, state in states)
    notes = (*source.notes, *told, *([f"stored in {' and '.join(short)}: widened to float32 as it was read"] if short else []))
    content = Content(tuple((step, widened(state)) for step, state in states), config={}, rest={}, notes=notes, precision=short)

    def read(state: State) -> Weights:
        return Weights.from_tensors(
            finite(in_one_precision(cast(Mapping[str, Tensor], state))),
            activation=weights.activation,
            attention_rate=weights.attention_rate,
        )

    layout = Layout("this toolkit", {name: (name, " ".join(axes)) for name, axes in SHAPES.items()})
    return Opened("safetensors", content, read, layout, why="it is one of this toolkit's checkpoints")


def _is_own(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with safe_open(path, framework="pt") as file:
            return "interp" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False
