"""Progress bars on stderr, if that is a terminal: of a training, and of any counted work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from interp.stops import working_clock
from interp.wording import shown

if TYPE_CHECKING:
    from interp.training.stream import Step

log = logging.getLogger("interp")

_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 30.0  # between two lines where there is no terminal


@contextmanager
def training_progress(name: str, *, total: int, done: int, until_settled: bool) -> Iterator[Callable[[Step[Any]], None]]:
    """A progress bar as a context: what it yields is called with every step.

    Args:
        name: what is being trained.
        total: budget, in steps.
        done: steps made before it was resumed.
        until_settled: the run may end before its budget; the time left is then an upper bound, and says so.
    """
    from rich.console import Console  # only here: the command line's help must not wait for it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}", markup=False),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("at most" if until_settled else "left"),
        TimeRemainingColumn(),
    )
    with (
        working_clock(cursor=True) as clock,
        Progress(*columns, console=console, refresh_per_second=1 / _REFRESH_SECONDS, transient=False, get_time=clock) as bar,
    ):
        task = bar.add_task(shown(name), total=total, completed=done, losses="", speed="")
        begun, drawn, losses = clock(), 0.0, ""

        def show(step: Step[Any]) -> None:
            nonlocal drawn, losses
            if step.test_loss is not None:
                losses = f"train {step.train_loss:.2e} test {step.test_loss:.2e} accuracy {step.test_accuracy:.3f}"
            now = clock()
            if now - drawn >= _REFRESH_SECONDS or step.last:
                drawn = now
                speed = f"{(step.index - done) / max(now - begun, 1e-9):.0f} steps/s"
                bar.update(task, completed=step.index, losses=losses, speed=speed)

        yield show


def on_terminal() -> bool:
    """Whether bars are shown: on a terminal only."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def counted_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """`progress_by_part` of work that has one part: what it yields is called with (done, in all)."""
    with progress_by_part(what) as show:
        yield partial(show, what)


@contextmanager
def progress_by_part(first: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, if that is a terminal, as a context: what it yields is called with (part, done, in all).

    The bar moves from the beginning, while libraries are loaded and nothing can be counted yet.

    Args:
        first: the part that is done first.
    """
    if not on_terminal():
        yield lambda _part, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, current = bar.add_task(shown(first), total=None), first

        def show(part: str, done: int, total: int) -> None:
            nonlocal current
            if part != current:
                current = part
                bar.reset(task)  # the time left is that of this part
            bar.update(task, description=shown(part), completed=done, total=total)

        yield show


@contextmanager
def many_runs_progress(name: str, *, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar of many runs on stderr, as a context: what it yields is called with (runs done, what became of them).

    If stderr is no terminal, a line is logged now and then.

    Args:
        name: what is shown beside the bar.
        total: how many runs there are.
        done: how many of them were done before: what they took says nothing of the time left.
    """
    with working_clock(cursor=on_terminal()) as clock, _many_runs(name, clock, total=total, done=done) as show:
        yield show


@contextmanager
def _many_runs(name: str, clock: Callable[[], float], *, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    begun = clock()

    def left(now_done: int) -> str:
        if now_done <= done:
            return ""
        seconds = (clock() - begun) / (now_done - done) * (total - now_done)
        return f"about {_in_words(seconds)} left" if now_done < total else ""

    if not on_terminal():
        said = begun

        def log_line(now_done: int, what: str) -> None:
            nonlocal said
            if clock() - said >= _LINE_SECONDS or now_done == total:
                said = clock()
                log.info("%s", ", ".join(filter(None, [f"{name}: {now_done} of {total} runs", what, left(now_done)])))

        yield log_line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(_as_format(shown(name)), style="bold", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, get_time=clock) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda now_done, what: bar.update(
            task, completed=now_done, description=shown(", ".join(filter(None, [what, left(now_done)])))
        )


def _as_format(name: str) -> str:
    """A name as it stands in a text that is formatted."""
    return name.replace("{", "{{").replace("}", "}}")


def _in_words(seconds: float) -> str:
    """A time as people say it.

    >>> _in_words(50), _in_words(200), _in_words(8000)
    ('50 s', '3 min', '2.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
