"""What do the answers read from the neurons?

W_L = W_U^T W_out^T turns neurons into logits. A circuit reads the neurons along a few directions only: for each frequency that
it uses, one for its cosine and one for its sine; the first plot shows how much of W_L these are. What lies along such a
direction is nearly one wave of a + b: the second plot shows how nearly, solid for the cosine and dashed for the sine. A lookup
table reads along every direction, and no wave is found along any.

Measured: share of the squared norm of W_L in the Fourier rows of the key frequencies; for each of these rows u the share of
the variance of u . neurons over all pairs that cos w_k(a+b) and sin w_k(a+b) explain. Nanda et al. 2023, arXiv 2301.05217,
section 4.1 and table 1.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, about, measures
from interp.figures import CYCLE, IN_TITLE, NEUTRAL, Cell, curve, draw, frequency_colours, key

DASHES = {"cos": "solid", "sin": "dash"}


def measure(view):
    """Share of W_L in the key rows, and how much of what each of them reads is a wave of its frequency."""
    keys = list(view.key_frequencies)
    share, fve = np.nan, np.full((len(keys), 2), np.nan)
    if keys:
        circuit = view.circuit
        found = measures.neuron_logit_map(circuit.W_L, circuit.neurons, **circuit.how, read=circuit.from_neurons)
        share, fve = float(found.share), np.array([found.fve[k] for k in keys])
    coords = {"key_frequency": keys, "wave": list(DASHES)}
    return {"key_share_W_L": share, "direction_fve": xr.DataArray(fve, dims=("key_frequency", "wave"), coords=coords)}


def figure(series):
    """The share of the key directions, and what is read in each, over time."""
    steps, colours = series.step.values, frequency_colours(about(series).key_frequencies)
    few = len(colours) <= IN_TITLE
    is_told = not few and len(colours) <= len(CYCLE)  # by colour alone: dashes tell cosine from sine
    wave_of = (
        f"A wave of {key({str(k): c for k, c in colours.items()})}" if few else f"A wave of each of {len(colours)} frequencies"
    )
    traces = [curve(steps, series["key_share_W_L"].values, name="share", colour=NEUTRAL, legend=False)]
    traces += [
        curve(
            steps, values.sel(wave=wave).values, name=f"{wave} {k}" if few else f"frequency {k}", colour=colour, cell=2, dash=dash
        )
        | {"showlegend": wave == "cos" and is_told, "legendgroup": f"wave {k}"}
        for k, colour in colours.items()
        for values in [series["direction_fve"].sel(key_frequency=k)]
        for wave, dash in DASHES.items()
    ]
    rows = [
        [
            Cell("W_L in its key directions", y="share of its squared norm", time=True, y_range=(0, 1.03)),
            Cell(wave_of, y="variance explained", time=True, y_range=(0, 1.03)),
        ]
    ]
    share = float(series["key_share_W_L"][-1])
    alt = f"At the end {share:.0%} of the squared norm of W_L lies in its key directions." if np.isfinite(share) else None
    return draw(series, rows, heights=(220,), fixed=traces, alt=alt)


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "neuron-logit-map", "The neuron-logit map W_L",
        "How the logits read the neurons: the share of W_L in its key directions, and what the neurons compute along each "
        "of them.",
        (
            ("W_L =", "W_U^T W_out^T  (p, d_mlp)"),
            ("residual =", "1 - || key rows of F W_L ||^2 / || W_L ||^2"),
            ("u_k, v_k =", "rows cos k and sin k of F W_L"),
            (
                "FVE =",
                "share of the variance of u_k . MLP(a, b) explained by cos w_k(a+b) alone; of v_k . MLP(a, b) by sin w_k(a+b)",
            ),
        ),
        "the weights; MLP(a, b) = the neurons' activations over all p^2 pairs",
        Source(*NANDA, "section 4.1 and table 1"),
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "neuron_logit_map",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("one-layer", "addition"),
    definitions=DEFINITIONS,
)
