"""Will it grok, and when?

On the plateau every ordinary curve is flat, but the spectra need not be: in a run on its way to grok, the number of frequencies
that the network spreads over falls exponentially, a straight line on this scale, until few enough are left for a circuit. Two
such lines, extrapolated, say when. The first plot shows them at the chosen step, the second what was said at each step: the
line is the median, the band holds four runs in five. No answer to an unseen pair is looked at. The last plot shows what is said
of unseen pairs: how much of it is a clock's, and whether it is what seen pairs predict.

If it grokked: The dotted line shows when the run did grok.

If it memorized: The run was not seen to grok; where no date is drawn, none was named.

Measured: N = (sum of e_k)^2 / sum of e_k^2, e_k the squared norm of frequency k in W_L or W_E; share of the variance of the
unseen pairs' logits that depends on c - (a + b) alone; shift agreement. Lines are fitted to ln N over the second half of the
steps since memorizing.
"""

import math

import numpy as np

from interp import Analysis, Definition, about, forecasts, measures
from interp.figures import CYCLE, Cell, curve, draw, faded, key, level, on, remark

MATRICES = {"n_W_L": ("W_L", CYCLE[0]), "n_W_E": ("W_E", CYCLE[1])}
UNSEEN = {"clock_share_unseen": ("clock", CYCLE[2]), "unseen_agreement": ("agreement", CYCLE[3])}


def measure(view):
    """Effective numbers of frequencies, and what is said of unseen pairs."""
    circuit = view.circuit
    found = {
        name: float(measures.effective_number(getattr(circuit, f"spectrum_{matrix}").frequencies.cpu().numpy()))
        for name, (matrix, _) in MATRICES.items()
    }
    if circuit.train is None or not 0 < len(circuit.train) < len(circuit.labels):
        return found | dict.fromkeys(UNSEEN, math.nan)
    share = measures.clock_share(circuit.logits, harmonics=circuit.harmonics, pairs=circuit.test)
    return found | {"clock_share_unseen": float(share), "unseen_agreement": float(circuit.agreement)}


def figure(series):
    """Both numbers with their lines at the chosen step; what was said at each step; what is said of unseen pairs."""
    said = forecasts(series) if np.isfinite(series["n_W_L"].values).any() else ()
    at, steps = {one.step: one for one in said}, series.step.values
    fixed = [
        *(curve(steps, series[name].values, name=f"N of {matrix}", colour=colour) for name, (matrix, colour) in MATRICES.items()),
        *_course(series, said),
        *(curve(steps, series[name].values, name=label, colour=colour, cell=3) for name, (label, colour) in UNSEEN.items()),
    ]
    fixed = [trace | ({} if trace["name"].startswith("N of") else {"showlegend": False}) for trace in fixed]
    highest = max(float(np.nanmax(series[name].values, initial=2.0)) for name in MATRICES)
    rows = [
        [Cell("Effective number of frequencies", y="N", time=True, log=True, y_range=(0, math.log10(1.15 * highest)))],
        [
            Cell("Said to grok at", y="step", time=True, y_range=(0, _top(series, said))),
            Cell(f"Said of unseen pairs: {_key(UNSEEN)}", y="share", time=True, y_range=(-0.05, 1.05)),
        ],
    ]
    notes = [] if any(one.at is not None for one in said) else [remark("no forecast was made at any of these steps", cell=2)]
    return draw(
        series, rows, heights=(230, 230), fixed=fixed, moving=lambda i: _lines(at.get(int(steps[i]))),
        titles=lambda i: {1: _title(at.get(int(steps[i])))}, annotations=notes, alt=_in_words(said),
    )  # fmt: skip


def _lines(said):
    """The two trends over their window, going on to the end that each runs to."""
    traces = []
    for name, (_, colour) in MATRICES.items():
        trend = None if said is None or said.evidence is None else getattr(said.evidence, name[2:])
        x = y = (math.nan, math.nan)
        if trend is not None:
            window = said.evidence.window
            until = said.step + (trend.steps_left if trend.slope < 0 and trend.level > trend.end else 0)
            x = (window[0], max(until, said.step))
            y = tuple(math.exp(trend.level + trend.slope * (step - said.step)) for step in x)
        traces.append(curve(x, y, name=f"trend of {name[2:]}", colour=colour, dash="dash", legend=False))
    return traces


