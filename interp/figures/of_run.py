"""The report's figures of a run, one at a time: for notebooks, and for files (see `interp.figures.saving`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from interp.errors import DataError, UsageError, as_list
from interp.figures.held import at_step
from interp.figures.one_neuron import NEURON, one_neuron
from interp.figures.plain_lines import figure_of
from interp.figures.theme import PAPER, template
from interp.observing.users_code import RAISED, raised

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr

    from interp.observing.analysis import Analysis
    from interp.observing.key_rules import KeyRule
    from interp.store.run import Run, RunLike


def figure(  # noqa: PLR0913  each is a choice of the one who asks for a picture
    run: RunLike,
    name: str,
    *,
    neuron: int | None = None,
    step: int | None = None,
    theme: Literal["light", "dark"] = "light",
    files: str | Path | Iterable[str | Path] = (),
    key_rule: KeyRule | Sequence[int | str] = "unembedding",
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> go.Figure:
    """One of a run's figures, as the report shows it; what was measured before is taken from the run's cache.

    Args:
        run: a recorded run, its directory, or its name.
        name: of a built-in analysis, or of one in `files`; ``neuron`` is one neuron for all pairs, beside its best fit.
        neuron: which one, only for the figure ``neuron``; 0 by default, which the report shows first.
        step: the checkpoint shown, marked on every time axis; without it, the last one, with a slider over all where things move.
        theme: colours of paper and ink.
        files: Python files with an ``ANALYSIS`` each.
        key_rule: how key frequencies are chosen, see `interp.observe`.
        threads: checkpoints that are measured at once, see `interp.observe`.
        on_step: called with (checkpoints analysed, checkpoints in all).
        force: measure even if that takes more memory than this machine has, by estimate.

    Raises:
        UsageError: for an unknown name or step, with the nearest that exists; for a neuron that does not exist.
        DataError: if the analysis cannot be measured or its figure cannot be drawn.
    """
    from interp.observing.observe import observe
    from interp.store.run import as_run

    opened = as_run(run)
    if step is not None:
        opened.sha256(step)  # the error for a step that was not saved
    asked = find_figure(name, files, neuron=neuron)
    needed: list[str | Analysis] = [asked]
    steps = None
    if is_of_one_step(asked):
        _check_neuron(asked, opened, neuron or 0)
        steps = None if step is None else [step]
    elif asked.name != "progress_measures":  # the phases behind every time axis need the excluded loss
        needed.append("progress_measures")
    series = observe(opened, needed, steps=steps, key_rule=key_rule, threads=threads, on_step=on_step, force=force)
    drawn = draw_observed(asked, series, theme=theme)
    return drawn if step is None else at_step(drawn, step)


def _check_neuron(asked: Analysis, run: Run, neuron: int) -> None:
    """Refuse what the figure of one neuron cannot show, before anything is measured.

    Raises:
        UsageError: for a network that it does not apply to, and for a neuron that the network does not have.
    """
    from interp.observing.applying import Nature, does_not_apply
    from interp.observing.neuron_maps import check_neuron  # only here: what was measured before is drawn without torch

    if (why := does_not_apply(asked, Nature.of(run))) is not None:
        raise _does_not_apply(asked.name, why)
    check_neuron(neuron, run.config.model.d_mlp)


def _does_not_apply(name: str, why: str) -> UsageError:
    return UsageError(f"figure {name}: it does not apply to this run, as {why}")


def draw_observed(asked: Analysis, series: xr.Dataset, *, theme: Literal["light", "dark"]) -> go.Figure:
    """The figure of an analysis that was observed.

    Raises:
        UsageError: if the analysis does not apply to the run.
        DataError: if it failed, or its figure cannot be drawn.
    """
    from interp.observing.series import about

    known = about(series)
    if asked.name in known.failures:
        raise DataError(f"analysis {asked.name} failed {known.failures[asked.name]}")
    if asked.name in known.left_out:
        raise _does_not_apply(asked.name, known.left_out[asked.name])
    try:
        drawn = figure_of(asked)(series)
        drawn.layout.template = template(theme)
        drawn.layout.paper_bgcolor = PAPER[theme]
    except RAISED as error:  # a user's figure may raise anything
        raise DataError(f"analysis {asked.name}: its figure raised {raised(error)}") from error
    return drawn


def find_figure(name: str, files: str | Path | Iterable[str | Path] = (), *, neuron: int | None = None) -> Analysis:
    """The analysis of a name, from files, built in, or that of one neuron.

    Raises:
        UsageError: for an unknown name, with all that are known; for a neuron given to another figure.
    """
    from interp.errors import unknown
    from interp.observing.analysis import builtin_names, find_analyses, load_analysis

    own = {analysis.name: analysis for analysis in map(load_analysis, as_list(files, "files", of=(str, Path)))}
    if name == NEURON and name not in own:
        return one_neuron(neuron or 0)
    drawn = [analysis.name for analysis in find_analyses()]
    if name in builtin_names() and name not in [*drawn, *own]:
        raise UsageError(f"figure {name}: it is drawn only on the report's page; see `interp report RUN -a {name}`")
    if name not in [*drawn, *own]:
        raise unknown("figure", name, [*drawn, NEURON, *own])
    if neuron is not None and name == NEURON:
        raise UsageError(f"neuron: given {neuron} for an analysis from a file that is called {NEURON}; leave it out, or the file")
    if neuron is not None:
        raise UsageError(f"neuron: given {neuron} for the figure {name}, expected only for the figure {NEURON}; leave it out")
    return own[name] if name in own else find_analyses([name])[0]


def is_of_one_step(analysis: Analysis) -> bool:
    """Whether a figure has no time axis, so that nothing is needed but the checkpoints it shows: that of one neuron.

    All others come from files.
    """
    return analysis.source is None
