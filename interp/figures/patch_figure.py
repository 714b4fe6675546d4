"""What of each checkpoint already works in each other, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from interp.figures.theme import template
from interp.wording import counted

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr


def patch_figure(found: xr.Dataset, *, theme: Literal["light", "dark"] = "light") -> go.Figure:
    """Test accuracy and test loss with parts of every step (horizontal) in every other (vertical).

    Args:
        found: what `interp.patch_matrix` returned.
        theme: light or dark.
    """
    import plotly.graph_objects as go

    steps = {name: [f"{int(step):,}" for step in found[name].values] for name in ("from_", "into")}
    accuracy, loss = found["test_accuracy"].values, np.log10(np.maximum(found["test_loss"].values, 1e-12))
    maps = []
    for number, (values, title, ends) in enumerate(
        ((accuracy, "test accuracy", (0, 1)), (loss, "test loss, log10 nats", (None, None))), start=1
    ):
        maps.append(
            go.Heatmap(
                x=steps["from_"],
                y=steps["into"],
                z=values,
                zmin=ends[0],
                zmax=ends[1],
                coloraxis=None,
                colorbar={"title": {"text": title, "side": "right"}, "len": 0.9, "x": 0.44 if number == 1 else 1.0},
                xaxis="x" if number == 1 else "x2",
                yaxis="y" if number == 1 else "y2",
                hovertemplate=f"from step %{{x}} into step %{{y}}<br>{title} %{{z:.3g}}<extra></extra>",
            )
        )
    parts, run, donor = (found.attrs[name] for name in ("parts", "run", "donor"))
    whose = run if run == donor else f"{donor} into {run}"
    axis = {"type": "category", "nticks": 8}
    layout = {
        "template": template(theme),
        "width": 960,
        "height": 460,
        "title": {"text": f"{parts}: {whose}", "x": 0.01},
        "margin": {"t": 60, "l": 70, "r": 70, "b": 60},
        "xaxis": {**axis, "domain": [0, 0.42], "title": {"text": "parts of step"}},
        "yaxis": {**axis, "title": {"text": "put into step"}},
        "xaxis2": {**axis, "domain": [0.56, 0.98], "title": {"text": "parts of step"}, "anchor": "y2"},
        "yaxis2": {**axis, "anchor": "x2"},
        "meta": {"alt": f"Test accuracy and loss with {parts} of each of {counted(len(steps['from_']), 'step')} in each other."},
    }
    return go.Figure(data=maps, layout=layout)
