"""Several runs on one page: curves over each other, aligned at step 0 and at generalization, and a table of what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import xarray as xr

from interp.errors import UsageError
from interp.figures import CYCLE, Cell, curve, draw
from interp.figures.drawing import marked_if_few
from interp.observing.lineage import lineage_in_words
from interp.observing.series import ABOUT, About, about
from interp.reporting.assembly import Page, Panel, page
from interp.reporting.compared_tables import left_out_table, outcome_tables, parts_of
from interp.reporting.over_seeds import bands_of, settings
from interp.reporting.run_curves import Curves
from interp.reporting.run_labels import labels
from interp.reporting.story import End, Story, run_name, tell

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The analyses that measure what is compared.
COMPARED = ("loss_curves", "progress_measures", "memorizer_or_generalizer", "clock_or_pizza")
_TOLD = 4  # up to this many runs each have a sentence at the head of the page
_DASHES = ("solid", "dash", "dot")
_OUTSIDE = ("history_test_accuracy", "history_test_loss", "history_sum_squared_weights")
_INSIDE = ("restricted_loss", "excluded_loss")

# Variable -> title of its cell, its vertical axis, whether that is logarithmic.
_CELLS = {
    "history_test_accuracy": ("Test accuracy", "share right", False),
    "history_test_loss": ("Test loss", "nats", True),
    "history_sum_squared_weights": ("Sum of squared weights", "sum of squares", False),
    "restricted_loss": ("Restricted loss", "nats", True),
    "excluded_loss": ("Excluded loss", "nats", True),
}


def compare(
    runs: Sequence[xr.Dataset],
    *,
    own: Sequence[Sequence[Panel]] = (),
    left_out: Mapping[str, str] | None = None,
    on_panel: Callable[[int, int], None] | None = None,
) -> Page:
    """Build the page that compares runs, each given by its series.

    Args:
        runs: the series.
        own: for each run the panels of further analyses, the same for all; their figures follow, one run after the other, as
            figures of any kind cannot be drawn over each other.
        left_out: runs that are not on the page -> why.
        on_panel: see `page`.

    Raises:
        UsageError: if fewer than two are given.
    """
    if len(runs) < 2:
        raise UsageError(f"compare: given {len(runs)} runs, expected at least two")
    names = _names(runs)
    together = _together(runs)
    panels = [
        Panel(
            "outside",
            "When did each run generalize?",
            _OUTSIDE_CAPTION,
            _over_steps(runs, names, _OUTSIDE),
            definitions=_OUTSIDE_BY,
        ),
        *_inside(runs, names),
        *_alike(runs, names),
        *_of_each(runs, names, own),
    ]
    return page(
        together,
        panels,
        story=_story(runs, names),
        facts=[*outcome_tables(runs, names), *left_out_table(left_out or {})],
        looks=[_look(i) for i in range(len(runs))],
        opening=_shared_step(runs),
        on_panel=on_panel,
    )


def _shared_step(runs: Sequence[xr.Dataset]) -> int | None:
    """The last step at which every run has a checkpoint; None where there is none."""
    shared = set(map(int, runs[0]["step"].values)).intersection(*(map(int, series["step"].values) for series in runs[1:]))
    return max(shared, default=None)


def _inside(runs: Sequence[xr.Dataset], names: Sequence[str]) -> list[Panel]:
    """The losses that look inside, if there is a run whose answers have waves."""
    if not any(about(series).has_waves for series in runs):
        return []
    drawn, caption = _over_steps(runs, names, _INSIDE), _INSIDE_CAPTION.format(parts=parts_of([*map(about, runs)]))
    return [Panel("inside", "When did each circuit form?", caption, drawn, definitions=_INSIDE_BY)]


def _alike(runs: Sequence[xr.Dataset], names: Sequence[str]) -> list[Panel]:
    """The aligned curves, if there is a run to align."""
    if not any(_generalized(series) is not None for series in runs):
        return []
    drawn = _aligned(runs, names)
    if not any(about(series).has_waves for series in runs):
        return [Panel("aligned", "Do the runs generalize alike?", _ALIGNED_CAPTION, drawn, definitions=_ALIGNED_BY[:2])]
    return [Panel("aligned", "Do the circuits form alike?", _ALIGNED_CAPTION, drawn, definitions=_ALIGNED_BY)]


def _of_each(runs: Sequence[xr.Dataset], names: Sequence[str], own: Sequence[Sequence[Panel]]) -> list[Panel]:
    """The runs' own panels, analysis by analysis, each titled with its run and drawn from its series; one caption for all."""

    def of(series: xr.Dataset, panel: Panel) -> Callable[[xr.Dataset], go.Figure]:
        return lambda _: panel.draw(series)

    return [
        replace(
            panel,
            name=f"{panel.name}-{number}",
            title=f"{panel.title} ({name})",
            caption=panel.caption if number == 1 else "",
            draw=of(series, panel),
        )
        for same in zip(*own, strict=True)
        for number, (panel, name, series) in enumerate(zip(same, names, runs, strict=True), start=1)
    ]


