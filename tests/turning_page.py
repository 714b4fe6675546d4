"""The page with the neuron explorer, and a figure in which everything turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from exploring import explorer
from growing import DIALS, STEPS, built_in, growing

from interp.figures import TRAIN, WHEEL, Cell, curve, draw, faded, on
from interp.networks.neuron_tables import neuron_tables
from interp.reporting import Panel, page
from interp.reporting.write import panels


def with_explorer(path: Path) -> Path:
    """Write the page of the growing circuit with the neuron explorer, and the figure that turns."""
    analyses, series = built_in()
    shown = panels(series, analyses)
    neurons = explorer(STEPS, [neuron_tables(growing(dial)) for dial in DIALS])
    path.write_text(page(series, [*shown, neurons, Panel("turning", "Turning?", "It turns.", turning)]).html, encoding="utf-8")
    return path


def turning(series) -> go.Figure:
    """A spiral that turns, its points joined and coloured by their angle, with gaps; a threshold that stays."""
    angles = np.linspace(0, 2 * np.pi, 40)
    angles[[7, 20]] = np.nan

    def at(i: int) -> list[dict]:
        x, y = np.cos(angles + i / 2) * angles / 7, np.sin(angles + i / 2) * angles / 7
        marker = {"size": 9, "color": angles, "cmin": 0, "cmax": 2 * np.pi, "colorscale": [list(stop) for stop in WHEEL]}
        look = {"mode": "lines+markers", "line": {"color": faded(TRAIN, 0.4), "width": 1}, "marker": marker, "showlegend": False}
        return [{"type": "scatter", "x": x, "y": y, **look, **on(1)}]

    threshold = curve([-1, 1], [0.3, 0.3], name="threshold", colour=TRAIN, dash="dash", legend=False)
    cell = Cell("spiral", square=True, bare=True, x_range=(-1, 1), y_range=(-1, 1))
    return draw(series, [[cell]], heights=(220,), fixed=[threshold], moving=at)
