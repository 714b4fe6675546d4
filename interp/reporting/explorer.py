"""The neuron explorer: any neuron's activation over all pairs, made in the page from small tables, beside its best fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from interp.figures.drawing import draw
from interp.figures.neuron_pictures import Neurons, neuron_cells, neuron_traces
from interp.networks.scored_attention import attention_of, odds_of
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
        return self.neurons.read.shape[2] > self._p + 2

    @property
    def _p(self) -> int:
        return self.neurons.attention.shape[-1]

    def figure(self, series: xr.Dataset) -> go.Figure:
        """The two maps, empty: the page fills them."""
        empty = np.zeros((self._p, self._p), dtype=np.float32)
        maps = neuron_traces(empty, empty)
        row = neuron_cells(self._p, activation="Activation", fit="Best fit by one frequency")
        return draw(series, [row], heights=(300,), fixed=maps, alt="Activation of the chosen neuron for all pairs, and its fit.")

    def extra(self, blocks: Blocks) -> Mapping[str, Any]:
        """What the page's script needs, with its arrays put into blocks."""
        neurons = self.neurons
        attention = [
            self._of_head(head, blocks) if kept is None else [blocks.add_modes(kept)] for head, kept in enumerate(self.to_a)
        ]
        stored = {name: blocks.add_modes(one) for name, one in self.kept.items()}
        return {
            "neurons": neurons.write.shape[1], "p": self._p, "heads": len(attention), "steps": list(neurons.steps),
            "attention": attention, **stored, "equals": self._reads_equals, "total": float(neurons.total),
            "activation": neurons.activation, "order": None if neurons.order is None else list(neurons.order),
        }  # fmt: skip

    def _of_head(self, head: int, blocks: Blocks) -> list[int]:
        """The blocks of a head's attention to a and to b."""
        attention = self.neurons.attention[:, head]
        if attention.ndim == 3:
            rows, columns = odds_of(attention)
            known = [blocks.add_odds(rows[:, place], columns[:, place]) for place in (0, 1) if self.neurons.total == 1]
            numbers = [number for number in known if number is not None]
            if len(numbers) == 2:
                return numbers
            attention = attention_of(attention, self.neurons.total)
        return [blocks.add(attention[:, place], drawn=True) for place in (0, 1)]

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
        rounded = {name: one.part(slice(None) if name == "read" else sample) for name, one in self.kept.items()}
        squares, worst = [], 0.0
        for i, attention in enumerate(neurons.attention):
            maps = _maps(attention, neurons.total)
            shown = [
                exactly if found is None else np.stack([found.at(i), neurons.total - found.at(i)])
                for exactly, found in zip(maps, self.to_a, strict=True)
            ]
            exact = activations(neurons, neurons.read[i], neurons.write[i, sample], base=neurons.base[i, sample], attention=maps)
            error = activations(
                neurons, rounded["read"][i], rounded["write"][i], base=rounded["base"][i], attention=np.stack(shown)
            )
            error -= exact
            top = max(float(np.abs(exact).max()), float(np.finfo(np.float32).tiny))
            squares.append(float(np.square(error, out=exact).mean()) / top**2)
            worst = max(worst, float(max(error.max(), -error.min())) / top)
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
    _, _, p, _ = attention.shape
    positions = 3 if read.shape[1] > p + 2 else 2
    value = np.matmul(read, write.transpose(1, 2, 0))
    tokens = read.shape[1] - positions
    of_a, of_b = (value[:, :p] + value[:, tokens + place, None] for place in (0, 1))
    always = base.T
    if positions == 3:  # what goes neither to a nor to b goes to `=`
        of_equals = value[:, p] + value[:, tokens + 2]
        of_a, of_b = of_a - of_equals[:, None], of_b - of_equals[:, None]
        always = always + neurons.total * of_equals.sum(axis=0)
    # For each a a product over the heads, and for each b.
    made = np.matmul(attention[:, 0].transpose(1, 2, 0), of_a.transpose(1, 0, 2))
    made += np.matmul(attention[:, 1].transpose(2, 1, 0), of_b.transpose(1, 0, 2)).transpose(1, 0, 2)
    made += always
    return _NON_LINEARITIES[neurons.activation](made)


def _maps(attention: Float[np.ndarray, "head place *p"], total: float) -> Float[np.ndarray, "head 2 p p"]:
    """Attention to a and to b at one checkpoint, however it is given."""
    if attention.ndim == 3:
        return attention_of(attention, total)
    return attention if attention.shape[1] == 2 else np.concatenate([attention, total - attention], axis=1)


def _gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf  # only here: it takes longer to import than most pages need it

    return 0.5 * x * (1 + erf(x / 2**0.5))


def _rectified(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0, out=x)


_NON_LINEARITIES = {"relu": _rectified, "gelu": _gelu}
