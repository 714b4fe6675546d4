"""Which frequencies does the network build on?

Every residue has a vector in the embedding W_E. Seen as waves over the residues, a random embedding has a little of every
frequency; the circuit for modular addition needs only a few. The rows of the map are frequencies, time runs to the right:
lines that stand out are the key frequencies, all the others fade during cleanup. W_L, the map from neurons to logits, tells
the same story from the other end.

Measured: norm over d_model (for W_L: over the neurons) of the cosine and sine components of frequency k together, in the
orthonormal Fourier basis over the residues. W_L = W_U^T W_out^T.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, about
from interp.figures import NEUTRAL, Cell, draw, frequency_colours, on

MATRICES = {"embedding_norm": "W_E", "neuron_logit_norm": "W_L"}


def measure(view):
    """Norm of each frequency in W_E and in W_L."""
    circuit = view.circuit
    coords = {"frequency": list(circuit.harmonics.names)}
    found = {"embedding_norm": circuit.spectrum_W_E, "neuron_logit_norm": circuit.spectrum_W_L}
    return {
        name: xr.DataArray(spectrum.frequencies.cpu().numpy(), dims="frequency", coords=coords)
        for name, spectrum in found.items()
    }


def figure(series):
    """For each matrix a map of frequency over time, and beside it the spectrum at one checkpoint."""
    frequencies, colours = series.frequency.values, frequency_colours(about(series).key_frequencies)
    edge = (frequencies[0] - 0.5, frequencies[-1] + 0.5)
    maps = [
        {
            "type": "heatmap", "x": series.step.values, "y": frequencies, "z": series[name].values.T, "showscale": False,
            "zmin": 0, "hovertemplate": f"step %{{x}}<br>frequency %{{y}}<br>norm in {matrix} %{{z:.3f}}<extra></extra>",
            **on(2 * i + 1),
        }
        for i, (name, matrix) in enumerate(MATRICES.items())
    ]  # fmt: skip

    def bars(i):
        return [
            {
                "type": "bar", "orientation": "h", "y": frequencies, "x": series[name].values[i], "showlegend": False,
                "marker": {"color": [colours.get(int(k), NEUTRAL) for k in frequencies]},
                "hovertemplate": f"frequency %{{y}}<br>norm in {matrix} %{{x:.3f}}<extra></extra>", **on(2 * row + 2),
            }
            for row, (name, matrix) in enumerate(MATRICES.items())
        ]  # fmt: skip

    rows = [
        [
            Cell(f"{matrix} over time", y="frequency", time=True, weight=2, y_range=edge),
            Cell(
                f"{matrix} at this step",
                x="norm",
                y="frequency",
                y_range=edge,
                x_range=(0, 1.05 * float(np.nanmax(series[name].values, initial=1e-9))),
            ),
        ]
        for name, matrix in MATRICES.items()
    ]
    strongest = frequencies[np.argsort(-series["embedding_norm"].values[-1])[:5]]
    alt = f"At the end the strongest frequencies of W_E are {', '.join(map(str, strongest))}."
    return draw(series, rows, heights=(220, 220), fixed=maps, moving=bars, alt=alt)


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "embedding-spectrum", "Spectrum and circles of the embedding",
        "Norms of the Fourier components of W_E (or W_L) over the residues, and where the residues lie in the plane of one "
        "frequency.",
        (
            ("row i:", "|| (F W)_i ||"),
            ("frequency k:", "sqrt( || row cos k ||^2 + || row sin k ||^2 )"),
            ("circle of k:", "W_E projected on the unit directions of its own cos k and sin k rows"),
        ),
        "W = W_E without the row of = (norms over d_model), or W = W_L (norms over the neurons)",
        Source(*NANDA, "section 4.1"),
        waves=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "embedding_spectrum",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("one-layer", "addition"),
    definitions=(*DEFINITIONS, "key-frequencies"),
)
