"""The panel of the local learning coefficient, on the page of a run around whose checkpoints weights were drawn."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from interp.figures.coefficient_figure import coefficients_over
from interp.landscape.kept_coefficients import kept_coefficients, usual_steps
from interp.landscape.langevin import Langevin
from interp.reporting.assembly import Panel
from interp.reporting.ways_to_make import Made
from interp.wording import percent

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from interp.store.run import Run

NAME = "learning_coefficients"
TITLE = "How closely do the training pairs hold the weights?"
CAPTION = """Weights are drawn at random around each checkpoint, held to it by a spring and pushed by the train loss; the local
learning coefficient is how much larger the train loss is among them, in units of a temperature. A table that keeps every pair for
itself bears such changes badly, a circuit that serves all pairs well: while one takes the other's place it falls, also while the
train loss stands still. No test label is looked at."""


def coefficient_panel(run: Run) -> Panel | None:
    """The panel; None for a run at which nothing was drawn."""
    found = kept_coefficients(run)
    if found is None:
        return None
    told = found.attrs
    n_beta = f"n_beta = {told['n_beta']:g}" if "n_beta" in told else "n_beta = n / ln n"
    chains, size, held = told["chains"], f"{told['step_size']:g}", f"{told['localization']:g}"
    known = [its for its in found["draw_distance"].values if np.isfinite(its).all()]
    reach = f": at the last of these checkpoints draws lie {percent(known[-1].mean())} of the weights' norm away" if known else ""
    how = (
        f"Measured: n_beta (mean train loss over the draws less that at the checkpoint), by {chains} chains of {told['draws']} "
        f"draws after {told['burn_in']} steps of Langevin dynamics of step size {size}, with {n_beta} for n training pairs, and "
        f"localization {held}, the stiffness of the spring{reach}. "
        "Coefficients compare checkpoints, not settings. Lau et al. 2023, arXiv 2308.12108."
    )

    def drawn(series: xr.Dataset) -> go.Figure:
        return coefficients_over(series, found)

    usual = asdict(Langevin())
    other = {name: told[name] for name in usual if name in told and told[name] != usual[name]}
    given = f", sampler=interp.Langevin({', '.join(f'{name}={value!r}' for name, value in other.items())})" if other else ""
    flags = "".join(f" --{name.replace('_', '-')} {value}" for name, value in other.items())
    steps = found["step"].values.tolist()
    if steps != usual_steps(run.steps):
        given, flags = f", steps={steps}{given}", f" --steps {','.join(map(str, steps))}{flags}"
    way = Made(
        f'run = interp.open_run({run.name!r})\nprint(interp.learning_coefficients(run{given})["llc"])',
        f"interp llc {shlex.quote(run.name)}{flags} -o llc.svg",
    )
    return Panel(NAME, TITLE, " ".join(CAPTION.split()) + "\n\n" + how, drawn, made=way)
