"""How large are the weights?

With weight decay: Weight decay pulls on every weight all the time. Memorizing needs large weights; a circuit gives the same
answers with smaller ones.

Without weight decay: Nothing pulls the weights of this run back: it was trained without weight decay, and a memorized table has
no reason to fade.

If it grokked: The sum of squares tells when the memorized table is given up: once the circuit answers the training pairs, the
table is not needed any more.

Measured: sum of the squares of all entries of each tensor, and of all tensors together.
"""

import numpy as np
import xarray as xr

from interp import Analysis, Definition, Source, measures
from interp.figures import CYCLE, NEUTRAL, Cell, curve, draw

FALLEN = 0.95  # at more than this share of its largest value the sum has not fallen


def measure(view):
    """Sum of squares of every parameter: without buffers, and once where two names have the same."""
    beside = set(view.network.facts().get("not_parameters", ()))
    sums = measures.sum_squared_weights({name: tensor for name, tensor in view.network.tensors().items() if name not in beside})
    total = sums.pop("total")
    return {
        "sum_squared": xr.DataArray(list(sums.values()), dims="tensor", coords={"tensor": list(sums)}),
        "sum_squared_total": total,
    }


def figure(series):
    """The total, and every tensor, over time."""
    steps, tensors = series.step.values, [str(name) for name in series.tensor.values]
    dashes = ("solid", "dash", "dot")
    curves = [
        curve(
            steps, series["sum_squared"].sel(tensor=name).values, name=name, colour=CYCLE[i % len(CYCLE)],
            dash=dashes[i // len(CYCLE) % 3], cell=2,
        )
        for i, name in enumerate(tensors)
    ]  # fmt: skip
    total = curve(steps, series["sum_squared_total"].values, name="all tensors", colour=NEUTRAL) | {"showlegend": False}
    rows = [
        [
            Cell("All tensors", y="sum of squares", time=True),
            Cell("Each tensor", y="sum of squares", time=True, log=True, weight=1.4),
        ]
    ]
    first, last = (float(series["sum_squared_total"][i]) for i in (0, -1))
    alt = f"The sum of squared weights goes from {first:.4g} to {last:.4g}."
    return draw(
        series, rows, heights=(260,), fixed=[total, *curves], alt=alt, said=_said(steps, series["sum_squared_total"].values)
    )


def _said(steps, total):
    """Whether the sum falls, and from when on."""
    known = np.flatnonzero(np.isfinite(total))
    if len(known) < 2:
        return []
    top, last = known[np.argmax(total[known])], known[-1]
    if total[last] > FALLEN * total[top]:
        return [f"The sum of squares does not fall: it is {total[last]:,.0f} at the last step, {total[top]:,.0f} at its largest."]
    return [f"The sum of squares is largest at step {steps[top]:,}, {total[top]:,.0f}, and {total[last]:,.0f} at the last step."]


NANDA = ("Nanda et al. 2023", "https://arxiv.org/abs/2301.05217")
DEFINITIONS = (
    Definition(
        "sum-of-squares", "Sum of squared weights",
        "Sum of squares per tensor and in total, accumulated in float64.",
        (("sum of squares =", "sum_i w_i^2 over all entries"),),
        "each weight tensor, and all of them together",
        Source(*NANDA, "section 5.1"),
    ),
)  # fmt: skip

ANALYSIS = Analysis("weight_norms", question=__doc__, measure=measure, figure=figure, definitions=DEFINITIONS)
