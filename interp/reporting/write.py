"""Writing the report of a run: observe, build the page, put it in place at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from interp.errors import UsageError
from interp.observing.series import about
from interp.reporting.assembly import Page, Panel, page
from interp.reporting.compare import compare
from interp.reporting.dissection import Section, dissection, no_dissection
from interp.reporting.explorer import explorer
from interp.reporting.origin import origin

if TYPE_CHECKING:
    import xarray as xr

    from interp.observing.analysis import Analysis
    from interp.observing.keys import KeyRule
    from interp.store.run import Run

# What the comparison of runs shows is measured by these.
_COMPARED = ("loss_curves", "progress_measures")
# Random controls of each ablation: as many as can be had in about a second. `interp anatomy --controls` makes more.
CONTROLS = 3


def report(
    run: Run | str | Path | Sequence[Run | str | Path],
    path: str | Path = "report.html",
    *,
    analyses: Iterable[str | Analysis] | None = None,
    files: Iterable[str | Path] = (),
    steps: Iterable[int] | None = None,
    key_rule: KeyRule | Sequence[int | str] = "unembedding",
    on_step: Callable[[int, int], None] | None = None,
) -> Page:
    """Write one offline HTML page about a run and return it, with its headline and what could not be shown.

    Args:
        run: a recorded run, or its directory; several of them are compared on one page.
        path: the file to write; an existing one is replaced at once, never left half written.
        analyses: names of built-in analyses or `Analysis` objects; all built-in ones by default. Of several runs, those named are
            shown one run after the other, below the comparison.
        files: Python files with an ``ANALYSIS`` each, shown after the others.
        steps: which checkpoints; all by default.
        key_rule: how key frequencies are chosen, see `interp.observe`.
        on_step: called with (checkpoints analysed, checkpoints in all).

    Raises:
        UsageError: for an unknown analysis or step, or a directory that does not exist.
    """
    from interp.observing.analysis import builtin_names, find_analyses
    from interp.observing.observe import observe
    from interp.store.run import open_run

    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"report: directory {path.parent} does not exist; create it or choose another place with --out")
    opened = [open_run(one) if isinstance(one, str | Path) else one for one in _listed(run)]
    several = len(opened) > 1
    asked = list(analyses) if analyses is not None else []
    compared = [*_COMPARED, *(one for one in asked if one not in _COMPARED)]
    chosen = find_analyses(compared if several else asked or builtin_names(), files=files)
    found = [observe(one, chosen, steps=steps, key_rule=key_rule, on_step=on_step) for one in opened]
    own = [analysis for analysis in chosen if analysis.name not in _COMPARED or analysis.name in asked]
    built = compare(found, own=[panels(one, own) for one in found]) if several else page_of(opened[0], found[0], chosen)
    _replace(path, built.html)
    return built


def page_of(
    run: Run, series: xr.Dataset, analyses: Iterable[Analysis], *, live: int | None = None, controls: int = CONTROLS
) -> Page:
    """The page of one run, from what was observed of it.

    Args:
        run: the run.
        series: as `interp.observe` returned it for these analyses.
        analyses: those that were observed.
        live: see `page`.
        controls: random controls of each ablation of the last checkpoint.
    """
    shown = _with_explorer(run, series, panels(series, analyses))
    return page(series, shown, sections=[_dissected(run, series, controls)], origin=[origin(run)], live=live)


def _with_explorer(run: Run, series: xr.Dataset, shown: list[Panel]) -> list[Panel]:
    """The panels with the neuron explorer after that of all neurons, if there is one."""
    from interp.networks.neuron_tables import neuron_tables

    place = next(
        (i + 1 for i, panel in enumerate(shown) if panel.name == "neuron_frequencies" and not (panel.failure or panel.left_out)),
        None,
    )
    if place is None:
        return shown
    steps = [int(step) for step in series["step"].values]
    classes = None if run.task.harmonics is None else run.task.harmonics.classes
    order = None if classes is None else classes.tolist()
    neuron = explorer(steps, [neuron_tables(run[step].weights) for step in steps], order=order)
    return [*shown[:place], neuron, *shown[place:]]


def _dissected(run: Run, series: xr.Dataset, controls: int) -> Section:
    """The series' last checkpoint taken apart."""
    from interp.anatomy import anatomy
    from interp.anatomy.published import beside_mainline
    from interp.anatomy.source import known_weight_decay
    from interp.observing.run_health import run_health

    step = int(series["step"].values[-1])
    weights = run[step].weights
    chosen = about(series).key_frequencies
    keys = None if chosen is None else [k for k in chosen if isinstance(k, int)]
    try:
        found = anatomy(weights, task=run.task, split=run.split, keys=keys, controls=controls)
    except UsageError as error:
        return no_dissection(str(error))
    fraction = len(run.split.train) / len(run.task.labels)
    paper, note = beside_mainline(weights, run.task, weight_decay=known_weight_decay(run), fraction=fraction)
    return dissection(found, step=step, paper=paper, paper_note=note, health=run_health(run, step=step))


def _listed(run: Run | str | Path | Sequence[Run | str | Path]) -> list[Run | str | Path]:
    runs: list[Run | str | Path] = list(run) if isinstance(run, list | tuple) else [cast("Run | str | Path", run)]
    if not runs:
        raise UsageError("report: given no run, expected at least one")
    return runs


def panels(series: xr.Dataset, analyses: Iterable[Analysis]) -> list[Panel]:
    """The panels of analyses that were observed, with the reason for those that failed or do not apply."""
    known = about(series)
    return [
        Panel(
            a.name,
            a.title,
            a.caption,
            a.figure,
            known.failures.get(a.name),
            definitions=a.definitions,
            left_out=known.left_out.get(a.name),
        )
        for a in analyses
    ]


def _replace(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, with the permissions the user's umask gives."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(file.name, 0o666 & ~umask)
    os.replace(file.name, path)
