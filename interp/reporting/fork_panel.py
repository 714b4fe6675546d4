"""The panel of a run's forks: what became of it where something was changed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from interp.figures.fork_figure import DRAWN, ForkCurves, fork_figure
from interp.observing.lineage import changes_in_words
from interp.reporting.assembly import Panel
from interp.reporting.ways_to_make import Made

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from interp.store.run import Run

NAME = "forks"
TITLE = "What if? The forks of this run"
CAPTION = (
    "Each fork goes on from a step of this run with something changed. Up to there it is this run, and what differs from there "
    "on is due to the change (and to new moments of the optimizer, where it says so). Dashed: the forks that lie beside the run; "
    "each is a run with a page of its own."
)
_COLUMNS = ("step", "test_loss", "test_accuracy")


def fork_panel(run: Run) -> Panel | None:
    """The panel; None for a run beside which no fork of it lies."""
    from interp.store.forked import forks_of

    found = forks_of(run)
    if not found:
        return None
    forks = [
        ForkCurves(one.name, changes_in_words(one.record["start"]), {name: one.columns[name] for name in _COLUMNS})
        for one in found
    ]

    def drawn(series: xr.Dataset) -> go.Figure:
        return fork_figure(series, forks)

    more = f"\n\nThe first {DRAWN} of {len(forks)} are drawn." if len(forks) > DRAWN else ""
    listed = 'for fork in interp.forks_of(run):\n    print(fork.name, fork.columns["test_accuracy"][-1])'
    names = " ".join(shlex.quote(one.name) for one in found[:DRAWN])
    way = Made(f"run = interp.open_run({run.name!r})\n{listed}", f"interp report {shlex.quote(run.name)} {names} -o family.html")
    return Panel(NAME, TITLE, CAPTION + more, drawn, made=way)
