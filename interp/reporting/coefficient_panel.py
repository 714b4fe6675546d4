"""The panel of the local learning coefficient, on the page of a run around whose checkpoints weights were drawn."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

from interp.figures.coefficient_figure import coefficients_over
from interp.landscape.kept_coefficients import kept_coefficients
from interp.landscape.langevin import Langevin
from interp.reporting.assembly import Panel
from interp.reporting.ways_to_make import Made

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from interp.store.run import Run

NAME = "learning_coefficients"
TITLE = "In how many directions do the training pairs hold the weights?"
CAPTION = """A table that keeps every pair for itself holds the weights in many directions, a circuit that serves all
pairs in few. The local learning coefficient counts them, from training pairs alone: weights are drawn at random around each
checkpoint, and it is how much the train loss rises among them. While a circuit takes a table's place it falls; in runs that only
memorize it comes to stand still."""


def coefficient_panel(run: Run) -> Panel | None:
    """The panel; None for a run at which nothing was drawn."""
    found = kept_coefficients(run)
    if found is None:
        return None
    told = found.attrs
    n_beta = f"n_beta = {told['n_beta']:g}" if "n_beta" in told else "n_beta = n / ln n"
    chains, size, held = told["chains"], f"{told['step_size']:g}", f"{told['localization']:g}"
    how = (
        f"Measured: n_beta (mean train loss over the draws less that at the checkpoint), by {chains} chains of {told['draws']} "
        f"draws after {told['burn_in']} steps of Langevin dynamics of step size {size}, with {n_beta} for n training pairs, and "
        f"localization {held}. It compares checkpoints, not settings. Lau et al. 2023, arXiv 2308.12108."
    )

    def drawn(series: xr.Dataset) -> go.Figure:
        return coefficients_over(series, found)

    usual = asdict(Langevin())
    other = {name: told[name] for name in usual if name in told and told[name] != usual[name]}
    given = f", sampler=interp.Langevin({', '.join(f'{name}={value!r}' for name, value in other.items())})" if other else ""
    flags = "".join(f" --{name.replace('_', '-')} {value}" for name, value in other.items())
    way = Made(
        f'run = interp.open_run({run.name!r})\nprint(interp.learning_coefficients(run{given})["llc"])',
        f"interp llc {shlex.quote(run.name)}{flags} -o llc.svg",
    )
    return Panel(NAME, TITLE, " ".join(CAPTION.split()) + "\n\n" + how, drawn, made=way)
