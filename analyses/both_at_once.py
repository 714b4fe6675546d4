"""Circuit and table: how much of each answer does either carry?

A network can be both at once: a table that knows the training pairs by heart, and a circuit that does not need to. The first
plot splits the margin of the right answers on the training pairs: what they have in common with pairs that were never seen is
the circuit's (green), what they have above it the table's (red). The second shows unseen pairs: the circuit's margin, and in
grey what is said at random about single pairs. Answers to unseen pairs come out right where the first outgrows the second.

If it grokked: That is long after it began to grow.

Measured: margin = logit of the right answer less the mean of all others; circuit = for each a - b the mean margin of the unseen
pairs; table = mean margin of the training pairs above that; noise = root mean square of single unseen pairs' deviations.
"""

import math

import numpy as np

from interp import Analysis, Definition, measures
from interp.figures import CYCLE, NEUTRAL, RESTRICTED, Cell, curve, draw, key

PARTS = {
    "margin_circuit_seen": ("circuit", RESTRICTED, 1), "margin_table_seen": ("table", CYCLE[1], 1),
    "margin_circuit_unseen": ("circuit", RESTRICTED, 2), "margin_noise_unseen": ("noise", NEUTRAL, 2),
}  # fmt: skip
SEEN = {1: "seen", 2: "unseen"}


def measure(view):
    """The parts of the margins."""
    circuit = view.circuit
    if circuit.train is None or not 0 < len(circuit.train) < len(circuit.labels):
        return dict.fromkeys(PARTS, math.nan)
    found = measures.margin_parts(circuit.logits, circuit.labels, harmonics=circuit.harmonics, train=circuit.train)
    values = (found.circuit_seen, found.table_seen, found.circuit_unseen, found.noise_unseen)
    return dict(zip(PARTS, values, strict=True))


def figure(series):
    """Both parts over time, on seen and on unseen pairs."""
    steps = series.step.values
    traces = [
        curve(steps, series[name].values, name=f"{part} ({SEEN[cell]})", colour=colour, cell=cell, legend=False)
        for name, (part, colour, cell) in PARTS.items()
    ]
    titles = [key({label: colour for label, colour, at in PARTS.values() if at == cell}) for cell in (1, 2)]
    rows = [
        [
            Cell(f"Margin of seen pairs: {titles[0]}", y="nats", time=True),
            Cell(f"Margin of unseen pairs: {titles[1]}", y="nats", time=True),
        ]
    ]
    table, circuit = (float(series[name][-1]) for name in ("margin_table_seen", "margin_circuit_seen"))
    alt = f"At the end the circuit carries {circuit:.3g} nats of the margin of seen pairs, the table {table:.3g}."
    return draw(series, rows, heights=(230,), fixed=traces, alt=alt, said=_said(series))


def _said(series):
    """From when on the circuit outgrows the noise."""
    steps, larger = series.step.values, (series["margin_circuit_unseen"] > series["margin_noise_unseen"]).values
    if len(steps) < 2 or not np.isfinite(series["margin_noise_unseen"].values[-1]):
        return []
    if not larger[-1]:
        return ["At the last step what is said at random about unseen pairs is still larger than the circuit's margin."]
    below = np.flatnonzero(~larger)
    since = int(steps[below[-1] + 1]) if len(below) else int(steps[0])
    return [f"On unseen pairs the circuit's margin is larger than the noise from step {since:,} on."]


DEFINITIONS = (
    Definition(
        "margins", "Margins of circuit and table",
        "How much of the margin of the right answers every pair of the same a - b has, seen or not, and how much only seen ones.",
        (
            ("m(a, b) =", "logit of the right answer - mean of all other logits"),
            ("circuit(a - b) =", "mean of m over the unseen pairs of the same a - b"),
            ("table =", "mean over seen pairs of m - circuit(a - b)"),
            ("noise =", "root mean square over unseen pairs of m - circuit(a - b)"),
        ),
        "all pairs, the training pairs known; the answers of unseen pairs are looked at",
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "both_at_once",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("harmonics", "function", "addition"),
    definitions=DEFINITIONS,
)
