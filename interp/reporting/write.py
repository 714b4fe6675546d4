"""Writing the report of a run: observe, build the page, put it in place at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from interp.errors import DataError, UsageError
from interp.figures.plain_lines import figure_of
from interp.figures.tabled import Table
from interp.observing.analysis import builtin_names
from interp.observing.series import about
from interp.reporting.assembly import Page, Panel, page
from interp.reporting.circumstances import holding
from interp.reporting.coefficient_panel import coefficient_panel
from interp.reporting.compare import COMPARED, compare
from interp.reporting.compared_tables import left_out_table
from interp.reporting.fork_panel import fork_panel
from interp.reporting.origin import origin
from interp.reporting.page_place import check_page
from interp.reporting.panel_order import arranged
from interp.store.durable import write_output
from interp.store.run_log import MISHAP, noted

if TYPE_CHECKING:
    import xarray as xr

    from interp.observing.analysis import Analysis, Asked
    from interp.observing.key_rules import KeyRule
    from interp.store.run import Run, RunLike

NOT_FINITE = "What is NaN, at which steps, and why"
NOT_RECORDED = "What was not recorded while the training went on, and why"


def report(  # noqa: PLR0913  each is a choice of the one who asks for a page
    run: RunLike | Sequence[RunLike],
    path: str | Path = "report.html",
    *,
    analyses: Asked = None,
    files: str | Path | Iterable[str | Path] = (),
    steps: int | Iterable[int] | None = None,
    key_rule: KeyRule | Sequence[int | str] = "unembedding",
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    on_panel: Callable[[int, int], None] | None = None,
    force: bool = False,
    unread: Mapping[str, str] | None = None,
) -> Page:
    """Write one offline HTML page about a run and return it, with its headline and what could not be shown.

    Args:
        run: a recorded run, its directory, or its name; several of them are compared on one page.
        path: the file to write; an existing one is replaced at once, never left half written.
        analyses: names of built-in analyses or `Analysis` objects; all built-in ones by default. For several runs, those named
            are shown one run after the other, below the comparison. Of several, one that is damaged is left out, and the page
            and `Page.left_out` say why.
        files: Python files with an ``ANALYSIS`` each, shown after the others.
        steps: which checkpoints; all by default.
        key_rule: how key frequencies are chosen, see `interp.observe`.
        threads: checkpoints that are measured at once, see `interp.observe`.
        on_step: called with (checkpoints analysed, checkpoints in all).
        on_panel: called with (parts of the page made, parts in all), first with none.
        unread: runs to be compared that could not be opened, by name, with the reason: the page names them.
        force: measure even if that takes more memory than this machine has, by estimate.

    Raises:
        UsageError: if it takes more; for an unknown analysis or step, or a directory that does not exist.
        DataError: if the run, or each of several, is damaged.
    """
    from interp.observing.analysis import find_analyses
    from interp.observing.kept_series import kept_own
    from interp.observing.observe import observe
    from interp.store.run import as_run

    path = Path(path)
    check_page(path)
    given, asked = _listed(run), [] if analyses is None else find_analyses(analyses)
    several = len(given) + len(unread or ()) > 1
    own = find_analyses(asked if several else asked or builtin_names(), files=files)
    named = {analysis.name for analysis in asked}
    if not several and analyses is None:
        own = [*own, *(one for one in kept_own(as_run(given[0])) if one.name not in {own_one.name for own_one in own})]
    chosen = find_analyses([*(name for name in COMPARED if name not in named), *own]) if several else own
    how: dict[str, Any] = {"steps": steps, "key_rule": key_rule, "threads": threads, "on_step": on_step, "force": force}
    left_out, seen = dict(unread or {}), []
    for one in given:
        try:
            opened = as_run(one)
            seen.append((opened, observe(opened, chosen, **how)))
        except DataError as error:
            if not several:
                raise
            left_out[str(getattr(one, "path", one))] = str(error)
    if not seen:
        raise DataError("\n".join(["report: none of the runs can be read:", *(f"  {why}" for why in left_out.values())]))
    if len(seen) > 1:
        found = [series for _, series in seen]
        built = compare(found, own=[panels(one, own) for one in found], left_out=left_out, on_panel=on_panel)
    else:
        built = page_of(*seen[0], chosen, left_out=left_out, on_panel=on_panel)
    write_output(path, built.html.encode(errors="backslashreplace"))
    return replace(built, left_out=left_out, path=path)


def page_of(
    run: Run,
    series: xr.Dataset,
    analyses: Iterable[Analysis],
    *,
    live: int | None = None,
    left_out: Mapping[str, str] | None = None,
    on_panel: Callable[[int, int], None] | None = None,
) -> Page:
    """The page of one run, from what was observed of it.

    Args:
        run: the run.
        series: as `interp.observe` returned it for these analyses.
        analyses: those that were observed.
        live: see `page`.
        left_out: runs that should have been compared with it -> why they are not.
        on_panel: see `page`.
    """
    odd = about(series).not_finite
    tables = [
        origin(run),
        *left_out_table(left_out or {}),
        *([Table(NOT_FINITE, (), tuple(odd.items()), wide=True)] if odd else []),
        *not_recorded(run),
    ]
    chosen = list(analyses)
    shown = panels(series, chosen)
    if {one.name for one in chosen} >= set(builtin_names()):  # who names some of them has an order in mind
        shown += [one for one in (fork_panel(run), coefficient_panel(run)) if one is not None]
        shown = arranged(shown, series)
    return page(series, shown, origin=tables, live=live, on_panel=on_panel)


def not_recorded(run: Run) -> list[Table]:
    """What a recorded loop was spared, by what it is about."""
    odd = {str(line.get("what")): line for line in reversed(noted(run.path, MISHAP)) if "error" in line and "times" not in line}
    rows = tuple((what, f"at step {line.get('step')}: {line.get('error')}") for what, line in reversed(odd.items()))
    return [Table(NOT_RECORDED, (), rows, wide=True)] if rows else []


def _listed(run: RunLike | Sequence[RunLike]) -> list[RunLike]:
    runs: list[RunLike] = list(run) if isinstance(run, list | tuple) else [cast("RunLike", run)]
    if not runs:
        raise UsageError("report: given no run, expected at least one")
    return runs


def panels(series: xr.Dataset, analyses: Iterable[Analysis]) -> list[Panel]:
    """The panels of analyses that were observed, with the reason for those that failed or do not apply."""
    known, true = about(series), holding(series)
    return [
        Panel(
            a.name,
            a.title,
            a.caption_for(has_waves=known.has_waves, holding=true),
            figure_of(a),
            known.failures.get(a.name),
            definitions=a.definitions,
            kind=a.kind,
            left_out=known.left_out.get(a.name),
        )
        for a in analyses
    ]
