"""Following a study: its page is built anew as runs come in, for as long as somebody looks at it."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from interp.errors import DataError, UsageError
from interp.live import follower
from interp.live.follower import Interrupted, lost, take_leave, without_library
from interp.live.viewers import Published
from interp.live.waiting import waiting_page
from interp.store.manifest import MANIFEST
from interp.studies.going import failures
from interp.studies.study import PLAN, Study, open_study
from interp.studies.worker import State, ended, settled
from interp.wording import counted

BUILD_SECONDS = 2.0  # a page is built at most this often
# After a page that took long the next waits for so many times as long: a study has many runs to read, and cores are for training.
_SHARE = 4

_HEADING, _PROMISE = "The study's page is being made", "It appears here by itself, and is renewed as runs come in."

# What changes when there is something new: of each run that has been begun, when its manifest was written, and which failed.
Stamp = tuple[tuple[str, int], ...]


@dataclass
class StudyFollower:
    """Publishes the page of one study, again and again.

    Args:
        path: the study's folder.
        published: where pages go.
        gone: whether the process that trains it has ended; always false for a study trained elsewhere.
        on_first: called once, when the first page is there.

    Raises:
        UsageError: if there is no study.
        DataError: if its plan is damaged.
    """

    path: Path
    published: Published
    gone: Callable[[], bool] = lambda: False
    on_first: Callable[[], None] = lambda: None
    _states: dict[str, State] = field(default_factory=dict, init=False)  # of the runs with which nothing is left to do
    _built: tuple[Stamp, bool] | None = field(default=None, init=False)  # of the last page, and whether it has everything
    _plan: tuple[int, Study] | None = field(default=None, init=False)
    _lost: str | None = field(default=None, init=False)  # why its plan cannot be read now
    _next: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        line = study_line(self._study(), self._states)
        self.published.put(
            waiting_page(self.path.name, line, heading=_HEADING, promise=_PROMISE),
            "",
            version=0,
            line=line,
            ended=False,
            trouble=None,
        )

    def follow(self, *, until_final: bool) -> None:
        """Publish pages until no run is left to train (if asked to), or until the process that trains them has ended.

        At the end viewers are told, and given time to ask.
        """
        while True:
            gone = self.gone()  # asked first, so that what is read next is all there is
            study = self._study()
            stamp, is_final = self._looked(study), len(self._states) == len(study.points)
            if is_there := (self.path / PLAN).is_file():
                self.published.tell(line=study_line(study, self._states))
                self._publish(study, stamp, is_last=gone or is_final)
            if gone or (until_final and is_final):
                line = study_line(study, self._states, is_gone=gone) if is_there else lost("study", self.path)
                take_leave(self.published, line)
                return
            time.sleep(follower.POLL_SECONDS)

    def _study(self) -> Study:
        """The study by its plan as it is now: values and seeds may be added while it is trained."""
        before = self._lost
        try:
            written = (self.path / PLAN).stat().st_mtime_ns
            if self._plan is None or self._plan[0] != written:
                self._plan = (written, open_study(self.path))
            self._lost = None
        except (OSError, UsageError, DataError) as error:
            if self._plan is None:
                raise
            self._lost = str(error) if (self.path / PLAN).is_file() else lost("study", self.path)
        if self._lost != before:
            self.published.tell(trouble=self._lost)
        assert self._plan is not None
        return self._plan[1]

    def _looked(self, study: Study) -> Stamp:
        """What is there now; runs that have come to their end are noted."""
        found = [(f"failed {name}", 0) for name in failures(study.folder)]
        for point in study.points:
            run = study.path_of(point.name)
            try:
                found.append((point.name, (run / MANIFEST).stat().st_mtime_ns))
                if point.name not in self._states and (state := settled(run, study.plan.keep)) is not None:
                    self._states[point.name] = state
            except (OSError, DataError):  # not there, or damaged: its row says so
                continue
        return tuple(found)

    def _publish(self, study: Study, stamp: Stamp, *, is_last: bool) -> None:
        if self._built in ((stamp, True), (stamp, is_last)) or not self.published.watched(follower.AWAY_SECONDS):
            return
        if time.monotonic() < self._next and not is_last:
            return
        begun = time.process_time()
        version = int(self.published.state["version"]) + 1
        try:
            html = self._html(study, version=version, is_last=is_last)
        except Interrupted:
            return
        except Exception as error:  # whatever it is, training and the existing pages go on
            self.published.tell(trouble=f"This page could not be updated: {type(error).__name__}: {error}")
        else:
            self.published.put(html, without_library(html), version=version, trouble=None)
            if version == 1:
                self.on_first()
        self._built = (stamp, is_last)
        self._next = time.monotonic() + max(BUILD_SECONDS, _SHARE * (time.process_time() - begun))

    def _html(self, study: Study, *, version: int, is_last: bool) -> str:
        from interp.reporting.study_page import study_page
        from interp.reporting.study_source import source_of

        def heed(what: str, done: int, total: int) -> None:
            if self.gone() and not is_last:
                raise Interrupted
            self.published.tell(line=f"{study_line(study, self._states)} For this page: {what}, {done:,} of {total:,}.")

        source = source_of(study, brief=not is_last, on_run=heed)
        return study_page(source, live=version, brief=not is_last, on_part=heed).html


def settled_runs(study: Study) -> dict[str, State]:
    """The runs of a study with which nothing is left to do, and how they ended."""
    found = {point.name: ended(study.path_of(point.name), study.plan.keep) for point in study.points}
    return {name: state for name, state in found.items() if state is not None}


def study_line(study: Study, states: Mapping[str, State], *, is_gone: bool = False) -> str:
    """One line about where a study stands.

    Args:
        study: as just opened.
        states: of the runs with which nothing is left to do.
        is_gone: it is no longer being trained.
    """
    total, kinds = len(study.points), Counter(states.values())
    broke_off = f", {kinds['stopped']:,} broke off" if kinds["stopped"] else ""
    if len(states) == total:
        return f"The study is finished: {counted(total, 'run')}{broke_off}."
    failed = len([name for name in failures(study.folder) if name not in states])
    said = f"{kinds['finished']:,} of {counted(total, 'run')} finished{broke_off}{f', {failed:,} failed' if failed else ''}"
    if is_gone:
        root = f" --root {shlex.quote(str(study.root))}" if str(study.root) != "checkpoints" else ""
        return f"No longer trained: {said}; `interp study run {shlex.quote(study.name)}{root}` continues."
    return f"Under way: {said}."
