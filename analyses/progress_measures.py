"""When does the circuit form?

Without representations: Two losses that look inside. The restricted loss (green) is the loss of the network when only the key
frequencies of its logits are kept; the excluded loss (purple) is the loss on the training pairs when just these frequencies are
taken away. A circuit that begins to work brings the green curve down, and as memory gives way to it the purple one rises.

With representations: Two losses that look inside. The restricted loss (green) is the loss of the network when only the parts of
its logits that belong to the key representations of the group are kept; the excluded loss (purple) is the loss on the training
pairs when just these parts are taken away. A circuit that begins to work brings the green curve down, and as memory gives way to
it the purple one rises.

If no frequency stands out: Without representations: Here they say nothing about a circuit: more than half of all frequencies
pass the rule that chooses them, so that the green curve contains memorized answers too, and no lead is drawn.

If no frequency stands out: With representations: Here they say nothing about a circuit: more than half of all representations
pass the rule that chooses them, so that the green curve contains memorized answers too, and no lead is drawn.

With representations: Measured: restricted = cross-entropy of the mean logits plus the isotypic projections of the logits, as
functions of the answer a b, for all key representations, over all pairs; excluded = cross-entropy of the logits without these
projections, over the training pairs, for all key representations together and for one at a time. The losses are those of Nanda
et al. 2023, arXiv 2301.05217, section 5, with representations in the place of frequencies.

Without representations: Measured: restricted = cross-entropy of the mean logits plus their projection on cos w_k(a+b) and sin
w_k(a+b) for all key k, over all pairs; excluded = cross-entropy of the logits without that projection, over the training pairs,
for all key k together and for one at a time; Gini = inequality of the Fourier norms of W_E and W_L, 0 for equal norms and
nearly 1 for a single frequency. Nanda et al. 2023, arXiv 2301.05217, section 5.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, about, figures, measures
from interp.figures import CYCLE, EXCLUDED, NEUTRAL, RESTRICTED, TEST, Cell, curve, draw, frequency_colours, key, line, on
from interp.wording import counted, percent

GINI = {"gini_W_E": CYCLE[0], "gini_W_L": CYCLE[1]}


def measure(view):
    """Restricted and excluded losses, and the Gini coefficients of embedding and neuron-logit map."""
    circuit = view.circuit
    outputs, of = (circuit.logits, circuit.labels), {"harmonics": circuit.harmonics, "means": circuit.line_means}
    restricted = measures.restricted_loss(*outputs, keys=circuit.keys, **of)
    excluded, *single = measures.excluded_losses(
        *outputs, [circuit.keys, *([k] for k in circuit.keys)], pairs=circuit.train, **of
    )
    found = {
        "restricted_loss": float(restricted.mean()),
        "restricted_loss_train": float(restricted[circuit.train].mean()),
        "restricted_loss_test": float(restricted[circuit.test].mean()),
        "excluded_loss": float(excluded.mean()),
        "excluded_loss_single": xr.DataArray(
            [float(loss.mean()) for loss in single], dims="key_frequency", coords={"key_frequency": list(circuit.keys)},
        ),
    }  # fmt: skip
    if view.is_one_layer and view.is_addition:  # in other groups' harmonics a row is not a single number
        found |= {name: float(measures.gini(getattr(circuit, f"spectrum_{name[5:]}").rows)) for name in GINI}
    return found


def figure(series):
    """The plateau story: restricted and excluded loss against the test loss, each over time."""
    steps, colours = series.step.values, frequency_colours(about(series).key_frequencies)
    dashes = figures.frequency_dashes(colours)
    few = len(colours) <= figures.IN_TITLE
    without = (
        f"Excluded loss, one taken out: {key({str(k): c for k, c in colours.items()})}" if few else "Excluded loss, one taken out"
    )
    traces = [
        line(series, "history_test_loss", name="test loss", colour=TEST),
        line(series, "restricted_loss", name="restricted loss", colour=RESTRICTED),
        line(series, "excluded_loss", name="excluded loss", colour=EXCLUDED),
        line(series, "history_test_accuracy", name="test accuracy", colour=TEST, cell=2) | {"showlegend": False},
        *(
            curve(
                steps,
                series["excluded_loss_single"].sel(key_frequency=k).values,
                name=f"without {k}",
                colour=colour,
                cell=3,
                dash=dashes[k],
            )
            | {"showlegend": not few}
            for k, colour in colours.items()
        ),
        *(
            line(series, name, name=name.replace("gini", "Gini").replace("_", " ", 1), colour=colour, cell=4)
            | {"showlegend": False}
            for name, colour in GINI.items()
            if name in series
        ),
    ]
    sparseness = Cell(
        f"Sparseness of {key({name[5:]: colour for name, colour in GINI.items()})}", y="Gini", time=True, y_range=(0, 1)
    )
    rows = [
        [Cell("Loss with and without the circuit", y="nats", time=True, log=True)],
        [Cell("Test accuracy, for comparison", y="share right", time=True, y_range=(-0.03, 1.05))],
        [Cell(without, y="nats", time=True, log=True), *([sparseness] if "gini_W_E" in series else [])],
    ]
    marks, notes = _lead(series)
    told = {"alt": _in_words(series), "said": _said(series)}
    return draw(series, rows, heights=(280, 110, 190), fixed=traces + marks, annotations=notes, **told)


def _lead(series):
    """Dots where restricted loss and test accuracy first pass their half-way marks, and the span between them."""
    lead, accuracy, restricted = about(series).lead, series["history_test_accuracy"], series["restricted_loss"]
    if lead is None or not about(series).stands_out:
        return [], []
    dots = [
        {"type": "scatter", "mode": "markers", "x": [at.step], "y": [float(values.sel({values.dims[0]: at.step}))],
         "marker": {"color": colour, "size": 9}, "showlegend": False, "hovertemplate": f"{what}<extra></extra>", **on(cell)}
        for at, values, colour, cell, what in (
            (lead.first_of("restricted"), restricted, RESTRICTED, 1, "restricted loss has halved"),
            (lead.first_of("accuracy"), accuracy, TEST, 2, "test accuracy passes one half"),
        )
        if at is not None
    ]  # fmt: skip
    if not lead.is_told or lead.first <= 0:
        return dots, []
    begin, end = (lead.first_of(name).step for name in ("restricted", "accuracy"))
    height = float(accuracy.sel(history_step=end))
    start = {
        "type": "scatter", "mode": "markers", "x": [begin], "y": [height], "marker": {"color": RESTRICTED, "size": 9},
        "showlegend": False, "hovertemplate": "restricted loss has halved<extra></extra>", **on(2),
    }  # fmt: skip
    span = curve([begin, end], [height, height], name="lead", colour=NEUTRAL, cell=2, dash="dot", legend=False)
    kept = "" if lead.steps == lead.first else f" ({lead.steps:,} for good)"
    note = {
        "text": f"lead {counted(lead.first, 'step')}{kept}", "x": begin, "y": height, "xref": "x2", "yref": "y2",
        "xanchor": "left", "yanchor": "bottom", "xshift": 8, "showarrow": False, "font": {"size": 11},
    }  # fmt: skip
    return [*dots, span | {"hoverinfo": "skip", "hovertemplate": None}, start], [note]


def _said(series):
    """What the two dots say of this run, where there are both."""
    lead = about(series).lead
    if lead is None or not about(series).stands_out or not lead.is_told or lead.first <= 0:
        return []
    begin, end = (lead.first_of(name) for name in ("restricted", "accuracy"))
    right = float(series["history_test_accuracy"].dropna("history_step").sel(history_step=begin.step, method="ffill"))
    return [
        f"Dots mark where the restricted loss had halved, by step {begin.step:,} ({begin.earliest:,} to {begin.latest:,} with "
        f"the half moved by a fifth), when test accuracy was {percent(right)}, and where test accuracy passed one half, by step "
        f"{end.step:,}. Look at what lies between them."
    ]


def _in_words(series):
    restricted, excluded = series["restricted_loss"].values, series["excluded_loss"].values
    return (
        f"The restricted loss goes from {restricted[0]:.3g} to {restricted[-1]:.3g}; the excluded loss falls to "
        f"{np.nanmin(excluded, initial=np.inf):.3g} and ends at {excluded[-1]:.3g} nats."
    )


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "restricted-loss", "Restricted loss",
        "Loss of the network when only the key frequencies of its logits are kept: how well the circuit alone would do.",
        (
            (
                "restricted logits =",
                "mean of each class over all p^2 pairs + sum_{key k} projections of the logits on cos w_k(a+b) and sin w_k(a+b)",
            ),
            ("restricted loss =", "cross-entropy of these"),
        ),
        "all p^2 pairs (default), the training or the test pairs: mean over the pairs",
        Source(*NANDA, "section 5.1"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "excluded-loss", "Excluded loss",
        "Loss on the training pairs when the key frequencies are taken out of the logits: how well memory alone would do.",
        (
            ("excluded logits =", "logits - sum_{key k} their projections on cos w_k(a+b) and sin w_k(a+b)"),
            ("excluded loss =", "cross-entropy of these"),
        ),
        "the training pairs: mean over them; the projection is fitted on all p^2 pairs",
        Source(*NANDA, "section 5.1"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "key-frequencies", "Key frequencies",
        "The few frequencies k that a circuit uses, chosen once per run by a named rule and then fixed for the whole series.",
        (
            ("unembedding (default)", "|| rows cos k, sin k of F W_L || > 1/4 of the largest"),
            ("embedding", "the same of F W_E (without the row of =)"),
            ("neurons", "frequencies that have a cluster of neurons"),
            ("coefficients", "alpha_k > 1/4 of the largest alpha"),
            (
                "logits (default of networks of other kinds)",
                "|| rows cos k, sin k of F M || > 1/4 of the largest,  M[s, c] = mean of logit c over the pairs with answer s",
            ),
        ),
        "one reference checkpoint, by default the last; k = 1 to floor(p/2)",
        Source(*NANDA, "section 4.1"),
        waves=True,
        of_addition=True,
    ),
    Definition(
        "lead-time", "Lead time",
        "How many steps before the test accuracy the restricted loss moved.",
        (
            ("restricted =", "first step from which the restricted loss is at most half its first value, for good"),
            ("accuracy =", "first step from which test accuracy is at least 1/2, for good"),
            ("lead =", "accuracy - restricted; its interval from both boundaries' intervals"),
            ("with dips", "also between the steps at which both first passed their marks; the interval covers both"),
        ),
        "the restricted loss at the checkpoints (all pairs), and test accuracy at every evaluated step",
        waves=True,
    ),
    Definition(
        "gini", "Gini coefficient",
        "How unequal the p Fourier norms of W_E or W_L are: 0 if all are equal, 1 - 1/p if there is only one.",
        (("G(c) =", "2 sum_i i c_(i) / (N sum_i c_i) - (N + 1)/N,  c_(1) <= ... <= c_(N)"),),
        "the norms c of the N = p rows of F W_E (over d_model, the row of = left out) or of F W_L (over the neurons)",
        Source(*NANDA, "section 5.1"),
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "progress_measures",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("harmonics", "function", "keys"),
    definitions=DEFINITIONS,
)
