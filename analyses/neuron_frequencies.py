"""What does each neuron compute?

A neuron of a random or memorizing network responds to all sorts of pairs. One that works for a circuit follows one single
frequency, and its neurons form clusters, one for each frequency that is used. Every dot is a neuron, placed at the frequency
that explains it best, at the height of the share explained; above the dashed line (85 %) it belongs to the cluster.

Measured: share of the variance of the neuron's activation over all pairs (a, b) that lies in the eight waves of degree two
of one frequency, {1, cos w_k, sin w_k}(a) x {1, cos w_k, sin w_k}(b) without the constant; its frequency is the one with the
largest share. A neuron that is constant over all pairs is dead. Nanda et al. 2023, arXiv 2301.05217, section 4.2.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, about, measures
from interp.figures import NEUTRAL, Cell, curve, draw, faded, frequency_colours, frequency_dashes, on, steps_of_colour

THRESHOLD = 0.85
BINS = np.linspace(0, 1, 21)


def measure(view):
    """Frequency and share of every neuron, size of every cluster, number of dead neurons."""
    circuit = view.circuit
    found = measures.neuron_frequencies(circuit.neurons, harmonics=circuit.harmonics, threshold=THRESHOLD)
    sizes = [found.counts.get(k, 0) for k in circuit.harmonics.names]
    return {
        "neuron_frequency": xr.DataArray(found.frequency.cpu().numpy().astype(np.int32), dims="neuron"),
        "neuron_share": xr.DataArray(found.share.cpu().numpy().astype(np.float32), dims="neuron"),
        "cluster_size": xr.DataArray(sizes, dims="frequency", coords={"frequency": list(circuit.harmonics.names)}),
        "dead_neurons": int(found.dead.sum()),
    }


def figure(series):
    """Cluster sizes over time; every neuron, and the distribution of shares, at one checkpoint."""
    steps, neurons, known = series.step.values, series.sizes["neuron"], about(series)
    # At a checkpoint that is not finite there is no frequency, and no share that would draw a neuron.
    shares, frequencies = series["neuron_share"].values, np.nan_to_num(series["neuron_frequency"].values).astype(np.int32)
    colours = frequency_colours(known.key_frequencies)
    dashes, clusters = frequency_dashes(colours), series["cluster_size"]
    others = neurons - clusters.sum("frequency") - series["dead_neurons"]
    curves = [
        *(
            curve(steps, clusters.sel(frequency=k).values, name=f"frequency {k}", colour=c, dash=dashes[k])
            for k, c in colours.items()
        ),
        curve(steps, others.values, name="in no cluster", colour=NEUTRAL),
        curve(steps, series["dead_neurons"].values, name="dead", colour=NEUTRAL, dash="dot"),
    ]

    half = known.p // 2
    # Colours are kept as numbers, to save space: 0 for all that are not key frequencies, 1, 2, ... for the key ones.
    paint = np.zeros(half + 1, dtype=np.uint8)
    paint[list(colours)] = 1 + np.arange(len(colours))
    shades = [NEUTRAL, *colours.values()]
    palette = {"colorscale": steps_of_colour(shades), "cmin": -0.5, "cmax": len(shades) - 0.5}

    def at(i):
        alive = np.where(np.isnan(shares[i]), -1, shares[i])
        counts = np.histogram(alive, bins=BINS)[0]
        return [
            {
                "type": "scatter", "mode": "markers", "x": frequencies[i], "y": shares[i], "customdata": np.arange(neurons),
                "meta": {"selects": "neuron"},
                "showlegend": False, "marker": {"size": 7, "opacity": 0.55, "color": paint[frequencies[i]], **palette},
                "hovertemplate": "neuron %{customdata}<br>frequency %{x}<br>share %{y:.3f}<extra></extra>", **on(2),
            },
            {
                "type": "bar", "orientation": "h", "x": counts, "y": (BINS[:-1] + BINS[1:]) / 2, "width": 0.045,
                "showlegend": False, "marker": {"color": NEUTRAL}, **on(3),
                "hovertemplate": "%{x} neurons with a share near %{y:.3f}<extra></extra>",
            },
        ]  # fmt: skip

    most = max(np.histogram(np.nan_to_num(row, nan=-1), bins=BINS)[0].max() for row in shares)
    rows = [
        [Cell("Neurons in each cluster", y="neurons", time=True)],
        [
            Cell("Every neuron at this step", x="frequency", y="share", weight=2.4, x_range=(0, half + 1), y_range=(0, 1.02)),
            Cell("How many", x="neurons", y="share", x_range=(0, 1.05 * int(most)), y_range=(0, 1.02)),
        ],
    ]
    threshold = {
        "type": "scatter", "mode": "lines", "x": [0, half + 1], "y": [THRESHOLD] * 2, "showlegend": False, "hoverinfo": "skip",
        "line": {"color": faded(NEUTRAL, 0.9), "width": 1, "dash": "dash"}, **on(2),
    }  # fmt: skip
    last = int(np.flatnonzero(np.isfinite(series["dead_neurons"].values))[-1])
    clustered, dead = int(clusters.isel(step=last).sum()), int(series["dead_neurons"][last])
    when = "the end" if last == len(steps) - 1 else f"step {steps[last]:,}, the last that is finite,"
    alt = f"At {when} {clustered} of {neurons} neurons belong to a cluster and {dead} are dead."
    said = _said(series, clusters.sum("frequency").values, neurons - int(series["dead_neurons"][last]), last)
    return draw(series, rows, heights=(190, 250), fixed=[*curves, threshold], moving=at, alt=alt, said=said)


def _said(series, clustered, alive, last):
    """How many neurons follow one frequency, and whether they do so later than the logits."""
    end = int(clustered[last])
    told = [f"Of the {alive:,} neurons that are not dead {end:,} follow one frequency each at the last step."] if alive else []
    lead, steps = about(series).lead, series.step.values
    if lead is None or lead.restricted is None or not about(series).stands_out or 2 * end < alive:
        return told
    few = np.flatnonzero(clustered[: last + 1] < end / 2)
    since = int(steps[few[-1] + 1]) if len(few) else int(steps[0])
    if since <= lead.restricted.step:
        return told
    return [
        *told,
        f"They come late: half of them do so only from step {since:,} on, while the restricted loss had halved by step "
        f"{lead.restricted.step:,}. Logits are sums over all neurons, and show the circuit before single neurons look clean.",
    ]


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "neurons", "Neurons, their frequencies and clusters",
        "The frequency each neuron follows, the share of its variance there, and its fit by waves of that one frequency.",
        (
            (
                "share of k =",
                "energy in the 8 waves {1, C_k, S_k}(a) x {1, C_k, S_k}(b) without the constant / energy about the neuron's mean",
            ),
            ("frequency =", "the k of the largest share; in its cluster if that share > 0.85"),
            ("fit =", "mean + projection on these eight waves (or on cos, sin w_k(a+b) only)"),
        ),
        "every neuron's activation (after the non-linearity) over all p^2 pairs",
        Source(*NANDA, "section 4.2"),
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "neuron_frequencies",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("one-layer", "addition"),
    definitions=DEFINITIONS,
)