# Names of the definitions that each panel links to.
_OUTSIDE_BY = ("loss", "sum-of-squares", "phases")
_INSIDE_BY = ("restricted-loss", "excluded-loss", "key-frequencies")
_ALIGNED_BY = ("phases", "loss", "restricted-loss")
_OUTSIDE_CAPTION = (
    "Each run has one colour, and its curves end where it ended; where three or more differ in their seeds alone, a broad line "
    "is their mean and a band reaches from the lowest to the highest. These curves show, without a look inside, at which step a "
    "test accuracy jumps and a test loss falls, if they do."
)
_INSIDE_CAPTION = (
    "The restricted loss and the excluded loss of the same runs, each with its own key {parts}. A run that is on its way to "
    "generalize shows it here first: its restricted loss falls while its test accuracy is still flat. Where no {parts} "
    "stand out, the restricted loss also falls with memorization, and says nothing."
)
_ALIGNED_CAPTION = (
    "The same curves with every run shifted so that its test accuracy is 99 % from 0 on, which is grokking if it came late. "
    "Where a run dips after that, 0 is where it first was 99 %. Runs that do not end with 99 % are left out. If the curves "
    "coincide, the runs take the same path and differ only in when they start."
)


def _names(runs: Sequence[xr.Dataset]) -> list[str]:
    """The runs' names, without what all of them share; those that occur more than once are numbered."""
    names = labels([run_name(series) for series in runs])
    return [f"{name} ({i + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _together(runs: Sequence[xr.Dataset]) -> xr.Dataset:
    """A series with the checkpoints of all runs: page and figures need their common time axis, the page's tables their curves."""
    names = _names(runs)
    evaluated = [series["history_step"].values for series in runs if "history_step" in series.coords]
    steps = np.unique(np.concatenate([series["step"].values for series in runs]))
    axes = {"step": steps, "history_step": np.unique(np.concatenate([steps, *evaluated]))}
    measured = {}
    for variable in (*_OUTSIDE, *_INSIDE):
        if any(Curves(series).curve(variable) for series in runs):
            axis = "history_step" if variable in _OUTSIDE else "step"
            values = _side_by_side(runs, variable, axes[axis])
            measured[variable] = xr.DataArray(
                values, dims=(axis, "run"), attrs={} if variable in _OUTSIDE else {"analysis": "inside"}
            )
    known = [about(series) for series in runs]
    together = About(
        run=", ".join(run_name(series) for series in runs),
        p=known[0].p,
        n_frequencies=max(one.n_frequencies for one in known),
        left_out=known[0].left_out if all(one.has_representations for one in known) else {},
    )
    return xr.Dataset(measured, coords={**axes, "run": names}, attrs={ABOUT: together})


def _side_by_side(runs: Sequence[xr.Dataset], variable: str, steps: np.ndarray) -> np.ndarray:
    """A variable of every run at given steps, one column a run; NaN where a run was not measured."""
    table = np.full((len(steps), len(runs)), np.nan)
    for column, series in enumerate(runs):
        if found := Curves(series).curve(variable):
            _, here, there = np.intersect1d(steps, found[0], return_indices=True)
            table[here, column] = np.asarray(found[1])[there]
    return table


def _look(i: int) -> dict[str, str]:
    return {"colour": CYCLE[i % len(CYCLE)], "dash": _DASHES[i // len(CYCLE) % len(_DASHES)]}


def _over_steps(runs: Sequence[xr.Dataset], names: Sequence[str], variables: Sequence[str]) -> Callable[[xr.Dataset], go.Figure]:
    def figure(together: xr.Dataset) -> go.Figure:
        shown = [variable for variable in variables if any(Curves(series).curve(variable) for series in runs)]
        rows = [[Cell(_CELLS[name][0], y=_CELLS[name][1], log=_CELLS[name][2], time=True)] for name in shown]
        groups = settings(runs, names)
        traces = _curves(runs, names, shown, _begun)
        if groups:  # the runs themselves step back behind what they have in common
            traces = [{**one, "line": {**one["line"], "width": 1}, "opacity": 0.55} for one in traces]
        for setting in groups:
            for cell, name in enumerate(shown, start=1):
                traces += bands_of(setting, runs, name, cell=cell, log=_CELLS[name][2], legend=cell == 1)
        return draw(together, rows, heights=[200] * len(rows), fixed=traces, alt=f"Curves of {', '.join(names)} over steps.")

    return figure


def _aligned(runs: Sequence[xr.Dataset], names: Sequence[str]) -> Callable[[xr.Dataset], go.Figure]:
    def figure(together: xr.Dataset) -> go.Figure:
        shown = [name for name in ("history_test_accuracy", "restricted_loss") if any(Curves(s).curve(name) for s in runs)]
        rows = [
            [Cell(_CELLS[name][0], x="steps from test accuracy 99 %", y=_CELLS[name][1], log=_CELLS[name][2])] for name in shown
        ]
        traces = _curves(runs, names, shown, _generalized)
        drawn = draw(together, rows, heights=[200] * len(rows), fixed=traces, alt="The same curves with test accuracy 99 % at 0.")
        # With a legend even if only one run has generalized, and steps written as on every other axis.
        return drawn.update_layout(showlegend=True).update_xaxes(tickformat=",d")

    return figure


def _curves(
    runs: Sequence[xr.Dataset], names: Sequence[str], variables: Sequence[str], origin: Callable[[xr.Dataset], int | None]
) -> list[dict[str, Any]]:
    """One curve for each run and variable, its steps counted from the run's origin; none for a run without one."""
    traces = []
    for cell, variable in enumerate(variables, start=1):
        for i, (series, name) in enumerate(zip(runs, names, strict=True)):
            found, zero = Curves(series).curve(variable), origin(series)
            if found is None or zero is None:
                continue
            trace = marked_if_few(curve(found[0] - zero, found[1], name=name, cell=cell, legend=cell == 1, **_look(i)))
            traces.append({**trace, "legendgroup": name, "hovertemplate": "%{y:.4g}"})
    return traces


def _begun(_: xr.Dataset) -> int:
    return 0


def _generalized(series: xr.Dataset) -> int | None:
    found = tell(series).milestone("grokked")
    return None if found is None or found.boundary is None or found.first is None else found.first.step


def _story(runs: Sequence[xr.Dataset], names: Sequence[str]) -> Story:
    stories = [tell(series) for series in runs]
    title = f"{len(runs)} runs compared: {_ends(stories)}"
    short: tuple[str, ...] = ("The table says when each of them did what.",)
    if len(runs) <= _TOLD:
        short = tuple(f"{name}: {story.title[0].lower()}{story.title[1:]}." for name, story in zip(names, stories, strict=True))
    begun = [lineage_in_words(about(series).facts.get("start", {})) for series in runs]
    short = (*(f"{name} is {told}." for name, told in zip(names, begun, strict=True) if told), *short)
    sentences = tuple(f"{name}. {story}" for name, story in zip(names, stories, strict=True))
    return Story(title, short, sentences, (), None, of_many=True)


def _ends(stories: Sequence[Story]) -> str:
    """How many of the runs grokked, how many generalized otherwise, and how many are of unknown outcome."""
    ends = [story.end for story in stories]
    counts = {end: ends.count(end) for end in get_args(End) if end in ends}
    if set(counts) == {"not grokked"}:
        return f"{'neither' if len(ends) == 2 else 'none'} grokked"
    all_of_them = "both" if len(ends) == 2 else "all"
    return ", ".join(f"{count if count < len(ends) else all_of_them} {end}" for end, count in counts.items())
