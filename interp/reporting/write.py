"""Writing the report of a run: observe, build the page, put it in place at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from interp.errors import UsageError
from interp.observing.series import about
from interp.reporting.assembly import Page, Panel, page
from interp.reporting.compare import COMPARED, compare
from interp.reporting.origin import origin
from interp.store.durable import write_output

if TYPE_CHECKING:
    import xarray as xr

    from interp.observing.analysis import Analysis
    from interp.observing.key_rules import KeyRule
    from interp.store.run import Run


def report(  # noqa: PLR0913  each is a choice of the one who asks for a page
    run: Run | str | Path | Sequence[Run | str | Path],
    path: str | Path = "report.html",
    *,
    analyses: Iterable[str | Analysis] | None = None,
    files: Iterable[str | Path] = (),
    steps: Iterable[int] | None = None,
    key_rule: KeyRule | Sequence[int | str] = "unembedding",
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    on_panel: Callable[[int, int], None] | None = None,
    force: bool = False,
) -> Page:
    """Write one offline HTML page about a run and return it, with its headline and what could not be shown.

    Args:
        run: a recorded run, or its directory; several of them are compared on one page.
        path: the file to write; an existing one is replaced at once, never left half written.
        analyses: names of built-in analyses or `Analysis` objects; all built-in ones by default. For several runs, those named
            are shown one run after the other, below the comparison.
        files: Python files with an ``ANALYSIS`` each, shown after the others.
        steps: which checkpoints; all by default.
        key_rule: how key frequencies are chosen, see `interp.observe`.
        threads: checkpoints that are measured at once, see `interp.observe`.
        on_step: called with (checkpoints analysed, checkpoints in all).
        on_panel: called with (parts of the page made, parts in all), first with none.
        force: measure even if that takes more memory than this machine has, by estimate.

    Raises:
        UsageError: if it takes more; for an unknown analysis or step, or a directory that does not exist.
    """
    from interp.observing.analysis import builtin_names, find_analyses
    from interp.observing.observe import observe
    from interp.store.run import open_run

    path = Path(path)
    if not path.parent.is_dir():
        raise UsageError(f"report: directory {path.parent} does not exist; create it or choose another place with --out")
    opened = [open_run(one) if isinstance(one, str | Path) else one for one in _listed(run)]
    several, asked = len(opened) > 1, list(analyses) if analyses is not None else []
    own = find_analyses(asked if several else asked or builtin_names(), files=files)
    chosen = find_analyses([*(name for name in COMPARED if name not in asked), *own]) if several else own
    how = {"steps": steps, "key_rule": key_rule, "threads": threads, "on_step": on_step, "force": force}
    found = [observe(one, chosen, **how) for one in opened]  # type: ignore[arg-type]  # of these types there
    if several:
        built = compare(found, own=[panels(one, own) for one in found], on_panel=on_panel)
    else:
        built = page_of(opened[0], found[0], chosen, on_panel=on_panel)
    write_output(path, built.html.encode())
    return built


def page_of(
    run: Run,
    series: xr.Dataset,
    analyses: Iterable[Analysis],
    *,
    live: int | None = None,
    on_panel: Callable[[int, int], None] | None = None,
) -> Page:
    """The page of one run, from what was observed of it.

    Args:
        run: the run.
        series: as `interp.observe` returned it for these analyses.
        analyses: those that were observed.
        live: see `page`.
        on_panel: see `page`.
    """
    return page(series, panels(series, analyses), origin=[origin(run)], live=live, on_panel=on_panel)


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
            a.caption_for(has_waves=known.has_waves),
            a.figure,
            known.failures.get(a.name),
            definitions=a.definitions,
            kind=a.kind,
            left_out=known.left_out.get(a.name),
        )
        for a in analyses
    ]
