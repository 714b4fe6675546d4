"""One neuron for all pairs (a, b), beside its best fit by waves of one frequency: its picture, and the tables pages draw from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from interp.figures.cells import Cell, on
from interp.figures.drawing import Trace


def neuron_cells(p: int, *, activation: str, fit: str) -> list[Cell]:
    """The two squares, b to the right and a up, under their titles."""
    edge = (-0.5, p - 0.5)
    return [Cell(title, x="b", y="a", square=True, x_range=edge, y_range=edge) for title in (activation, fit)]


def neuron_traces(activation: Float[np.ndarray, "p p"], fit: Float[np.ndarray, "p p"], *, scale: bool = False) -> list[Trace]:
    """The two maps in the same colours, from 0 (or the least activation, if that is below) to the largest.

    Args:
        activation: rows are a, columns b.
        fit: the same; NaN is left empty.
        scale: draw the scale of these colours beside them.
    """
    low, high = min(0.0, float(activation.min())), max(0.0, float(activation.max()))
    look = {
        "type": "heatmap", "zmin": low, "zmax": high if high > low else 1.0, "colorbar": {"ypad": 0},
        "hovertemplate": "a = %{y}, b = %{x}<br>%{z:.3f}<extra></extra>",
    }  # fmt: skip
    beside = 2 if np.isfinite(fit).any() else 1  # a map of nothing has no scale
    return [
        {**look, "z": z, "showscale": scale and cell == beside, **on(cell)} for cell, z in enumerate((activation, fit), start=1)
    ]


@dataclass(frozen=True, eq=False)
class Neurons:
    """What an analysis of kind ``explorer`` draws: the neurons of every checkpoint, as tables from which the page makes maps.

    `interp.networks.neuron_tables` says how the tables are put together.

    Args:
        steps: of the checkpoints.
        attention: from the last position to a and to b; to a alone, where nothing else is left for b; or in little space, where
            the model reads `=`, their scores less that of `=`, from which attention is made.
        read: what a head reads of every token, then of every position.
        write: what each neuron makes of a head's value.
        base: what does not go through a head.
        total: the sum of a head's attention over all positions.
        activation: the non-linearity.
        order: the residues, in the order over which the waves of the fit are taken; ascending by default.
    """

    steps: Sequence[int]
    attention: Float[np.ndarray, "step head place *p"]
    read: Float[np.ndarray, "step head row d_head"]
    write: Float[np.ndarray, "step d_mlp head d_head"]
    base: Float[np.ndarray, "step d_mlp column"]
    total: float
    activation: Literal["relu", "gelu"]
    order: Sequence[int] | None = None
