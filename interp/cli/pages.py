"""Commands that show: report, figure, watch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from interp.bars import counted_progress, progress_by_part
from interp.cli.arguments import (
    ALL_MEANS,
    NO_OPTIONS,
    ROOT,
    FileOptions,
    Files,
    ForceAnalysis,
    Keys,
    LiveThreads,
    Means,
    MeansOptions,
    Names,
    Out,
    Root,
    RunPath,
    Threads,
    find_run,
    parse_keys,
)
from interp.cli.printing import fail_on_unread, say
from interp.cores import check_threads
from interp.errors import DataError, UsageError
from interp.store.run_paths import find_path

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.store.run import Run


# A run is watched from another session than that which trains it, where a lower priority may say nothing: a tenth of a core.
_REST = 9.0


def report(
    run: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN|FILE")],
    out: Out = Path("report.html"),
    analysis: Names = (),
    file: Files = (),
    key_rule: Keys = "unembedding",
    means: MeansOptions = ALL_MEANS,
    root: Root = ROOT,
    reading: FileOptions = NO_OPTIONS,
) -> None:
    """Write one offline HTML page about a run, or one that compares several; open it in any browser.

    Other people's files are read as `interp import` reads them; no run of them is kept.

    Args:
        run: directories of runs, or their names under --root; or other people's files.
        means: what measuring may take.
        reading: how a file is read.
    """
    from interp.interop import opened_runs

    if not run:
        raise UsageError("report: given no run, expected at least one; `interp runs` lists them")
    there = [find_path(one, root) for one in run]
    unread: dict[str, str] = {}
    with opened_runs(there, reading.format, known=reading.known, unread=unread) as runs:  # type: ignore[arg-type] # checked there
        write_report(runs, out, analyses=analysis, files=file, key_rule=key_rule, means=means, unread=unread)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Arguments of `interp figure`.

    Args:
        name: name of an analysis, such as loss_curves, or `neuron`; a wrong name lists the known ones; none with --all.
        all_figures: write every figure of the report, each to a file of its own in the folder --out.
        format: of these files; that of a single one follows from its suffix.
        neuron: the neuron that the figure `neuron` shows, over all pairs and beside its best fit (default: 0).
        step: the checkpoint shown (default: the last; .html and .json then keep the slider over all of them).
        size: what it is made for: a `slide` of 16 : 9, `half` of one, or a `column` of a paper; cells and letters are fitted.
        library: of .html files, whether plotly.js is inside each (5 MB; default), or beside them as one file.
        width: width of a picture in CSS pixels.
        height: height of a picture in CSS pixels.
        scale: pixels of a PNG per CSS pixel (default: 2).
        theme: colours of the background and of text and lines.
        title: write the figure's question and step above it.
    """

    run: RunPath
    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = None
    out: Out
    all_figures: Annotated[bool, tyro.conf.arg(name="all"), tyro.conf.FlagCreatePairsOff] = False
    format: Literal["svg", "png", "pdf", "html", "json"] | None = None
    neuron: int | None = None
    step: int | None = None
    size: Literal["slide", "half", "column"] | None = None
    library: Literal["inside", "beside"] | None = None
    width: int | None = None
    height: int | None = None
    scale: float | None = None
    theme: Literal["light", "dark"] = "light"
    title: bool = True
    file: Files = ()
    key_rule: Keys = "unembedding"
    threads: Threads = None
    force: ForceAnalysis = False
    root: Root = ROOT


def figure(asked: Annotated[Drawing, tyro.conf.arg(name="")]) -> None:
    """Write one of the report's figures: a picture (.svg, .png, .pdf), an interactive page (.html), or plotly's JSON (.json).

    With --all, all of them, into a folder: `interp figure RUN --all -o figures/ --format png`. With -o x.gif or
    x.mp4, one over the steps of the run; a GIF needs the extra `movie`, an MP4 the program ffmpeg.

    Pictures need the extra `export` (pip install 'interp[export]') and a Chrome or Chromium; .html and .json need neither.
    """
    written = asked.format if asked.all_figures else asked.out.suffix[1:].lower()
    if asked.library is not None and written != "html":
        what = f"--format {written or 'svg'}" if asked.all_figures else str(asked.out)
        raise UsageError(f"library: given {asked.library!r} for {what}, expected only for .html files, which have plotly.js")
    if asked.all_figures:
        _all_figures(asked)
    else:
        _one_figure(asked)


def _one_figure(asked: Drawing) -> None:
    from interp.figures.dressing import dressed
    from interp.figures.movie import MOVIES, check_movie
    from interp.figures.of_run import figure as draw
    from interp.figures.of_run import find_figure, is_of_one_step
    from interp.figures.saving import PICTURES, check_target, save

    if asked.name is None:
        raise UsageError("figure: given no NAME, expected that of a figure such as loss_curves, or --all")
    if asked.format is not None:
        raise UsageError(f"format: given {asked.format!r}, expected only with --all; that of one file follows from its suffix")
    out, size = asked.out, {"width": asked.width, "height": asked.height, "scale": asked.scale}
    moves = out.suffix[1:].lower() in MOVIES
    if moves:
        check_movie(out)
    else:
        check_target(out, **size)
    analysis = find_figure(asked.name, asked.file, neuron=asked.neuron)
    run, rule = find_run(asked.run, asked.root), parse_keys(asked.key_rule)
    is_still = asked.step is not None or out.suffix[1:].lower() in PICTURES
    step = max(run.steps, default=None) if asked.step is None else asked.step
    with counted_progress("analysing") as on_step:
        drawn = draw(
            run,
            asked.name,
            neuron=asked.neuron,
            step=step if is_still and is_of_one_step(analysis) else asked.step,
            theme=asked.theme,
            files=asked.file,
            key_rule=rule,
            threads=asked.threads,
            on_step=on_step,
            force=asked.force,
        )
    title = f"{escape(run.name)}: {analysis.title}" if asked.title else None
    if moves:
        _over_steps(drawn, asked, run, title=title)
        return
    title = f"{title} (step {step:,})" if title and is_still else title
    drawn = dressed(drawn, title, place=asked.size)
    with counted_progress("writing"):
        written = save(drawn, out, library=asked.library or "inside", **size)
    say(f"wrote {written}")


