"""How large are the weights?

Where there is weight decay, it pulls on every weight all the time. Memorizing needs large weights; a circuit gives the same
answers with smaller ones. In a run that groks with weight decay the sum of squares falls during cleanup, when the memorized
table is no longer needed and decays away.

Measured: sum of the squares of all entries of each tensor, and of all tensors together.
"""

import xarray as xr

from interp import Analysis, Definition, Source, measures
from interp.figures import CYCLE, NEUTRAL, Cell, curve, draw


def measure(view):
    """Sum of squares of every tensor."""
    sums = measures.sum_squared_weights(view.network.tensors())
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
    return draw(series, rows, heights=(260,), fixed=[total, *curves], alt=alt)


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
