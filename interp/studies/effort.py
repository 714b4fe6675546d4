"""What a study will take: time measured by a few steps of some of its runs, bytes by the estimate that every run gets."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from statistics import mean

from interp.cores import available_threads
from interp.errors import TrainingError
from interp.machine import in_time
from interp.studies.study import Study
from interp.studies.study_plan import Point
from interp.studies.study_sizes import check_study, kept_bytes, lacking
from interp.training.choice import engine_name
from interp.training.demand import demand
from interp.wording import counted

_PROBED, _WARM, _STEPS = 3, 5, 20
_LONG = 0.5  # seconds of a step, by estimate, from which on nothing is timed: nobody waits for 25 of them


@dataclass(frozen=True)
class Effort:
    """What the runs that a study lacks will take at most. Prints as one line.

    Attributes:
        runs: that are lacking.
        steps: the most updates of all of them.
        seconds: on all cores of this machine, or on its GPU one by one, if every run uses its budget; None without that GPU.
        n_bytes: on the disk, once they are thinned out.
        step_seconds: of one update, by one thread or on the GPU; None likewise.
        cores: of this machine; 0 where the runs are for a GPU.
        is_measured: whether steps were timed, and not estimated because the runs do not fit here.
    """

    runs: int
    steps: int
    seconds: float | None
    n_bytes: float
    step_seconds: float | None
    cores: int
    is_measured: bool = True

    def __str__(self) -> str:
        if not self.runs:
            return "nothing is left to train"
        lacking = f"{counted(self.runs, 'run')} to train, {counted(self.steps, 'step')} at most"
        n_bytes = f"about {self.n_bytes / 1e6:,.0f} MB"
        if self.seconds is None or self.step_seconds is None:
            return f"{lacking}, on a CUDA device, of which there is none here to time a step on, {n_bytes}"
        where = counted(self.cores, "core") if self.cores else "the CUDA device one by one, less in batches (--on cuda),"
        how = "measured now" if self.is_measured else "by estimate"
        told = f"{1000 * self.step_seconds:.2g} ms a step, {how}"
        return f"{lacking}: {_hours(self.seconds)} on {where} at most ({told}), {n_bytes}"


def effort(study: Study, *, force: bool = False) -> Effort:
    """Time some steps of up to three of the runs that a study lacks, and say what all of them will take at most.

    Args:
        force: plan runs that do not fit here, as for a larger machine: nothing is timed, all is by estimate.

    Raises:
        UsageError: if one takes more than this machine has, with the number that is too large; nothing is allocated then.
    """
    points, cores = lacking(study), available_threads()
    if not points:
        return Effort(0, 0, 0.0, 0.0, 0.0, cores)
    steps = sum(point.config.steps for point in points)
    n_bytes = sum(kept_bytes(point.config, study.plan.keep) for point in points)
    needed = [demand(config := replace(point.config, threads=1), engine_name(config)) for point in points]
    if not force:
        check_study(study, points, at_once=min(cores, len(points)), force=False)
    longest = max(each.seconds / max(1, point.config.steps) for each, point in zip(needed, points, strict=True))
    probed = points[:: max(1, len(points) // _PROBED)][:_PROBED] if not force and longest < _LONG else ()
    known = [seconds for seconds in map(_probe, probed) if seconds is not None]
    seconds: float | None
    step_seconds: float | None
    if not all(map(_can_be_timed, probed)):
        step_seconds = seconds = None
    elif known:
        step_seconds = mean(known)
        seconds = step_seconds * steps
    else:
        seconds = sum(each.seconds for each in needed)
        step_seconds = seconds / max(1, steps)
    is_measured = bool(known) or seconds is None
    if any(point.config.device.startswith("cuda") for point in points):
        cores = 0
    at_once = min(cores, len(points)) or 1
    return Effort(len(points), steps, None if seconds is None else seconds / at_once, n_bytes, step_seconds, cores, is_measured)


def _can_be_timed(point: Point) -> bool:
    """Whether its device is here."""
    import torch

    return not point.config.device.startswith("cuda") or torch.cuda.is_available()


def _probe(point: Point) -> float | None:
    """Seconds of one update; None if it is for a GPU and there is none here, or if it breaks off before one can be timed."""
    from interp.training.loop import Training

    if not _can_be_timed(point):
        return None
    marks = []
    try:
        for number, _ in enumerate(Training(replace(point.config, threads=1))):
            marks.append(time.monotonic())
            if number >= _WARM + _STEPS:
                break
    except TrainingError:  # told when it is trained, where it takes no other along
        if len(marks) < _WARM + 2:
            return None
    spans = [after - before for before, after in zip(marks[_WARM:], marks[_WARM + 1 :], strict=False)] or [0.0]
    return sum(spans) / len(spans)


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 1000 * 3600 else in_time(seconds)
