"""Memorizer or generalizer?

A verdict on the network that needs no test label: would it also be right on pairs it never saw? A circuit gives unseen pairs
the logits of seen ones, shifted; a table knows nothing about them. An agreement (blue) of 1 means a circuit, 0 a table; the
loss from unseen (purple) shows what the network's answers to unseen pairs are worth on the seen ones, where 1 is chance. In
between a network is both, and the verdict says so.

Measured: agreement = cosine between the centred logits on unseen pairs and the mean logits of the training pairs with the same
a - b and a + b - c; loss from unseen = loss of the training pairs when the logits of each sum a + b are replaced by the key
waves of the unseen pairs' mean logits, over ln p; concentration = Gini coefficient of the Fourier norms of W_L. Generalizer:
agreement at least 0.95; memorizer: at most 0.1; unless another reading says the opposite.
"""

import math

import numpy as np

from interp import Analysis, Definition, measures
from interp.figures import CYCLE, EXCLUDED, Cell, curve, draw, label, level

MINUS = "\N{MINUS SIGN}"
CURVES = {
    "shift_agreement": ("shift agreement", CYCLE[0], 1),
    "loss_from_unseen": ("loss from unseen", EXCLUDED, 2),
    "concentration_W_L": ("concentration W_L", CYCLE[1], 1),
}
READINGS = ("shift_agreement", "loss_from_unseen", "concentration_W_L", "answered_train")
GENERALIZER_ABOVE, MEMORIZER_BELOW = measures.AGREEMENT
WORDS = {
    "generalizer": "Generalizer", "memorizer": "Memorizer", "between": "Between the two", "untrained": "Untrained",
}  # fmt: skip


def measure(view):
    """The readings behind the verdict; none of them uses a test label."""
    circuit = view.circuit
    if not 0 < len(circuit.train) < len(circuit.labels):
        return dict.fromkeys(READINGS, math.nan)
    logits, labels, train, harmonics = circuit.logits, circuit.labels, circuit.train, circuit.harmonics
    unseen = measures.loss_from_unseen(logits, labels, train=train, **circuit.how, means=circuit.line_means)
    return {
        "shift_agreement": float(circuit.agreement),
        "loss_from_unseen": float(unseen.mean()) / math.log(harmonics.n),
        "concentration_W_L": float(measures.gini(circuit.spectrum_W_L.rows)) if view.is_one_layer else math.nan,
        "answered_train": float(circuit.right[train].double().mean()),
    }


def figure(series):
    """The readings with their bounds, and the verdict with the step since which it holds."""
    steps = series.step.values
    title = _verdict(steps, *(series[name].values for name in READINGS))
    traces = [
        *(
            curve(steps, series[variable].values, name=name, colour=colour, cell=cell)
            for variable, (name, colour, cell) in CURVES.items()
        ),
        *(level(series, bound) for bound in (GENERALIZER_ABOVE, MEMORIZER_BELOW)),
    ]
    lowest = min(-0.25, float(np.nanmin(series["shift_agreement"].values, initial=0)) - 0.05)
    rows = [
        [
            Cell(title, y="agreement, concentration", time=True, y_range=(lowest, 1.05)),
            Cell("Loss of seen pairs from unseen ones", y="times chance", time=True, log=True),
        ]
    ]
    notes = [label("agreement of a circuit", GENERALIZER_ABOVE), label("agreement of a table", MEMORIZER_BELOW, end="right")]
    alt = f"{title}: agreement at the end {_last(series):.3f}."
    return draw(series, rows, heights=(230,), fixed=traces, annotations=notes, alt=alt, said=_said(series))


def _said(series):
    """How far the last agreement is from its limits."""
    agreement = _last(series)
    if not math.isfinite(agreement):
        return []
    return [
        f"At the last step the agreement is {f'{agreement:.3f}'.replace('-', MINUS)}; the limits are {GENERALIZER_ABOVE:g} for a "
        f"generalizer and {MEMORIZER_BELOW:g} for a memorizer."
    ]


def _verdict(steps, agreement, unseen_loss, concentration, learned):
    if np.isnan(agreement).all():
        return "No verdict: too few training pairs, or too few others"
    found = measures.generalization_since(
        steps, agreement=agreement, unseen_loss=unseen_loss, concentration=concentration, learned=learned
    )
    return f"{WORDS[found.verdict]} {'since' if len(steps) > 1 else 'at'} {found.boundary}"


def _last(series):
    return float(series["shift_agreement"][-1])


DEFINITIONS = (
    Definition(
        "memorizer-or-generalizer", "Memorizer or generalizer",
        "A verdict from one checkpoint that uses no test label: generalizer, memorizer, between, or untrained.",
        (
            (
                "agreement =",
                "cosine of the centred logits on unseen pairs with what the training pairs predict for them: the mean of their "
                "logits with the same a - b and a + b - c",
            ),
            (
                "loss of unseen =",
                "loss of the training pairs when the logits of each sum a + b are replaced by the key waves of the unseen pairs' "
                "mean logits, over ln p (1 is chance)",
            ),
            ("concentration =", "Gini coefficient of the rows of F W_L"),
            (
                "generalizer",
                "99 % of the training pairs answered, agreement >= 0.95, and neither loss >= 0.5 nor concentration <= 0.15",
            ),
            (
                "memorizer",
                "99 % of the training pairs answered, agreement <= 0.1, and neither loss <= 0.01 nor concentration >= 0.5",
            ),
        ),
        "each checkpoint by itself, with the training pairs known; no test label is looked at",
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "memorizer_or_generalizer",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("addition", "function", "keys"),
    definitions=(*DEFINITIONS, "gini"),
)
