"""The accuracies of ideal clocks that are made of what the neurons say, over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from interp.figures.theme import CYCLE, TEST, template

if TYPE_CHECKING:
    import plotly.graph_objects as go


def readout_figure(
    steps: Sequence[int], columns: Mapping[str, Sequence[float]], *, theme: Literal["light", "dark"] = "light"
) -> go.Figure:
    """A line for each column over the steps: what `interp.readout` returned; controls are dotted.

    Args:
        steps: of the rows.
        columns: an accuracy at each step, by its name.
        theme: light or dark.
    """
    import plotly.graph_objects as go

    lines = [
        go.Scatter(
            x=list(steps),
            y=list(values),
            name=name.replace("_", " "),
            mode="lines+markers",
            line={
                "color": TEST if name == "test_accuracy" else CYCLE[number % len(CYCLE)],
                "dash": "dot" if name.startswith("random") else "solid",
                "width": 5 if not number else 2,  # of two that lie on each other, as in a trained network, both are seen
            },
        )
        for number, (name, values) in enumerate(columns.items())
    ]
    layout = {
        "template": template(theme),
        "width": 960,
        "height": 420,
        "title": {"text": "An ideal clock made of the neurons", "x": 0.01},
        "margin": {"t": 92, "l": 60, "r": 20, "b": 50},
        "xaxis": {"title": {"text": "step"}},
        "yaxis": {"title": {"text": "share right"}, "range": [-0.02, 1.02]},
        "meta": {"alt": "Accuracy of the ideal clocks and of the network at each step."},
    }
    return go.Figure(data=lines, layout=layout)
