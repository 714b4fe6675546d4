"""Following a run: its page is built anew as checkpoints are added, for as long as somebody looks at it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from interp.errors import DataError, UsageError
from interp.live.viewers import Published
from interp.live.waiting import waiting_page
from interp.store.manifest import MANIFEST, MOST_STEPS
from interp.store.run import Run, open_run
from interp.wording import counted

if TYPE_CHECKING:
    from interp.harmonics.harmonics import Name
    from interp.observing.analysis import Analysis
    from interp.observing.key_rules import KeyRule
    from interp.reporting.assembly import Page

POLL_SECONDS = 0.5
# A page is built at most this often; after one that took more processor time, the next waits (`Follower.rest`).
_BUILD_SECONDS = 2.0
# A viewer that has not asked for this long has gone; browsers slow down the timers of hidden tabs to one a minute.
AWAY_SECONDS = 75.0
# How long to wait for viewers at the end.
FAREWELL_SECONDS = 5.0
# Key frequencies are kept until there are this many times as many checkpoints: when they change, everything is measured anew.
_GROWTH = 1.5

# Checkpoints that a page has and the one before had not, at most, as long as the run goes on.
_MOST_NEW = 40
# Of the system's 0 to 19, before the first page is there and then: where all cores are busy, a quarter and a thirtieth of one.
_NICENESS = (5, 15)

_ENDINGS = {
    "settled": "The run has settled and is finished, at step {step}.",
    "budget": "The run is finished: all {step} steps.",
    "ended": "The run is finished: it ended at step {step}.",
    "imported": "An imported run: nothing will be added to it.",
    "non-finite": "The run has stopped at step {step}: its training loss is not finite.",
}


# What a page follows from: the steps that were saved, how the run stands, and whether it is the last page, which has everything.
Stamp = tuple[tuple[int, ...], str, bool]


class Interrupted(Exception):  # noqa: N818 - no error: what is being measured is no longer wanted
    """Stops the building of a page."""


@dataclass
class Follower:
    """Publishes the page of one run, again and again.

    Args:
        path: the run's directory; it need not exist yet.
        published: where pages go.
        gone: whether the process that trains the run has ended; always false for a run trained elsewhere.
        analyses: names of built-in analyses or `Analysis` objects; all built-in ones by default.
        files: Python files with an ``ANALYSIS`` each.
        key_rule: how key frequencies are chosen, see `interp.observe`.
        threads: checkpoints that are measured at once; one leaves the other cores to the training.
        rest: how many times the processor time of a page pass before the next.
        on_first: called once, when the first page is there.
    """

    path: Path
    published: Published
    gone: Callable[[], bool] = lambda: False
    analyses: Iterable[str | Analysis] | None = None
    files: Sequence[Path] = ()
    key_rule: KeyRule | Sequence[int | str] = "unembedding"
    threads: int = 1
    rest: float = 1.0
    on_first: Callable[[], None] = lambda: None
    _shown: tuple[int, ...] = field(default=(), init=False)  # steps of the last page
    _tried: Stamp | None = field(default=None, init=False)  # when nothing was left to do, or it failed
    _known: Run | None = field(default=None, init=False)  # as it was last opened
    _is_lost: bool = field(default=False, init=False)  # it was there, and cannot be opened now
    _keys: tuple[int, list[Name]] | None = field(default=None, init=False)  # step at which they were chosen, and which
    _keys_until: float = field(default=0.0, init=False)  # number of checkpoints
    _next: float = field(default=0.0, init=False)
    _told: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        line = "Waiting for the run to begin."
        self.published.put(waiting_page(self.path.name, line), "", version=0, line=line, ended=False, trouble=None)

    def follow(self, *, until_final: bool) -> None:
        """Publish pages until the run is final (if asked to), or until the process that trains it has ended.

        At the end viewers are told, and given time to ask.
        """
        while True:
            gone = self.gone()  # asked first, so that what is read next is all there is
            run = self._opened()
            if run is not None:
                self.published.tell(line=line_of(run))
                is_last = run.manifest.final or gone
                if self._wanted(run, is_last=is_last):
                    self._publish(run, is_last=is_last)
            if gone or (until_final and run is not None and run.manifest.final):
                self._farewell(run)
                return
            time.sleep(POLL_SECONDS)

    def _opened(self) -> Run | None:
        try:
            run = open_run(self.path)
        except (UsageError, DataError) as error:
            if self._known is not None or isinstance(error, DataError):  # without either it has not begun yet
                self._is_lost = True
                self.published.tell(trouble=str(error) if isinstance(error, DataError) else lost("run", self.path))
            return None
        if self._is_lost:
            self._is_lost, self._tried = False, None
            self.published.tell(trouble=None)
        self._known = run
        return run

    def _wanted(self, run: Run, *, is_last: bool) -> bool:
        if not run.steps or _stamp(run, is_last=is_last) == self._tried or not self.published.watched(AWAY_SECONDS):
            return False
        return is_last or time.monotonic() >= self._next

    def _publish(self, run: Run, *, is_last: bool) -> None:
        begun, stamp = time.process_time(), _stamp(run, is_last=is_last)
        version = int(self.published.state["version"]) + 1
        try:
            page = self._build(run, version=version, is_last=is_last)
        except Interrupted:
            return
        except Exception as error:  # whatever it is, training and the existing pages go on
            self.published.tell(trouble=f"This page could not be updated: {type(error).__name__}: {error}")
            self._tried = stamp
        else:
            self._tried = stamp if len(self._shown) == len(run.steps) else None
            self.published.put(page.html, without_library(page.html), version=version, line=line_of(run), trouble=None)
            if version == 1:
                self.on_first()
        self._next = time.monotonic() + max(_BUILD_SECONDS, self.rest * (time.process_time() - begun))

    def _build(self, run: Run, *, version: int, is_last: bool) -> Page:
        from interp.observing.analysis import builtin_names, find_analyses
        from interp.observing.observe import observe
        from interp.observing.series import ABOUT, about
        from interp.reporting.write import page_of

        def heed(done: int, total: int) -> None:
            if self.gone() and not is_last:
                raise Interrupted
            self._tell_between(done, total)

        chosen = find_analyses(self.analyses or builtin_names(), files=self.files)
        if is_last:
            series = observe(run, chosen, key_rule=self.key_rule, threads=self.threads, on_step=heed)
            self._shown = run.steps
        else:
            step, found_keys = self._key_frequencies(run)
            steps = _with_some(self._shown, run.steps)
            keys: KeyRule | Sequence[int | str] = found_keys or self.key_rule  # a rule that finds none says so itself
            # What costs more than everything else in a page, such as random controls, waits for the last one.
            series = observe(run, chosen, steps=steps, key_rule=keys, brief=True, threads=self.threads, on_step=heed)
            self._shown = steps
            found = about(series)
            rule = self.key_rule if isinstance(self.key_rule, str) else found.key_rule
            if found.has_waves:
                series = series.assign_attrs({ABOUT: replace(found, key_step=step, key_rule=rule)})
        return page_of(run, series, chosen, live=version)

    def _key_frequencies(self, run: Run) -> tuple[int, list[Name]]:
        """Those of an earlier checkpoint, as long as it is not too old."""
        from interp.observing.run_keys import run_keys

        if self._keys is None or len(run.steps) >= self._keys_until:
            before, self._keys = self._keys, (run.steps[-1], list(run_keys(run, self.key_rule).names))
            if before is not None and before[1] != self._keys[1]:
                self._shown = ()  # all of them would have to be measured anew
            self._keys_until = max(_GROWTH * len(run.steps), len(run.steps) + 1)
        return self._keys

    def _tell_between(self, done: int, total: int) -> None:
        """Measuring many checkpoints takes time, in which the run goes on."""
        now = time.monotonic()
        if now >= self._told + POLL_SECONDS and (run := self._opened()) is not None:
            self._told = now
            self.published.tell(line=f"{line_of(run)} Measured for this page: {done:,} of {counted(total, 'checkpoint')}.")

    def _farewell(self, run: Run | None) -> None:
        run = run or self._known
        if run is None:
            line = "The run did not begin."
        else:
            line = line_of(run, is_gone=True) if (self.path / MANIFEST).is_file() else lost("run", self.path)
        take_leave(self.published, line)


def _stamp(run: Run, *, is_last: bool) -> Stamp:
    return run.steps, run.status, is_last


def lost(what: str, path: Path) -> str:
    """One line about a run, or a study, that was followed and is no longer at its path."""
    return f"The {what} is no longer at {path}: it was removed or renamed."


def take_leave(published: Published, line: str) -> None:
    """Tell viewers that there is nothing more to come, and give them time to ask."""
    published.tell(line=line, ended=True)
    until = time.monotonic() + FAREWELL_SECONDS
    while time.monotonic() < until and not published.all_know(FAREWELL_SECONDS):
        time.sleep(0.1)


def give_way() -> Callable[[], None]:
    """Leave the processor to the training: lower priority, one thread. Libraries are loaded first, while both begin.

    What is returned lowers the priority once more: every second that a page takes from a core all of which is used is one that
    the training lacks, and longer, as its other threads wait for the one that was put off.
    """
    import torch

    import interp.observing.observe
    import interp.reporting.write  # noqa: F401 - loaded here, used when the first page is built

    first, later = _NICENESS
    os.nice(first)
    torch.set_num_threads(1)

    def more() -> None:
        os.nice(later - first)

    return more


def line_of(run: Run, *, is_gone: bool = False) -> str:
    """One line about where a run stands.

    Args:
        run: as just opened.
        is_gone: it is no longer being trained.
    """
    step = f"{run.manifest.step or 0:,}"
    if run.manifest.final:
        return _ENDINGS[run.reason or "budget"].format(step=step)
    if run.status == "interrupted" or is_gone:
        return f"The run was interrupted at step {step}; {run.how_to_continue}."
    most = "at most " if run.may_end_early else ""
    # Of a loop it may not be known, or it went on longer.
    is_known = run.budget != MOST_STEPS and (run.manifest.step or 0) <= run.budget
    of = f" of {most}{run.budget:,}" if is_known else ""
    return f"Training: step {step}{of}, {counted(len(run.steps), 'checkpoint')}."


def _with_some(shown: tuple[int, ...], saved: tuple[int, ...]) -> tuple[int, ...]:
    """Steps that were shown, with some of those that were saved and not: the newest, and others evenly between.

    >>> _with_some((0, 10), (0, 10, 20, 30))
    (0, 10, 20, 30)
    >>> _with_some((), tuple(range(0, 5000, 5)))[:3]
    (0, 130, 255)
    """
    old = set(shown)
    new = [step for step in saved if step not in old]
    count = min(len(new), _MOST_NEW)
    some = {new[round(i * (len(new) - 1) / max(count - 1, 1))] for i in range(count)} | set(new[-1:])
    return tuple(step for step in saved if step in some or step in old)


def without_library(html: str) -> str:
    """The page without plotly.js, which open pages already have."""
    head, mark, rest = html.partition('<script type="text/plain" id="plotly">')
    return head + mark + rest[rest.index("</script>") :] if mark else html
