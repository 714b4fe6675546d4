"""Progress bars on a terminal's stderr or in a notebook: of a training, and of any counted work."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from interp.notebook_bar import NotebookBar, in_notebook
from interp.process import idle_thread
from interp.stops import working_clock
from interp.wording import shown

if TYPE_CHECKING:
    from interp.training.stream import Step

log = logging.getLogger("interp")

GROKKED = 0.99  # test accuracy
_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 30.0  # between two lines where there is no terminal
_LATELY_SECONDS = 5.0  # over which speed is measured
_DONE, _LEFT = "\u2501", "\u2500"
_LEAST_NAME, _LEAST_BAR, _LONGEST_BAR = 8, 6, 24  # letters


@contextmanager
def training_progress(
    name: str, *, total: int, done: int, until_settled: bool, ahead: Callable[[int, float], str] | None = None
) -> Iterator[Callable[[Step[Any]], None]]:
    """A progress bar as a context: what it yields is called with every step.

    On a terminal a line that fits its width, in a notebook a bar of its own; elsewhere a line is logged now and then.

    Args:
        name: what is being trained.
        total: budget, in steps.
        done: steps made before it was resumed.
        until_settled: the run may end before its budget; the time left is then an upper bound, and says so.
        ahead: called with a step and the speed in steps a second: when the run is to be expected to grok, in words. Once test
            accuracy has been 99 % it is not asked any more.
    """
    is_shown = on_terminal()
    with working_clock(cursor=is_shown) as clock:
        told = Told(name, total=total, done=done, until_settled=until_settled, clock=clock, ahead=ahead)
        if is_shown:
            with _line_on_terminal() as write:
                yield told.shower(write, every=_REFRESH_SECONDS)
        elif in_notebook():
            bar = NotebookBar(clock, patience=0.0, every=0.0)
            yield told.shower(lambda say, _last: bar.write(say(None), told.share), every=_REFRESH_SECONDS)
        else:
            yield told.shower(lambda say, _last: log.info("%s", say(None)), every=_LINE_SECONDS, at_end=False)


class Told:
    """What is said of a training in progress: step, time, time left, and as much of the rest as there is room for.

    Args:
        name: what is being trained.
        total: budget, in steps.
        done: steps made before it was resumed.
        until_settled: it may end before its budget.
        clock: in seconds.
        ahead: of a step and a speed, when the run is to be expected to grok, in words; asked until it has.
    """

    def __init__(
        self,
        name: str,
        *,
        total: int,
        done: int,
        until_settled: bool,
        clock: Callable[[], float],
        ahead: Callable[[int, float], str] | None = None,
    ) -> None:
        self._ahead, self._has_grokked = ahead, False
        self._name, self._total, self._until_settled, self._clock = shown(name), total, until_settled, clock
        self._begun, self._index, self._losses, self._is_over = clock(), done, "", False
        self._lately: deque[tuple[float, int]] = deque([(self._begun, done)])

    def shower(
        self, write: Callable[[Callable[[int | None], str], bool], None], *, every: float, at_end: bool = True
    ) -> Callable[[Step[Any]], None]:
        """What is called with each step, and writes every so many seconds, and at the end.

        Args:
            write: is given what makes the line for a width, and whether it is the last.
            every: so many seconds.
            at_end: at the end too, however soon that comes.
        """
        written = self._clock()

        def show(step: Step[Any]) -> None:
            nonlocal written
            if step.test_loss is not None:
                right = "" if step.test_accuracy is None else f" accuracy {step.test_accuracy:.3f}"
                self._losses = f"train {step.train_loss:.2e} test {step.test_loss:.2e}{right}"
                self._has_grokked |= step.test_accuracy is not None and step.test_accuracy >= GROKKED
            self._index, self._is_over, now = step.index, step.last, self._clock()
            if now - written >= every or (step.last and at_end):
                written = now
                self._lately.append((now, step.index))
                while len(self._lately) > 2 and now - self._lately[1][0] >= _LATELY_SECONDS:
                    self._lately.popleft()
                write(self.line, step.last)

        return show

    def line(self, width: int | None) -> str:
        """The line for a width, of which step, time and time left always stay; None is for a log."""
        (then, first), now = self._lately[0], self._clock()
        speed = (self._index - first) / (now - then) if now > then else 0.0
        left = duration((self._total - self._index) / speed) if speed > 0 else "?"
        step = f"{self._index:,}/{self._total:,}"
        to_go = "" if self._is_over else f", {'at most ' if self._until_settled else ''}{left} left"
        times = f"{duration(now - self._begun)}{to_go}"
        ahead = "" if self._ahead is None or self._has_grokked else self._ahead(self._index, speed)
        if width is None:
            return ", ".join(filter(None, [f"{self._name}: step {step}", self._losses, f"{speed:,.0f} steps/s", ahead, times]))
        wanted = [ahead, f"{speed:,.0f} steps/s", self._losses]
        return _fitted(self._name, f"{step}  {times}", wanted, width=width - 1, share=self.share)

    @property
    def share(self) -> float:
        """Of the work, that is done; all of it where a run has ended before its budget."""
        return self._index / self._total if self._total and not self._is_over else 1.0


def _fitted(name: str, needed: str, wanted: Sequence[str], *, width: int, share: float) -> str:
    """Name, bar and what is needed; of what is wanted, what still fits; then a longer bar."""
    for extra in wanted:
        if extra and len(needed) + len(extra) + 2 + min(len(name), _LEAST_NAME) + _LEAST_BAR + 4 <= width:
            needed = f"{needed}  {extra}"
    room = width - len(needed) - 4
    if room < _LEAST_NAME:
        return needed[:width]
    label = name if len(name) <= room - _LEAST_BAR else f"{name[: max(room - _LEAST_BAR - 1, 1)]}\u2026"
    bar = max(min(room - len(label), _LONGEST_BAR), 0)
    filled = round(bar * min(max(share, 0.0), 1.0))
    return f"{label}  {_DONE * filled}{_LEFT * (bar - filled)}  {needed}"


def duration(seconds: float) -> str:
    """A time as clocks show it.

    >>> duration(7.6), duration(75), duration(7322)
    ('0:08', '1:15', '2:02:02')
    """
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def _line_on_terminal() -> Iterator[Callable[[Callable[[int | None], str], bool], None]]:
    from rich.console import Console  # only here: the command line's help must not wait for it
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    with Live(Text(""), console=console, auto_refresh=False, transient=False) as live:
        yield lambda say, _last: live.update(Text(say(console.width), no_wrap=True, overflow="crop"), refresh=True)


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
    """A progress bar on a terminal's stderr or in a notebook, as a context: what it yields is called with (part, done, in all).

    On a terminal the bar moves from the beginning, while libraries are loaded and nothing can be counted yet.

    Args:
        first: the part that is done first.
    """
    if not on_terminal() and in_notebook():
        bar = NotebookBar(time.monotonic, in_turn=True)
        try:
            yield _counted_in_notebook(bar, first)
        finally:
            bar.leave()
        return
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
    shown_bar = Progress(*columns, console=Console(stderr=True), transient=True)
    with idle_thread(stop=shown_bar.stop, start=shown_bar.start):
        task, current = shown_bar.add_task(shown(first), total=None), first

        def show(part: str, done: int, total: int) -> None:
            nonlocal current
            if part != current:
                current = part
                shown_bar.reset(task)  # the time left is that of this part
            shown_bar.update(task, description=shown(part), completed=done, total=total)

        yield show


def _counted_in_notebook(bar: NotebookBar, first: str) -> Callable[[str, int, int], None]:
    current, begun, before, counted_from = first, time.monotonic(), -1, 0.0

    def show(part: str, done: int, total: int) -> None:
        nonlocal current, begun, before, counted_from
        now = time.monotonic()
        if part != current:
            current, begun, before = part, now, -1  # the time left is that of this part
        if before < 0:
            before, counted_from = done, now  # what was there took no time
        seconds, speed = now - begun, (now - counted_from) / max(done - before, 1)
        left = f", {duration(speed * (total - done))} left" if before < done < total else ""
        share = done / total if total else None
        bar.write(f"{shown(part)}: {done:,} of {total:,}, {duration(seconds)}{left}", share, at_once=done == total)

    return show


@contextmanager
def many_runs_progress(name: str, *, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar of many runs, as a context: what it yields is called with (runs done, what became of them).

    On a terminal's stderr or in a notebook; elsewhere a line is logged now and then.

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

    def line(now_done: int, what: str) -> str:
        return ", ".join(filter(None, [f"{shown(name)}: {now_done:,} of {total:,} runs", shown(what), left(now_done)]))

    if not on_terminal() and in_notebook():
        drawn = NotebookBar(clock, patience=0.0)
        yield lambda now_done, what: drawn.write(
            line(now_done, what), now_done / total if total else None, at_once=now_done == total
        )
        return
    if not on_terminal():
        said = begun

        def log_line(now_done: int, what: str) -> None:
            nonlocal said
            if clock() - said >= _LINE_SECONDS or now_done == total:
                said = clock()
                log.info("%s", line(now_done, what))

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
