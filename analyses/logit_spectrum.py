"""Which waves are the answers made of?

The logits, as functions of the two inputs, are sums of waves: one frequency in a, one in b. A lookup table needs all
combinations, and its map is a haze. A circuit for addition multiplies waves of the SAME frequency: its map has a few strong
points on the diagonal and is nearly blank elsewhere. Beside it: how much of the logits the clock's formula cos w_k(a+b-c)
explains, by frequency and, dotted, for all frequencies together.

Measured: norm over the classes of the two-dimensional Fourier components of the logits, cosines and sines of a frequency
together, as a share of the whole without the constant; alpha_k = inner product of the logits with cos w_k(a+b-c), scaled to
norm 1, over the norm of the centred logits, so that its square is the share of variance explained.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, about, measures
from interp.figures import IN_TITLE, NEUTRAL, Cell, curve, draw, faded, frequency_colours, key, on
from interp.wording import percent


def measure(view):
    """Share of each pair of frequencies in the logits, and the logits' coefficients on the clock's formula."""
    logits, harmonics, basis = view.circuit.logits, view.circuit.harmonics, view.basis
    energy = measures.logit_spectrum(logits, harmonics=harmonics).square()
    energy[0, 0] = 0  # the constant
    groups = energy.new_zeros(basis.p // 2 + 1, basis.p)
    groups[basis.row_frequency, range(basis.p)] = 1
    folded = groups @ energy @ groups.T
    alpha = measures.cos_coefficients(logits, harmonics=harmonics, means=view.circuit.line_means) / view.circuit.energy.sqrt()
    waves = [0, *basis.frequencies]
    return {
        "logit_share": xr.DataArray(
            (folded / folded.sum()).cpu().numpy().astype(np.float32),
            dims=("frequency_a", "frequency_b"), coords={"frequency_a": waves, "frequency_b": waves},
        ),
        "cos_coefficient": xr.DataArray(alpha.cpu().numpy(), dims="frequency", coords={"frequency": list(basis.frequencies)}),
        "cos_fve": float(alpha.square().sum()),
    }  # fmt: skip


def figure(series):
    """The map at one checkpoint, and the clock's coefficients over time."""
    waves, shares = series.frequency_a.values, series["logit_share"].values
    colours = frequency_colours(about(series).key_frequencies or ())
    frequencies, explained = series.frequency.values, series["cos_coefficient"].values ** 2
    curves = [
        curve(series.step.values, explained[:, i], name=f"frequency {k}", colour=colours.get(int(k), faded(NEUTRAL, 0.3)), cell=2)
        | {"showlegend": False, "hoverinfo": "skip" if int(k) not in colours else "all"}
        for i, k in sorted(enumerate(frequencies), key=lambda pair: int(pair[1]) in colours)
    ]
    together = curve(series.step.values, series["cos_fve"].values, name="all together", colour=NEUTRAL, cell=2, dash="dot")

    def shares_map(i):
        return [
            {
                "type": "heatmap", "x": waves, "y": waves, "z": np.sqrt(shares[i]), "zmin": 0, "zmax": top, "showscale": False,
                "hovertemplate": "frequency %{y} in a, %{x} in b<br>root of its share %{z:.4f}<extra></extra>", **on(1),
            }
        ]  # fmt: skip

    top = float(np.sqrt(np.nanmax(shares, initial=0))) or 1.0
    edge = (waves[0] - 0.5, waves[-1] + 0.5)
    which = f": {key({str(k): colour for k, colour in colours.items()})}" if 0 < len(colours) <= IN_TITLE else ""
    rows = [
        [
            Cell("Waves at this step", x="frequency in b", y="frequency in a", square=True, x_range=edge, y_range=edge),
            Cell(f"Explained by the clock's formula{which}", y="share of variance", time=True, weight=1.6, y_range=(0, 1.03)),
        ]
    ]
    alt = f"At the end the clock's formula explains {percent(float(series['cos_fve'][-1]))} of the logits' variance."
    return draw(series, rows, heights=(300,), fixed=[*curves, together | {"showlegend": False}], moving=shares_map, alt=alt)


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "logit-spectrum", "Spectrum of the logits",
        "Norm over the classes of each of the p x p two-dimensional waves of the logits, as functions of a and b.",
        (
            ("norm_{ij} =", "|| (F L_c F^T)_{ij} || over c,  L_c[a, b] = logit of class c"),
            ("share =", "norm^2 / sum of all but the constant"),
        ),
        "the logits of all p^2 pairs",
        Source(*NANDA, "section 4.1"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "cosine-fit", "The clock's formula in the logits",
        "How much of the logits is sum_k alpha_k cos w_k(a + b - c), and the loss of that formula alone.",
        (
            ("alpha_k =", "< logits, unit cube cos w_k(a+b-c) >,  its norm taken over all (a, b, c)"),
            ("FVE =", "sum_{key k} alpha_k^2 / sum_{a, b, c} (logits - their mean over c)^2"),
            ("loss =", "cross-entropy of sum_{key k} alpha_k cube_k"),
        ),
        "the logits of all p^2 pairs, centred over the classes; the figure over time takes all k, not the key ones alone",
        Source(*NANDA, "section 4.1"),
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "logit_spectrum",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("addition", "function"),
    definitions=DEFINITIONS,
)
