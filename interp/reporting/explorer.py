"""The neuron explorer: any neuron's activation over all pairs, made in the page from small tables, beside its best fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.special import erf

from interp.figures import draw
from interp.figures.neuron_pictures import neuron_cells, neuron_traces
from interp.reporting.assembly import Panel
from interp.reporting.blocks import TOLERANCE, Blocks
from interp.reporting.modes import Modes, close_modes, modes

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

# Bytes that the tables of all checkpoints may take, before base64 makes them a third more.
BUDGET = 1_400_000
# The error that this costs is measured at every checkpoint, for so many neurons.
SAMPLE = 8

TITLE = "What does one neuron do?"
CAPTION = """\
The activation of a single neuron for every a (up) and b (to the right), and the best fit to it by waves of one frequency.
Choose a neuron by its number, or click on its dot in the figure of all neurons above; the slider shows how it came about. A
neuron of the circuit shows a pattern of one frequency; one that memorizes shows none.

Measured: activation after the non-linearity, computed in this page from tables over single tokens and neurons, which are kept
for every checkpoint with rounding. {error}
Fit = mean plus projection on the eight waves {{1, cos w_k, sin w_k}}(a) x {{1, cos w_k, sin w_k}}(b) of the frequency k that
explains most.{order}"""
# For multiplication, whose waves are over exponents.
EXPONENTS = """ Here a and b are counted by their exponents to a primitive root (modulo {modulus}), as in the figure of all
neurons above; pairs with 0 have none, and are left out of the fit."""


class Tables(Protocol):
    """What is needed of `interp.networks.neuron_tables.NeuronTables`, which says what they mean."""

    @property
    def attention(self) -> np.ndarray: ...  # noqa: D102  told there
    @property
    def read(self) -> np.ndarray: ...  # noqa: D102  told there
    @property
    def write(self) -> np.ndarray: ...  # noqa: D102  told there
    @property
    def base(self) -> np.ndarray: ...  # noqa: D102  told there
    @property
    def total(self) -> float: ...  # noqa: D102  told there
    @property
    def activation(self) -> str: ...  # noqa: D102  told there


def explorer(steps: Sequence[int], tables: Sequence[Tables], *, order: Sequence[int] | None = None) -> Panel:
    """The panel that shows one neuron, for checkpoints given with their tables.

    Args:
        steps: of the checkpoints.
        tables: of the checkpoints.
        order: the residues over whose places in this order the waves are taken; as they are by default.
    """
    heads, _, p, _ = tables[0].attention.shape
    neurons, equals = len(tables[0].write), tables[0].read.shape[1] > p + 2
    kept = dict(
        zip(_KEPT, modes([np.stack([getattr(one, name) for one in tables]) for name in _KEPT], budget=BUDGET), strict=True)
    )
    # Attention with `=` is kept by its factors, nearly exactly (see blocks.py); without, what does not go to a goes to b.
    to_a = [None if equals else close_modes(_attention(tables, head, 0), tolerance=TOLERANCE) for head in range(heads)]

    def figure(series: xr.Dataset) -> go.Figure:
        empty = np.zeros((p, p), dtype=np.float32)
        maps, row = neuron_traces(empty, empty), neuron_cells(p, activation="Activation", fit="Best fit by one frequency")
        return draw(series, [row], heights=(300,), fixed=maps, alt="Activation of the chosen neuron for all pairs, and its fit.")

    def extra(blocks: Blocks) -> Mapping[str, Any]:
        attention = [
            [blocks.add(_attention(tables, head, place), drawn=True) for place in (0, 1)]
            if kept is None
            else [blocks.add_modes(kept)]
            for head, kept in enumerate(to_a)
        ]
        stored = {name: blocks.add_modes(one) for name, one in kept.items()}
        first = tables[0]
        return {
            "neurons": neurons, "p": p, "heads": heads, "steps": list(steps), "attention": attention, **stored, "equals": equals,
            "total": float(first.total), "activation": first.activation,
            "order": None if order is None else list(order),
        }  # fmt: skip

    caption = CAPTION.format(
        error=_in_words(*_errors(tables, kept, to_a)), order="" if order is None else EXPONENTS.format(modulus=len(order))
    )
    return Panel("neuron", TITLE, caption, figure, definitions=("neurons",), extra=extra)


_KEPT = ("read", "write", "base")


def _attention(tables: Sequence[Tables], head: int, place: int) -> np.ndarray:
    return np.stack([one.attention[head, place] for one in tables])


def _errors(tables: Sequence[Tables], kept: Mapping[str, Modes], to_a: Sequence[Modes | None]) -> tuple[float, float]:
    """What rounding costs, as shares of a checkpoint's largest activation: root mean square over all of them, and the worst."""
    sample = np.linspace(0, len(tables[0].write) - 1, SAMPLE).astype(int)
    squares, worst = [], 0.0
    for i, one in enumerate(tables):
        read, write, base = (kept[name].at(i) for name in _KEPT)
        exact = _activations(one, one.read, one.write[sample], one.base[sample], one.attention)
        attention = np.stack([
            exactly if found is None else np.stack([found.at(i), one.total - found.at(i)])
            for exactly, found in zip(one.attention, to_a, strict=True)
        ])  # fmt: skip
        error = _activations(one, read, write[sample], base[sample], attention) - exact
        top = max(float(np.abs(exact).max()), float(np.finfo(np.float32).tiny))
        squares.append(float(np.square(error / top).mean()))
        worst = max(worst, float(np.abs(error).max()) / top)
    return float(np.sqrt(np.mean(squares))), worst


def _in_words(typical: float, worst: float) -> str:
    return (
        f"What that costs was measured at every checkpoint, for {SAMPLE} neurons: typically {100 * typical:.2g} %, at worst "
        f"{100 * worst:.2g} % of their largest activation."
    )


def _activations(tables: Tables, read: np.ndarray, write: np.ndarray, base: np.ndarray, attention: np.ndarray) -> np.ndarray:
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
            made += (tables.total - to_a - to_b)[..., None] * (value[head, p] + value[head, tokens + 2])
    return _NON_LINEARITIES[tables.activation](made)


def _gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / 2**0.5))


def _rectified(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


_NON_LINEARITIES = {"relu": _rectified, "gelu": _gelu}