def _course(series, said):
    """Median and interval of what was said at each step, and when the run did grok."""
    dated = [one for one in said if one.at is not None]
    steps = np.array([one.step for one in dated])
    low, at, high = (np.array([getattr(one, name) for one in dated], dtype=float) for name in ("low", "at", "high"))
    band = {
        "type": "scatter", "mode": "lines", "x": np.concatenate([steps, steps[::-1]]), "y": np.concatenate([high, low[::-1]]),
        "fill": "toself", "fillcolor": faded(CYCLE[0], 0.2), "line": {"width": 0}, "name": "four in five", "hoverinfo": "skip",
        **on(2),
    }  # fmt: skip
    traces = [band, curve(steps, at, name="median", colour=CYCLE[0], cell=2)]
    grokked = None if about(series).phases is None else about(series).phases.grokked
    if grokked is not None:
        traces.append(level(series, grokked.step, cell=2) | {"name": "did grok"})
    return traces


def _top(series, said):
    """The highest step shown: forecasts far beyond the run's end are cut."""
    end = float(max(series.step.values[-1], series.history_step.values[-1] if "history_step" in series else 0))
    return 1.05 * max(end, min(2 * end, max((one.high for one in said if one.high is not None), default=0)))


def _title(said):
    if said is None or said.at is None:
        return f"Effective number of frequencies: {'no forecast' if said is None else said.verdict}"
    return f"Effective number of frequencies: says {said.at:,} ({said.low:,} to {said.high:,})"


def _key(curves):
    return key(dict(curves.values()))


def _in_words(said):
    dated = [one for one in said if one.at is not None]
    if not dated:
        return f"At the last step: {said[-1]}." if said else "The spectra are not finite."
    return f"At step {dated[0].step:,} it was first said: {dated[0]}."


DEFINITIONS = (
    Definition(
        "effective-number", "Effective number of frequencies",
        "How many frequencies a matrix is spread over: m equal ones count as m.",
        (
            ("e_k =", "|| rows cos k, sin k of F W ||^2"),
            ("N =", "(sum_k e_k)^2 / sum_k e_k^2"),
        ),
        "W = W_E without the row of =, or W = W_L; k = 1 to floor(p/2). For another group, e_k is the energy in an irreducible "
        "representation",
        waves=True,
        of_addition=True,
    ),
    Definition(
        "clock-share", "Share of the clock",
        "How much of the logits depends on nothing but the class counted from the answer: what a clock says, at any frequencies.",
        (
            ("l =", "logits, centred over the classes of each pair"),
            ("g(e) =", "mean over the pairs of l[a, b, a + b + e]"),
            ("share =", "sum_pairs sum_e g(e)^2 / sum_pairs sum_c l[a, b, c]^2"),
        ),
        "the unseen pairs; no label, no key frequency",
        waves=True,
        of_addition=True,
    ),
    Definition(
        "forecast", "Forecast",
        "When a run will answer 99 % of its test pairs for good, with an interval, from weights and training pairs alone.",
        (
            ("trend", "line through ln N over the second half of the steps since memorizing, for W_L and W_E"),
            ("left =", "steps until it is at ln 4 (W_L), at ln sqrt p (W_E)"),
            ("law:", "ln((T - t) / since) = a + b x + sigma eps, x = ln(left / since) and level of both trends"),
            ("model:", "x has the shift agreement, its gain, weight decay x learning rate and the share of the pairs as well"),
        ),
        "the checkpoints up to step t; coefficients fitted once on the runs of docs/forecast.md, censored ones included",
        waves=True,
        of_addition=True,
    ),
)  # fmt: skip

ANALYSIS = Analysis(
    "forecast",
    question=__doc__,
    measure=measure,
    figure=figure,
    needs=("one-layer", "addition"),
    definitions=DEFINITIONS,
)
