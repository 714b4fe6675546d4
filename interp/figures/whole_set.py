"""All figures of a run as files: observed once, drawn by one browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from interp.errors import DataError, UsageError, as_list, unknown
from interp.figures.browsing import browser
from interp.figures.dressing import dressed
from interp.figures.held import at_step
from interp.figures.of_run import draw_observed
from interp.figures.paper_sizes import Size
from interp.figures.saving import KINDS, PICTURES, Library, check_target, write_figure

if TYPE_CHECKING:
    from interp.observing.analysis import Analysis
    from interp.observing.key_rules import KeyRule
    from interp.store.run import RunLike


def save_all(  # noqa: PLR0913  each is a choice of the one who asks for pictures
    run: RunLike,
    folder: str | Path,
    *,
    kind: Literal["svg", "png", "pdf", "html", "json"] = "svg",
    step: int | None = None,
    look: Look | None = None,
    files: str | Path | Iterable[str | Path] = (),
    key_rule: KeyRule | Sequence[int | str] = "unembedding",
    threads: int | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    force: bool = False,
) -> Saved:
    """Write every figure of a run's report to a file of its own, ``folder/loss_curves.svg`` and so on, and say what was written.

    All checkpoints are observed once, and one browser draws all pictures. A figure that cannot be drawn does not keep the others
    from being written.

    Args:
        run: a recorded run, its directory, or its name.
        folder: where to write; made if it does not exist. Files of the same names are replaced.
        kind: of the files, see `save`.
        step: the checkpoint shown, see `figure`.
        look: colours, titles, size of pictures.
        files: Python files with an ``ANALYSIS`` each, whose figures follow; one of a built-in name takes its place.
        key_rule: how key frequencies are chosen, see `interp.observe`.
        threads: checkpoints that are measured at once, see `interp.observe`.
        on_progress: called with ("analysing", checkpoints done, checkpoints in all), then with ("drawing", figures done, figures
            in all), first with none done.
        force: measure even if that takes more memory than this machine has, by estimate.

    Raises:
        UsageError: for an unknown kind or step, an impossible size, a folder that is a file or has no parent; if kaleido or the
            browser is missing, with what to install.
        DataError: if the browser fails, or a file cannot be written.
    """
    from interp.observing.observe import observe
    from interp.observing.series import about
    from interp.store.run import as_run

    folder, look = Path(folder), look or Look()
    if kind not in KINDS:
        raise unknown("kind of file", kind, KINDS)
    _check_folder(folder)
    check_target(folder.parent / f"figure.{kind}", **look.size)
    opened = as_run(run)
    if step is not None:
        opened.sha256(step)  # the error for a step that was not saved
    analyses = _analyses(files)
    told = on_progress or _silent
    on_step = partial(told, "analysing")
    series = observe(opened, analyses, key_rule=key_rule, threads=threads, on_step=on_step, force=force)
    found = Saved(left_out=about(series).missed)
    asked = [analysis for analysis in analyses if analysis.name not in about(series).left_out]
    shown = opened.steps[-1] if step is None and kind in PICTURES else step
    folder.mkdir(exist_ok=True)
    with browser() as draw:
        for done, analysis in enumerate(asked):
            told("drawing", done, len(asked))
            try:
                made = draw_observed(analysis, series, theme=look.theme)
                made = made if step is None else at_step(made, step)
            except (DataError, UsageError) as error:  # the browser's own failures end the whole
                found.failures[analysis.name] = str(error)
                continue
            when = "" if shown is None else f" (step {shown:,})"
            made = dressed(made, f"{escape(opened.name)}: {analysis.title}{when}" if look.titles else None, place=look.place)
            found.paths.append(write_figure(made, folder / f"{analysis.name}.{kind}", draw, library=look.library, **look.size))
    told("drawing", len(asked), len(asked))
    return found


def _silent(what: str, done: int, total: int) -> None:
    pass


def _analyses(files: str | Path | Iterable[str | Path]) -> list[Analysis]:
    """The built-in analyses that draw figures, and those of files, in the place of a built-in one if they have its name."""
    from interp.observing.analysis import find_analyses, load_analysis

    given = map(load_analysis, as_list(files, "files", of=(str, Path)))
    own = {analysis.name: analysis for analysis in given if analysis.kind == "figure"}
    built_in = [own.pop(analysis.name, analysis) for analysis in find_analyses()]
    return find_analyses([*built_in, *own.values()])


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: it is a file, expected a folder, as all figures are written; name another with --out")
    if not folder.exists() and folder.suffix[1:].lower() in KINDS:
        raise UsageError(f"{folder}: given the name of a file, expected that of a folder, as all figures are written")
    if not folder.parent.is_dir():
        raise UsageError(f"{folder}: directory {folder.parent} does not exist; create it or choose another place")


@dataclass(frozen=True)
class Look:
    """How figures look in files.

    Args:
        theme: colours of paper and ink.
        titles: whether each figure's question and step stand above it.
        width: of pictures, in CSS pixels; by default each figure's own.
        height: of pictures, in CSS pixels; by default each figure's own.
        scale: pixels of a PNG per CSS pixel; 2 by default.
        place: where they will be shown, see `fitted`: cells and letters are made for it.
        library: of pages, whether plotly.js is in each of them or beside them, see `save`.
    """

    theme: Literal["light", "dark"] = "light"
    titles: bool = True
    width: float | None = None
    height: float | None = None
    scale: float | None = None
    place: Size | None = None
    library: Library = "inside"

    @property
    def size(self) -> dict[str, float | None]:
        """Of pictures, as `save` takes it."""
        return {"width": self.width, "height": self.height, "scale": self.scale}


@dataclass(frozen=True)
class Saved:
    """What became of a run's figures.

    Args:
        paths: the files that were written, in the order of the report.
        left_out: name of a figure that does not apply to the run -> why.
        failures: name of one that could not be measured or drawn -> why.
    """

    paths: list[Path] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
