"""Commands that show: report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from interp.cli.arguments import ROOT, Files, Keys, Names, Out, Root, find_run, parse_keys
from interp.cli.printing import progress
from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.store.run import Run


def report(
    run: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    out: Out = Path("report.html"),
    analysis: Names = (),
    file: Files = (),
    key_rule: Keys = "unembedding",
    root: Root = ROOT,
) -> None:
    """Write one offline HTML page about a run, or one that compares several; open it in any browser.

    Args:
        run: directories of runs, or their names under --root.
    """
    if not run:
        raise UsageError("report: given no run, expected at least one; `interp runs` lists them")
    write_report([find_run(one, root) for one in run], out, analyses=analysis, files=file, key_rule=key_rule)


def write_report(
    runs: Sequence[Run], out: Path, *, analyses: Sequence[str] = (), files: Sequence[Path] = (), key_rule: str = "unembedding"
) -> None:
    """Write the page of a run, or of several compared; print its headline and where it is."""
    from interp.reporting import report as write

    page = write(
        list(runs) if len(runs) > 1 else runs[0],
        out,
        analyses=analyses or None,
        files=files,
        key_rule=parse_keys(key_rule),
        on_step=progress("analysing"),
    )
    print(page.headline)
    print(f"Report: {out.resolve().as_uri()}")
