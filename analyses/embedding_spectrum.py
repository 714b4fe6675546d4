"""Which frequencies does the network build on?

Every residue has a vector in the embedding W_E. Seen as waves over the residues, a random embedding has a little of every
frequency; a circuit for modular addition needs only a few. The rows of the map are frequencies, time runs to the right. Where
there is a second map, W_L, from neurons to logits, is seen from the other end.

If frequencies stand out: Lines that stand out, coloured in the plots at the right, are the key frequencies.

Measured: norm over d_model (for W_L: over the neurons) of the cosine and sine components of frequency k together, in the
orthonormal Fourier basis over the residues. W_L = W_U^T W_out^T.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, about
from interp.figures import NEUTRAL, Cell, draw, frequency_colours, on

LIMITS = {"a sixth": 1 / 6, "a quarter": 1 / 4, "a third": 1 / 3, "a half": 1 / 2}
MATRICES = {"embedding_norm": "W_E", "neuron_logit_norm": "W_L"}


def measure(view):
    """Norm of each frequency in W_E and, of a one-layer transformer, in W_L."""
    circuit = view.circuit
    coords = {"frequency": list(circuit.harmonics.names)}
    found = {"embedding_norm": circuit.spectrum_W_E}
    if view.is_one_layer:
        found["neuron_logit_norm"] = circuit.spectrum_W_L
    return {
        name: xr.DataArray(spectrum.frequencies.cpu().numpy(), dims="frequency", coords=coords)
        for name, spectrum in found.items()
    }


def figure(series):
    """For each matrix a map of frequency over time, and beside it the spectrum at one checkpoint."""
    frequencies, colours = series.frequency.values, frequency_colours(about(series).key_frequencies)
    edge = (frequencies[0] - 0.5, frequencies[-1] + 0.5)
    matrices = {name: matrix for name, matrix in MATRICES.items() if name in series}
    maps = [
        {
            "type": "heatmap", "x": series.step.values, "y": frequencies, "z": series[name].values.T, "showscale": False,
            "zmin": 0, "hovertemplate": f"step %{{x}}<br>frequency %{{y}}<br>norm in {matrix} %{{z:.3f}}<extra></extra>",
            **on(2 * i + 1),
        }
        for i, (name, matrix) in enumerate(matrices.items())
    ]  # fmt: skip

    def bars(i):
        return [
            {
                "type": "bar", "orientation": "h", "y": frequencies, "x": series[name].values[i], "showlegend": False,
                "marker": {"color": [colours.get(int(k), NEUTRAL) for k in frequencies]},
                "hovertemplate": f"frequency %{{y}}<br>norm in {matrix} %{{x:.3f}}<extra></extra>", **on(2 * row + 2),
            }
            for row, (name, matrix) in enumerate(matrices.items())
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
        for name, matrix in matrices.items()
    ]
    strongest = frequencies[np.argsort(-series["embedding_norm"].values[-1])[:5]]
    alt = f"At the end the strongest frequencies of W_E are {', '.join(map(str, strongest))}."
    return draw(series, rows, heights=(220,) * len(rows), fixed=maps, moving=bars, alt=alt, said=_said(series))


def _said(series):
    """What other limits than a quarter would make of the rule."""
    known = about(series)
    if known.key_rule != "unembedding" or known.key_step not in series.step.values:
        return []
    norms = series["neuron_logit_norm"].sel(step=known.key_step).values
    largest = float(np.nanmax(norms, initial=0))
    if not largest:
        return []
    passing = {name: int((norms > share * largest).sum()) for name, share in LIMITS.items()}
    others = ", ".join(f"with {name} {count}" for name, count in passing.items() if name != "a quarter")
    at = f" at step {known.key_step:,}" if known.knows_step else ""
    return [
        f"The rule counts as key what has over a quarter of the largest norm in W_L{at}: "
        f"{passing['a quarter']} of {len(norms)} frequencies; {others}."
    ]


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
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "embedding_spectrum",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("embedding", "addition"),
    definitions=(*DEFINITIONS, "key-frequencies"),
)
