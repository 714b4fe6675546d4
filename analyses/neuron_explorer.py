"""What does one neuron do?

The activation of a single neuron for every a (up) and b (to the right), and the best fit to it by waves of one frequency.
Choose a neuron by its number, or click on its dot in the figure of all neurons above; the slider shows how its map came about.
A neuron of the circuit shows a pattern of one frequency; one that memorizes shows none.

Measured: activation after the non-linearity, computed in this page from tables over single tokens and neurons, which are
kept for every checkpoint, rounded. Fit = mean plus projection on the eight waves {1, cos w_k, sin w_k}(a) x {1, cos w_k, sin
w_k}(b) of the frequency k that explains most.
"""

import numpy as np
import xarray as xr

from interp import Analysis
from interp.figures import Neurons


def measure(view):
    """The tables from which the map of any neuron is made, see `interp.View.neuron_tables`."""
    tables, classes = view.neuron_tables, view.harmonics.classes
    compact, facts = tables.compact, {"total": tables.total, "activation": tables.activation}
    return {
        "neuron_attention": xr.DataArray(compact, dims=("head", "place", "a", "b")[: compact.ndim], attrs=facts),
        "neuron_read": xr.DataArray(tables.read, dims=("head", "row", "d_head")),
        "neuron_write": xr.DataArray(tables.write, dims=("neuron", "head", "d_head")),
        "neuron_base": xr.DataArray(tables.base, dims=("neuron", "column")),
        "neuron_order": xr.DataArray(np.empty(0, dtype=np.int64) if classes is None else classes.numpy(), dims="exponent"),
    }


def figure(series):
    """All that the page needs to draw any neuron at any checkpoint."""
    attention, order = series["neuron_attention"], series["neuron_order"].values[0].tolist()
    return Neurons(
        steps=series.step.values.tolist(),
        attention=attention.values,
        read=series["neuron_read"].values,
        write=series["neuron_write"].values,
        base=series["neuron_base"].values,
        total=attention.attrs["total"],
        activation=attention.attrs["activation"],
        order=order or None,
    )


ANALYSIS = Analysis(
    "neuron_explorer",
    question=__doc__,
    measure=measure,
    figure=figure,
    kind="explorer",
    needs=("one-layer", "addition"),
    definitions=("neurons",),
)
