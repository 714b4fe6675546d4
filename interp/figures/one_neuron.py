"""The analysis of one neuron for all pairs (a, b), beside its best fit by waves of one frequency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from interp.figures.drawing import draw
from interp.figures.neuron_pictures import neuron_cells, neuron_traces
from interp.wording import percent

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from interp.observing.analysis import Analysis
    from interp.observing.view import View

# The name under which `interp.figures.figure` and `interp figure` know it.
NEURON = "neuron"

_QUESTION = """\
What does neuron {neuron} do?

Its activation after the non-linearity for every a (up) and b (to the right), and the best fit to it: mean plus projection on the
eight waves {{1, cos w_k, sin w_k}}(a) x {{1, cos w_k, sin w_k}}(b) of the frequency k that explains most. For multiplication the
waves are over exponents to a primitive root; pairs with 0 have none, and are left out of the fit."""


def one_neuron(neuron: int = 0) -> Analysis:
    """The analysis of a single neuron; it is not cached, because its maps are large and quickly made.

    It measures ``activation`` and ``fit`` over (a, b), ``fit_frequency`` and ``fit_share``, see `interp.observing.neuron_maps`.
    """
    from interp.observing.analysis import Analysis

    def measure(view: View) -> Mapping[str, xr.DataArray | float]:
        import xarray as xr

        from interp.observing.neuron_maps import neuron_map

        found = neuron_map(view.weights, neuron, view.harmonics)
        return {
            "activation": xr.DataArray(found.activation, dims=("a", "b")),
            "fit": xr.DataArray(found.fit, dims=("a", "b")),
            "fit_frequency": found.frequency,
            "fit_share": found.share,
        }

    def figure(series: xr.Dataset) -> go.Figure:
        return _figure(series, neuron)

    question = _QUESTION.format(neuron=neuron)
    return Analysis(NEURON, question, measure=measure, figure=figure, definitions=("neurons",), needs=("one-layer",))


def _figure(series: xr.Dataset, neuron: int) -> go.Figure:
    """The maps at one checkpoint; over the fit its frequency, and how much it explains."""
    activation, fit = series["activation"].values, series["fit"].values
    titles = [_titles(series, i, neuron) for i in range(series.sizes["step"])]
    return draw(
        series,
        [neuron_cells(series.sizes["a"], activation=titles[-1][1], fit=titles[-1][2])],
        heights=(400,),
        moving=lambda i: neuron_traces(activation[i], fit[i], scale=True),
        titles=lambda i: titles[i],
        alt=f"Neuron {neuron} for all pairs, and its best fit: {titles[-1][2].partition(': ')[2]}.",
    )


def _titles(series: xr.Dataset, i: int, neuron: int) -> dict[int, str]:
    """The titles of the maps at checkpoint i."""
    fitted = np.isfinite(series["fit"][i].values)
    if not fitted.any():
        return {1: f"Neuron {neuron}: activation", 2: "No fit: this operation is not addition"}
    without_0 = not fitted.all()  # 0 has no exponent
    modulus = len(fitted) - without_0
    frequency, share = int(series["fit_frequency"][i]), float(series["fit_share"][i])
    if not frequency:
        value = float(series["activation"][i].values[fitted][0])
        same = f"{value:.4g} for every pair{' without 0' if without_0 else ''}"
        return {1: f"Neuron {neuron}: {same}", 2: "Best fit: none, as it is dead at this step"}
    of, where = (" of exponents", "for pairs without 0") if without_0 else ("", "of it")
    # Smaller moduli have one frequency, whose waves are all there are.
    found = f"{_percent(share)} {where}" if modulus > 3 else f"any neuron modulo {modulus}"
    return {1: f"Neuron {neuron}: activation", 2: f"Best fit: frequency {frequency}{of} explains {found}"}


def _percent(share: float) -> str:
    """A share as the page writes it, to a tenth of a per cent, but never rounded up to 100 %."""
    return percent(share) if share > 0.999 else f"{100 * share:.1f} %"
