"""What a study will take, measured by a few steps of some of its runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from interp.cores import available_threads
from interp.studies.study import Study
from interp.studies.study_plan import Point
from interp.studies.worker import settled
from interp.wording import counted

_PROBED, _WARM, _STEPS = 3, 5, 20
_LINE_BYTES = 75  # of a step in the history
_SERIES_BYTES = 160_000  # of the default measures at some hundred checkpoints


@dataclass(frozen=True)
class Effort:
    """What the runs that a study lacks will take at most. Prints as one line.

    Attributes:
        runs: that are lacking.
        steps: the most updates of all of them.
        seconds: on all cores of this machine, if every run uses its budget.
        n_bytes: on the disk, once they are thinned out.
        step_seconds: of one update, by one thread.
        cores: of this machine.
    """

    runs: int
    steps: int
    seconds: float
    n_bytes: float
    step_seconds: float
    cores: int

    def __str__(self) -> str:
        if not self.runs:
            return "nothing is left to train"
        return (
            f"{counted(self.runs, 'run')} to train, {counted(self.steps, 'step')} at most: {_hours(self.seconds)} on "
            f"{counted(self.cores, 'core')} at most ({1000 * self.step_seconds:.2g} ms a step, measured now), "
            f"about {self.n_bytes / 1e6:,.0f} MB"
        )


def effort(study: Study) -> Effort:
    """Time some steps of up to three of the runs that a study lacks, and say what all of them will take at most."""
    lacking = [point for point in study.points if settled(study.path_of(point.name), study.plan.keep) is None]
    cores = available_threads()
    if not lacking:
        return Effort(0, 0, 0.0, 0.0, 0.0, cores)
    probed = lacking[:: max(1, len(lacking) // _PROBED)][:_PROBED]
    measured = [_probe(point) for point in probed]
    step_seconds = mean(seconds for seconds, _ in measured)
    steps = sum(point.config.steps for point in lacking)
    n_parameters = mean(number for _, number in measured)
    kept = mean(_checkpoints(study, lacking))
    n_bytes = len(lacking) * (4 * n_parameters * kept + _SERIES_BYTES) + _LINE_BYTES * steps
    return Effort(len(lacking), steps, steps * step_seconds / min(cores, len(lacking)), n_bytes, step_seconds, cores)


def _checkpoints(study: Study, points: Sequence[Point]) -> list[int]:
    """How many checkpoints of each run stay."""
    keep = study.plan.keep
    if keep == "all":
        return [len(point.config.checkpoints.steps(point.config.steps)) for point in points]
    return [2 + len(keep) if isinstance(keep, tuple) else 2]


def _probe(point: Point) -> tuple[float, int]:
    """Seconds of one update, and the number of parameters."""
    from interp.training.loop import Training

    training = Training(replace(point.config, threads=1))
    marks = []
    for number, _ in enumerate(training):
        marks.append(time.monotonic())
        if number >= _WARM + _STEPS:
            break
    spans = [after - before for before, after in zip(marks[_WARM:], marks[_WARM + 1 :], strict=False)] or [0.0]
    return sum(spans) / len(spans), training.plan.n_parameters


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
