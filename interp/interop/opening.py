"""Opening a file: which format it has, and how its state dicts become Weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from safetensors import SafetensorError, safe_open
from torch import Tensor

from interp.errors import DataError, UsageError, unknown
from interp.interop import pizza
from interp.interop.containers import limits
from interp.interop.containers.widening import short_precisions, widened
from interp.interop.content import Content, State
from interp.interop.flat_states import step_number
from interp.interop.gathering import Files, gather
from interp.interop.known import Known
from interp.interop.mapping import mapping_layout
from interp.interop.nanda import OFFICIAL
from interp.interop.transformer_lens import LEGACY, check_config
from interp.interop.untrusted import blaming, read_untrusted
from interp.networks.bridge import BRIDGE
from interp.networks.one_layer import Weights
from interp.networks.shapes import ACTIVATIONS, Activation
from interp.networks.tensor_layout import Layout
from interp.store.tensors import unpack_weights

Format = Literal["auto", "official", "transformer-lens", "bridge", "pizza", "safetensors", "map"]
FORMATS: tuple[Format, ...] = get_args(Format)

_LAYOUTS: dict[str, Layout] = {"official": OFFICIAL, "pizza": OFFICIAL, "transformer-lens": LEGACY, "bridge": BRIDGE}


def open_file(source: Files, format: str, known: Known) -> Opened:
    """Recognise the format of a run's files, or read them in the format that the caller gives.

    Raises:
        UsageError: for an unknown format, a file that does not exist, or a fact that neither the file nor the caller gives.
        DataError: for a file that is damaged, crafted, or of no known format.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if known.map and format != "map":
        raise UsageError(f"map: given a map with format {format!r}, expected format 'map'")
    if format == "safetensors" or (format == "auto" and all(map(_is_own, source.files))):
        return _open_own(source, known)
    content, path = gather(source, known), source.files[-1]
    found = _recognise(path, content.states[-1][1], known) if format == "auto" else format
    return _open_foreign(path, found, content, known)


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
            _finite(cast(Mapping[str, Tensor], state)), activation=weights.activation, attention_rate=weights.attention_rate
        )

    return Opened("safetensors", content, read)


def _open_foreign(path: Path, format: str, content: Content, known: Known) -> Opened:
    beside = pizza.read_config(path) if format == "pizza" else None
    config = beside if beside is not None else content.config
    layout = mapping_layout(known.map) if format == "map" else _LAYOUTS[format]
    if format in ("transformer-lens", "bridge"):
        check_config(config)
    activation = known.settle("activation", _stored_activation(config))
    notes = [] if activation else ["the activation is not stored: relu was assumed"]
    if format in ("transformer-lens", "bridge") and not config:
        # Normalization without parameters (LNPre) leaves no trace in a state dict.
        notes.append("no configuration is stored: a model without normalization, with causal attention, was assumed")
    rate = known.settle("attention_rate", beside["attn_coeff"] if beside is not None else None)
    if format == "pizza" and rate is None:
        raise DataError(
            "the clock/pizza code keeps the attention rate (attn_coeff) in a .json beside the .pt, and there is none: "
            f"put it at {path.with_suffix('.json').name}, or give the attention rate yourself"
        )
    n_heads = known.settle("n_heads", config.get("n_heads"))
    if n_heads is None and "(" in layout.tensors.get("blocks.0.attn.q.weight", ("", ""))[1]:
        raise UsageError("n_heads: a TransformerLens 4 state dict merges the heads and does not tell their number; give n_heads")

    def read(state: State) -> Weights:
        sizes = {"n_heads": n_heads} if isinstance(n_heads, int) and beside is None else {}
        weights = Weights.from_tensors(
            _finite(layout.read(state, sizes)),
            activation=cast(Activation, activation or ACTIVATIONS[0]),
            attention_rate=1.0 if rate is None else float(cast(float, rate)),
        )
        limits.check_table(weights.p, weights.d_mlp + weights.classes, insisted=known.large)
        if beside is not None:
            pizza.check_config(beside, weights)
        return weights

    return Opened(format, content, read, config, tuple(notes))


def _stored_activation(config: Mapping[str, object]) -> str | None:
    stored = config.get("act_fn", config.get("act_type"))
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


def _recognise(path: Path, state: State, known: Known) -> str:
    """The format of a state dict by its names. W_O has three axes in TransformerLens, two in the official code and its kin."""
    if "embed.weight" in state:
        return "bridge"
    output = state.get("blocks.0.attn.W_O")
    if "embed.W_E" not in state or not isinstance(output, Tensor):
        names = ", ".join(sorted(state)[:12])
        raise DataError(
            f"given tensors named {names}{', ...' if len(state) > 12 else ''}, which is no known format "
            f"({', '.join(FORMATS[1:-1])}); use format 'map' and say which tensor is which (--map theirs=ours)"
        )
    if output.ndim == 3:
        return "transformer-lens"
    positions = state.get("pos_embed.W_pos")
    two = isinstance(positions, Tensor) and len(positions) == 2  # the official code always reads `=`
    return "pizza" if two or known.attention_rate is not None or pizza.read_config(path) is not None else "official"


def _finite(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    kinds = {tensor.dtype for tensor in tensors.values()}
    if len(kinds) > 1:
        raise DataError(f"given tensors of {' and '.join(sorted(map(str, kinds)))}, expected one precision for all")
    wrong = [f"{name}: {int((~t.isfinite()).sum())} of {t.numel()} values are not finite" for name, t in tensors.items()]
    if bad := [text for text, t in zip(wrong, tensors.values(), strict=True) if not bool(t.isfinite().all())]:
        raise DataError("a damaged model:\n  " + "\n  ".join(bad))
    return tensors


@dataclass(frozen=True)
class Opened:
    """A file whose format is known: its content, and how to turn one of its state dicts into Weights."""

    format: str
    content: Content
    read: Callable[[State], Weights]
    config: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
