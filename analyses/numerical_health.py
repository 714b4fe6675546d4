"""Are the numbers still numbers?

Losses of a grokking run become so small that ordinary single precision loses them: a pair that is right by more than about
17 nats has a loss of exactly 0 and no gradient (softmax collapse). This toolkit's losses keep that precision; the
first plot shows for how many pairs an ordinary loss would be 0. Spikes of the train loss (slingshots) are marked: measurements
made during one are worth little.

Measured: share of pairs whose float32 cross-entropy is exactly 0; largest absolute logit; spikes = train loss more than ten
times its recent median. Prieto et al. 2025, arXiv 2501.04697.
"""

import numpy as np

from interp import Analysis, Definition, Source, measures
from interp.figures import CYCLE, NEUTRAL, TEST, TRAIN, Cell, curve, draw, line, on
from interp.wording import counted


def measure(view):
    """Share of collapsed pairs among train and test pairs, and the largest logit."""
    collapsed = measures.collapsed(view.logits, view.labels).double()
    lowest, highest = view.logits.aminmax()
    return {
        "collapsed_train": float(collapsed[view.train].mean()),
        "collapsed_test": float(collapsed[view.test].mean()),
        "largest_logit": max(-float(lowest), float(highest)),
    }


def figure(series):
    """Collapse, logits, and the train loss with its spikes, over time."""
    steps = series.step.values
    loss = series["history_train_loss"].dropna("history_step")
    spikes = measures.loss_spikes(loss.history_step.values, loss.values)
    peaks = [spike.peak for spike in spikes]
    marks = {
        "type": "scatter", "mode": "markers", "x": peaks, "y": [spike.height for spike in spikes], "showlegend": False,
        "marker": {"color": CYCLE[1], "size": 8, "symbol": "triangle-up"}, "hovertemplate": "spike: %{y:.3g}<extra></extra>",
        **on(3),
    }  # fmt: skip
    traces = [
        curve(steps, series["collapsed_train"].values, name="train", colour=TRAIN),
        curve(steps, series["collapsed_test"].values, name="test", colour=TEST),
        curve(steps, series["largest_logit"].values, name="largest", colour=NEUTRAL, cell=2, legend=False),
        line(series, "history_train_loss", name="train loss", colour=TRAIN, cell=3) | {"showlegend": False},
        marks,
    ]
    rows = [
        [
            Cell("Pairs lost to single precision", y="share", time=True, y_range=(-0.03, 1.03)),
            Cell("Largest logit", y="logit", time=True),
            Cell("Train loss and its spikes", y="nats", time=True, log=True),
        ]
    ]
    worst = float(np.nanmax(series["collapsed_train"].values, initial=0))
    found = f"the train loss has {counted(len(spikes), 'spike')}"
    alt = f"At most {worst:.0%} of the training pairs would have a loss of exactly 0; {found}."
    return draw(series, rows, heights=(200,), fixed=traces, alt=alt)


DEFINITIONS = (
    Definition(
        "health", "Numerical health",
        "Whether the numbers that conclusions rest on are still numbers; spikes, collapsed losses, Adam's epsilon.",
        (
            ("collapsed", "an ordinary float32 cross-entropy of the pair is exactly 0"),
            ("spike", "train loss above 10 times the median of the preceding 25 measurements"),
            ("gradient ratio", "|| gradient || / || weights ||, per tensor and in all"),
            ("epsilon share", "share of the weights with sqrt( v / (1 - beta_2^step) ) < epsilon in Adam"),
        ),
        "the logits of the training and the test pairs; the train loss at every evaluated step; Adam's state at the checkpoint",
        Source("Prieto et al. 2025", "https://arxiv.org/abs/2501.04697", "for the collapse"),
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "numerical_health", question=__doc__, measure=measure, figure=figure, needs=("function",), definitions=DEFINITIONS
)
