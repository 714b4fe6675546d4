"""The local learning coefficient over the steps of a run, above the losses, which say nothing on the plateau."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from interp.figures.cells import Cell, on
from interp.figures.drawing import curve, draw
from interp.figures.theme import NEUTRAL, RESTRICTED, TEST, TRAIN, template
from interp.wording import shown

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

_WIDE = 30.0  # largest over least coefficient from which on a linear axis would show the largest alone


def coefficient_figure(
    found: xr.Dataset, history: Mapping[str, Sequence[float]], *, theme: Literal["light", "dark"] = "light"
) -> go.Figure:
    """Above: mean over the chains at each step, and a dot for each chain. Below: train and test loss, at the same steps.

    Coefficients that range far have a logarithmic axis, on which those below 0 have no place.

    Args:
        found: what `interp.learning_coefficients` returned.
        history: ``step``, ``train_loss`` and ``test_loss`` of the run, NaN where not measured.
        theme: light or dark.
    """
    import plotly.graph_objects as go

    steps, llc, chains = found["step"].values, found["llc"].values, found["llc_by_chain"].values
    is_wide = _is_wide(llc)
    if is_wide:
        llc, chains = np.where(llc > 0, llc, np.nan), np.where(chains > 0, chains, np.nan)
    x, y = np.repeat(steps, chains.shape[1]), chains.ravel()
    dots = {"color": NEUTRAL, "size": 4, "opacity": 0.7}
    traces = [
        go.Scatter(x=x, y=y, name="each chain", mode="markers", marker=dots, hovertemplate="step %{x:,d}: %{y:.3g}"),
        go.Scatter(
            x=steps,
            y=llc,
            name="learning coefficient",
            mode="lines+markers",
            line={"color": RESTRICTED, "width": 2},
            marker={"size": 7},
            customdata=np.stack([found["llc_std"].values, found["start_loss"].values], axis=1),
            hovertemplate="step %{x:,d}: %{y:.3g} ± %{customdata[0]:.2g}<br>train loss %{customdata[1]:.3g}",
        ),
    ]
    for name, colour in (("train_loss", TRAIN), ("test_loss", TEST)):
        values = np.asarray(history[name], dtype=float)
        known = np.isfinite(values)
        line = {"color": colour, "width": 2}
        place = {"x": np.asarray(history["step"])[known], "y": values[known], "yaxis": "y2", "mode": "lines"}
        traces.append(go.Scatter(**place, name=name.replace("_", " "), line=line, hovertemplate="step %{x:,d}: %{y:.3g}"))
    return go.Figure(data=traces, layout=_layout(found, theme=theme, is_wide=is_wide))


def coefficients_over(series: xr.Dataset, found: xr.Dataset) -> go.Figure:
    """The same for the page of a run, over its phases: mean over the chains, and a dot for each chain.

    Args:
        series: of the run, as `interp.observe` returned it.
        found: what `interp.learning_coefficients` returned.
    """
    steps, llc, chains = found["step"].values, found["llc"].values, found["llc_by_chain"].values
    is_wide = _is_wide(llc)
    if is_wide:
        llc, chains = np.where(llc > 0, llc, np.nan), np.where(chains > 0, chains, np.nan)
    dots = {
        "type": "scatter", "mode": "markers", "x": np.repeat(steps, chains.shape[1]), "y": chains.ravel(), "name": "each chain",
        "showlegend": False, "marker": {"color": NEUTRAL, "size": 4, "opacity": 0.7}, "hovertemplate": "step %{x:,d}: %{y:.3g}",
        **on(1),
    }  # fmt: skip
    mean = curve(steps, llc, name="learning coefficient", colour=RESTRICTED, legend=False)
    rows = [[Cell("Local learning coefficient: dots are single chains", y="LLC", time=True, log=is_wide)]]
    return draw(series, rows, heights=(240,), fixed=[dots, mean], alt=_said(found["step"].values, found["llc"].values))


def _is_wide(llc: np.ndarray) -> bool:
    positive = llc[llc > 0]
    return len(positive) > 1 and bool(positive.max() > _WIDE * positive.min())


def _layout(found: xr.Dataset, *, theme: Literal["light", "dark"], is_wide: bool) -> dict[str, Any]:
    steps, llc = found["step"].values, found["llc"].values
    run, tensors = shown(str(found.attrs["run"])), found.attrs.get("tensors")
    of = f" of {shown(str(tensors))}" if tensors else ""
    exponents = {"exponentformat": "power"}
    return {
        "template": template(theme),
        "width": 960,
        "height": 560,
        "title": {"text": f"Local learning coefficient{of}: {run}", "x": 0.01},
        "margin": {"t": 92, "l": 80, "r": 20, "b": 50},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": {"title": {"text": "step"}, "anchor": "y2", "range": _range(steps)},
        "yaxis": {
            "domain": [0.47, 1],
            "title": {"text": "learning coefficient"},
            **({"type": "log", **exponents} if is_wide else {"rangemode": "tozero"}),
        },
        "yaxis2": {"domain": [0, 0.4], "title": {"text": "loss (nats)"}, "type": "log", **exponents},
        "meta": {"alt": _said(steps, llc)},
    }


def _range(steps: np.ndarray) -> list[float]:
    first, last = float(steps[0]), float(steps[-1])
    room = 0.02 * (last - first) or 1.0
    return [first - room, last + room]


def _said(steps: np.ndarray, llc: np.ndarray) -> str:
    known = np.flatnonzero(np.isfinite(llc))
    if not len(known):
        return "The learning coefficient is known at none of these steps."
    top, last = known[llc[known].argmax()], known[-1]
    return (
        f"The learning coefficient is {llc[top]:.3g} at step {steps[top]:,}, its largest, and {llc[last]:.3g} at {steps[last]:,}."
    )