def _over_steps(drawn: go.Figure, asked: Drawing, run: Run, *, title: str | None) -> None:
    """A figure as a movie."""
    from interp.figures.movie import save_movie

    if asked.step is not None:
        raise UsageError(f"step: given {asked.step} for {asked.out}, which shows all of them; leave it out, or write a picture")
    with counted_progress("drawing") as on_frame:
        say(f"wrote {save_movie(drawn, asked.out, run.steps, title=title, place=asked.size, on_frame=on_frame)}")


def _all_figures(asked: Drawing) -> None:
    """Every figure of a run; says what was written, what does not apply, and fails at the end if one could not be drawn."""
    from interp.figures.whole_set import Look, save_all

    if asked.name is not None or asked.neuron is not None:
        given = f"the name {asked.name!r}" if asked.name is not None else f"neuron {asked.neuron}"
        raise UsageError(f"figure: given --all and {given}, expected one of the two")
    run = find_run(asked.run, asked.root)
    with progress_by_part("analysing") as show:
        found = save_all(
            run,
            asked.out,
            kind=asked.format or "svg",
            step=asked.step,
            look=Look(asked.theme, asked.title, asked.width, asked.height, asked.scale, asked.size, asked.library or "inside"),
            files=asked.file,
            key_rule=parse_keys(asked.key_rule),
            threads=asked.threads,
            on_progress=show,
            force=asked.force,
        )
    for path in found.paths:
        say(f"wrote {path}")
    for name, why in found.left_out.items():
        say(f"left out {name}: {why}")
    if found.failures:
        raise DataError("; ".join(found.failures.values()))


def watch(
    run: RunPath,
    port: int = 0,
    browser: bool = True,
    analysis: Names = (),
    file: Files = (),
    key_rule: Keys = "unembedding",
    threads: LiveThreads = 1,
    root: Root = ROOT,
) -> None:
    """Serve a run's report on this machine only, and update it in open tabs while the run is trained.

    Ends when the run is finished; open tabs keep the last page. A run that is already finished is served until Ctrl-C, and so is
    an interrupted one, which may be resumed. Only who knows the whole address, which is printed, sees the page; it works through
    a forwarded port as well.

    Args:
        port: port of the live report; any free one by default.
        browser: open it in a browser, if there is a display and output goes to a terminal.
    """
    from interp.live.follower import Follower, give_way, line_of, lost
    from interp.live.server import listen, serving, url
    from interp.live.viewers import Published
    from interp.observing.analysis import builtin_names, find_analyses
    from interp.store.manifest import MANIFEST
    from interp.store.run import open_run

    opened = find_run(run, root)
    listener, published = listen(port), Published()
    rule = parse_keys(key_rule)
    find_analyses(analysis or builtin_names(), files=file)  # so that errors in the request show now and not in a page
    follower = Follower(
        opened.path,
        published,
        analyses=analysis or None,
        files=file,
        key_rule=rule,
        threads=check_threads(threads),
        rest=_REST,
    )
    say(f"{opened.path}: {line_of(opened)}")
    address = url(listener, published.token)
    if not opened.manifest.final:
        follower.on_first = give_way()
    with serving(listener, published), announced(address, ends="Ctrl-C ends it", browser=browser), suppress(KeyboardInterrupt):
        follower.follow(until_final=not opened.manifest.final)
    if not (opened.path / MANIFEST).is_file():
        say(lost("run", opened.path))
        return
    say(f"{line_of(open_run(opened.path))} Next: interp report {shlex.quote(str(opened.path))}")


@contextmanager
def announced(address: str, *, ends: str, browser: bool) -> Iterator[None]:
    """Print where a live page is and, if that is wanted and somebody looks, open it in a browser."""
    from interp.live.showing import is_looking, shown

    print(f"Live: {address} (on this machine only; {ends})", flush=True)
    with shown(address) if browser and is_looking() else nullcontext():
        yield


def write_report(
    runs: Sequence[Run],
    out: Path,
    *,
    analyses: Sequence[str] = (),
    files: Sequence[Path] = (),
    key_rule: str = "unembedding",
    means: Means = ALL_MEANS,
    unread: Mapping[str, str] | None = None,
) -> None:
    """Write the page of a run, or of several compared; print its headline and where it is, then what is not on it."""
    with progress_by_part("analysing") as show:
        from interp.reporting import report as write  # takes a second or two

        page = write(
            list(runs),
            out,
            analyses=analyses or None,
            files=files,
            key_rule=parse_keys(key_rule),
            threads=means.threads,
            on_step=partial(show, "analysing"),
            on_panel=partial(show, "writing the page"),
            force=means.force,
            unread=unread,
        )
    if len(runs) > 1:
        from interp.observing.answer import answer

        for run in runs:
            say(f"{run.name}: {answer(run).sentence}")
    else:
        say(page.headline)
    say(f"Report: {out.resolve().as_uri()}")
    for name, why in page.failures.items():
        say(f"not shown: {name}: {why}")
    fail_on_unread(page.left_out)
