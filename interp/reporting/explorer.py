"""The neuron explorer: any neuron's activation over all pairs, made in the page from small tables, beside its best fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy.special import erf

from interp.figures.drawing import draw
from interp.figures.neuron_pictures import Neurons, neuron_cells, neuron_traces
from interp.reporting.blocks import TOLERANCE, Blocks
from interp.reporting.modes import Modes, close_modes, modes

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

# Bytes that the tables of all checkpoints may take, before base64 makes them a third larger.
BUDGET = 1_400_000
# The error from rounding is measured at every checkpoint, for this many neurons.
SAMPLE = 8
# For multiplication, whose waves are over exponents.
EXPONENTS = (
    "Here a and b are counted by their exponents to a primitive root (modulo {modulus}), as in the figure of all neurons above; "
    "pairs with 0 have none, and are left out of the fit."
)
_KEPT = ("read", "write", "base")


@dataclass(frozen=True, eq=False)
class Explorer:
    """The tables of all checkpoints as the page keeps them."""

    neurons: Neurons

    @cached_property
    def kept(self) -> Mapping[str, Modes]:
        """The tables over tokens and neurons, as the patterns they are made of."""
        found = modes([getattr(self.neurons, name) for name in _KEPT], budget=BUDGET)
        return dict(zip(_KEPT, found, strict=True))

    @cached_property
    def to_a(self) -> Sequence[Modes | None]:
        """Attention of every head to a, where the model does not read `=`: what does not go to a then goes to b.

        With `=`, None: attention is kept by its factors, nearly exactly (see blocks.py).
        """
        heads = self.neurons.attention.shape[1]
        maps = [None if self._reads_equals else self.neurons.attention[:, head, 0] for head in range(heads)]
        return [None if one is None else close_modes(one, tolerance=TOLERANCE) for one in maps]

    @property
    def _reads_equals(self) -> bool:
        return self.neurons.read.shape[2] > self.neurons.attention.shape[-1] + 2

    def figure(self, series: xr.Dataset) -> go.Figure:
        """The two maps, empty: the page fills them."""
        p = self.neurons.attention.shape[-1]
        empty = np.zeros((p, p), dtype=np.float32)
        maps, row = neuron_traces(empty, empty), neuron_cells(p, activation="Activation", fit="Best fit by one frequency")
        return draw(series, [row], heights=(300,), fixed=maps, alt="Activation of the chosen neuron for all pairs, and its fit.")

    def extra(self, blocks: Blocks) -> Mapping[str, Any]:
        """What the page's script needs, with its arrays put into blocks."""
        neurons = self.neurons
        _, heads, _, p, _ = neurons.attention.shape
        attention = [
            [blocks.add(neurons.attention[:, head, place], drawn=True) for place in (0, 1)]
            if kept is None
            else [blocks.add_modes(kept)]
            for head, kept in enumerate(self.to_a)
        ]
        stored = {name: blocks.add_modes(one) for name, one in self.kept.items()}
        return {
            "neurons": neurons.write.shape[1], "p": p, "heads": heads, "steps": list(neurons.steps), "attention": attention,
            **stored, "equals": self._reads_equals, "total": float(neurons.total), "activation": neurons.activation,
            "order": None if neurons.order is None else list(neurons.order),
        }  # fmt: skip

    @property
    def remark(self) -> str:
        """The error from rounding, and how a and b are counted."""
        typical, worst = self.errors()
        cost = (
            f"The error from rounding, measured at every checkpoint for {SAMPLE} neurons, is typically {100 * typical:.2g} % "
            f"and at worst {100 * worst:.2g} % of their largest activation."
        )
        order = self.neurons.order
        return cost if order is None else f"{cost} {EXPONENTS.format(modulus=len(order))}"

    def errors(self) -> tuple[float, float]:
        """The error from rounding, as shares of a checkpoint's largest activation: root mean square over all, and the worst."""
        neurons = self.neurons
        sample = np.linspace(0, neurons.write.shape[1] - 1, SAMPLE).astype(int)
        squares, worst = [], 0.0
        for i, attention in enumerate(neurons.attention):
            read, write, base = (self.kept[name].at(i) for name in _KEPT)
            exact = activations(
                neurons, neurons.read[i], neurons.write[i, sample], base=neurons.base[i, sample], attention=attention
            )
            rounded = np.stack([
                exactly if found is None else np.stack([found.at(i), neurons.total - found.at(i)])
                for exactly, found in zip(attention, self.to_a, strict=True)
            ])  # fmt: skip
            error = activations(neurons, read, write[sample], base=base[sample], attention=rounded) - exact
            top = max(float(np.abs(exact).max()), float(np.finfo(np.float32).tiny))
            squares.append(float(np.square(error / top).mean()))
            worst = max(worst, float(np.abs(error).max()) / top)
        return float(np.sqrt(np.mean(squares))), worst


def activations(
    neurons: Neurons,
    read: Float[np.ndarray, "head row d_head"],
    write: Float[np.ndarray, "neuron head d_head"],
    *,
    base: Float[np.ndarray, "neuron column"],
    attention: Float[np.ndarray, "head 2 p p"],
) -> Float[np.ndarray, "p p neuron"]:
    """Activations (a, b, neuron) of some neurons; the formula is that of `interp.networks.neuron_tables`."""
    heads, _, p, _ = attention.shape
    positions = 3 if read.shape[1] > p + 2 else 2
    value = np.einsum("hre,nhe->hrn", read, write)
    tokens = read.shape[1] - positions
    made = np.repeat(base.T[None], p, axis=0) if base.shape[1] > 1 else np.tile(base[:, 0], (p, p, 1))
    for head in range(heads):
        to_a, to_b = attention[head]
        at = [value[head, :p] + value[head, tokens + place] for place in (0, 1)]
        made = made + to_a[..., None] * at[0][:, None] + to_b[..., None] * at[1][None]
        if positions == 3:
            made += (neurons.total - to_a - to_b)[..., None] * (value[head, p] + value[head, tokens + 2])
    return _NON_LINEARITIES[neurons.activation](made)


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / 2**0.5))


def _rectified(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


_NON_LINEARITIES = {"relu": _rectified, "gelu": _gelu}
