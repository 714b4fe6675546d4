"""What does each part of the answer weigh?

Of the mean logits of each answer, the share that lies in each frequency (of a group: in each irreducible representation). A part
whose share rises carries the circuit.
"""

import xarray as xr

from interp import Analysis, Definition, about
from interp.figures import CYCLE, Cell, curve, draw
from interp.harmonics import line_means

PARTS = Definition(
    "answer-parts",
    "Parts of the answer",
    "The share of the mean logits of each answer that lies in each part of the harmonics.",
    (("share of r =", "|| P_r M ||^2 / sum_s || P_s M ||^2,  M[g, c] = mean logit of c over all inputs whose answer is g"),),
    "the logits of all inputs",
)


def measure(view):
    """The share of each part."""
    harmonics = view.harmonics
    energy = harmonics.norms(line_means(view.circuit.logits.double(), harmonics)).square()
    names = [str(name) for name in harmonics.names]
    return {"answer_part": xr.DataArray((energy / energy.sum()).numpy(), dims="part", coords={"part": names})}


def figure(series):
    """One line a part."""
    keys = {str(name) for name in about(series).key_frequencies}
    lines = [
        curve(series.step.values, series["answer_part"].sel(part=name).values, name=name, colour=CYCLE[i % len(CYCLE)])
        for i, name in enumerate(series.part.values.tolist())
        if name in keys or len(series.part) < len(CYCLE)
    ]
    return draw(series, [[Cell("Share of each part", y="share", time=True, y_range=(0, 1.03))]], heights=(220,), fixed=lines)


ANALYSIS = Analysis(
    "answer_parts", question=__doc__, measure=measure, figure=figure, needs=("harmonics",), definitions=(PARTS, "key-frequencies")
)
