"""Which format a state dict has, by most of its names: one that is missing or surplus does not make it another format's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from interp.interop import pizza
from interp.interop.group_models import is_group_mlp
from interp.interop.known import Known
from interp.interop.nanda import OFFICIAL
from interp.interop.transformer_lens import IGNORE, LEGACY
from interp.networks.bridge import BRIDGE
from interp.networks.shapes import REQUIRED
from interp.networks.tensor_layout import Layout
from interp.wording import counted

Format = Literal["auto", "official", "transformer-lens", "bridge", "pizza", "groups", "safetensors", "names", "map"]
FORMATS: tuple[Format, ...] = get_args(Format)
LAYOUTS: dict[str, Layout] = {"official": OFFICIAL, "pizza": OFFICIAL, "transformer-lens": LEGACY, "bridge": BRIDGE}
# Which formats have names of their own, for messages.
NAMED = "official, transformer-lens, bridge, pizza, groups, safetensors"


def recognise(path: Path, state: Mapping[str, object], known: Known) -> tuple[str, str]:
    """The format of a state dict, and why it was taken for that; ``names`` if it has the names of no format."""
    if known.map:
        return "names", "a map was given: what it does not say is read by usual names"
    if is_group_mlp(state):
        return "groups", "it has W_x, W_y and W_U, as the group-representation code names them"
    best = max((OFFICIAL, LEGACY, BRIDGE), key=lambda layout: _share(layout, state))
    share = _share(best, state)
    if share <= 0.5:
        return "names", "it has the names of no known format"
    here = counted(sum(name in state for name in _required(best)), "name")
    if best is BRIDGE:
        return "bridge", f"{here} of {len(_required(best))} that a TransformerLens 4 bridge always has"
    why = f"{here} of {len(_required(best))} that TransformerLens and the official code share"
    if _is_legacy(state):
        return "transformer-lens", f"{why}, and heads that are apart in W_O"
    sign = _pizza_sign(path, state, known)
    return ("pizza" if sign else "official"), f"{why}, heads merged in W_O, {sign or 'three positions and no attention rate'}"


def _pizza_sign(path: Path, state: Mapping[str, object], known: Known) -> str:
    positions = state.get("pos_embed.W_pos")
    if isinstance(positions, Tensor) and positions.ndim and len(positions) == 2:
        return "two positions"  # the official code always reads `=`
    return "an attention rate" if known.attention_rate is not None or pizza.read_config(path) is not None else ""


def _is_legacy(state: Mapping[str, object]) -> bool:
    """W_O has three axes in TransformerLens, two in the official code; if it is not there, what else fits."""
    output = state.get("blocks.0.attn.W_O")
    if isinstance(output, Tensor) and output.ndim in (2, 3):
        return output.ndim == 3
    if IGNORE in state or any(name in state for name in ("blocks.0.attn.b_Q", "unembed.b_U")):
        return True
    return len(LEGACY.misfits(state)[0]) < len(OFFICIAL.misfits(state)[0])


def _required(layout: Layout) -> list[str]:
    return [name for name, (ours, _) in layout.tensors.items() if ours in REQUIRED]


def _share(layout: Layout, state: Mapping[str, object]) -> float:
    names = _required(layout)
    return sum(name in state for name in names) / len(names)
