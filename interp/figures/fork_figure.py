"""The forks of a run over the run itself: what would have happened, beside what did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interp.figures.cells import Cell
from interp.figures.drawing import curve, draw, line
from interp.figures.theme import CYCLE, TEST
from interp.wording import counted, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

# So many forks are drawn: more cannot be told apart.
DRAWN = len(CYCLE)
_NAMES = ("test_loss", "test_accuracy")


@dataclass(frozen=True)
class ForkCurves:
    """One fork as it is drawn.

    Args:
        name: of the fork.
        told: what was changed, in words.
        columns: `step`, `test_loss` and `test_accuracy` at its evaluations; NaN where nothing was measured.
    """

    name: str
    told: str
    columns: Mapping[str, np.ndarray]

    def known(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of a column, where it was measured."""
        values = np.asarray(self.columns[name], dtype=float)
        is_known = np.isfinite(values)
        return np.asarray(self.columns["step"])[is_known], values[is_known]


def fork_figure(series: xr.Dataset, forks: Sequence[ForkCurves]) -> go.Figure:
    """Test loss and test accuracy of a run, and of its forks from the steps on at which they begin, dashed.

    Args:
        series: of the run, as `interp.observe` returned it.
        forks: of it; the first `DRAWN` are drawn.
    """
    drawn = forks[:DRAWN]
    traces = []
    for cell, name in enumerate(_NAMES, start=1):
        own = line(series, f"history_{name}", name="this run", colour=TEST, cell=cell)
        traces.append(own | {"showlegend": cell == 1, "legendgroup": "this run"})
        for colour, fork in zip(CYCLE, drawn, strict=False):
            trace = curve(*fork.known(name), name=fork.told, colour=colour, cell=cell, dash="dash", legend=cell == 1)
            traces.append(trace | {"legendgroup": fork.name})
    rows = [
        [Cell("Test loss", y="cross-entropy (nats)", time=True, log=True)],
        [Cell("Test accuracy", y="share of pairs right", time=True, y_range=(-0.03, 1.05))],
    ]
    return draw(series, rows, heights=(240, 170), fixed=traces, alt=_in_words(series, drawn))


def _in_words(series: xr.Dataset, forks: Sequence[ForkCurves]) -> str:
    own = series["history_test_accuracy"].dropna("history_step").values
    ends = [("this run", own), *((fork.told, fork.known("test_accuracy")[1]) for fork in forks)]
    told = "; ".join(f"{name}: {percent(float(values[-1]))}" for name, values in ends if len(values))
    return f"{counted(len(forks), 'fork')} over the run. Test accuracy at the end: {told}."
