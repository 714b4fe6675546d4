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
        seconds: on all cores of this machine, or on its GPU one by one, if every run uses its budget; None without that GPU.
        n_bytes: on the disk, once they are thinned out.
        step_seconds: of one update, by one thread or on the GPU; None likewise.
        cores: of this machine; 0 where the runs are for a GPU.
    """

    runs: int
    steps: int
    seconds: float | None
    n_bytes: float
    step_seconds: float | None
    cores: int

    def __str__(self) -> str:
        if not self.runs:
            return "nothing is left to train"
        lacking = f"{counted(self.runs, 'run')} to train, {counted(self.steps, 'step')} at most"
        n_bytes = f"about {self.n_bytes / 1e6:,.0f} MB"
        if self.seconds is None or self.step_seconds is None:
            return f"{lacking}, on a CUDA device, of which there is none here to time a step on, {n_bytes}"
        where = counted(self.cores, "core") if self.cores else "the CUDA device one by one, less in batches (--on cuda),"
        measured = f"{1000 * self.step_seconds:.2g} ms a step, measured now"
        return f"{lacking}: {_hours(self.seconds)} on {where} at most ({measured}), {n_bytes}"


def effort(study: Study) -> Effort:
    """Time some steps of up to three of the runs that a study lacks, and say what all of them will take at most."""
    lacking = [point for point in study.points if settled(study.path_of(point.name), study.plan.keep) is None]
    cores = available_threads()
    if not lacking:
        return Effort(0, 0, 0.0, 0.0, 0.0, cores)
    probed = lacking[:: max(1, len(lacking) // _PROBED)][:_PROBED]
    measured = [_probe(point) for point in probed]
    times = [seconds for seconds, _ in measured if seconds is not None]
    step_seconds = mean(times) if len(times) == len(measured) else None
    steps = sum(point.config.steps for point in lacking)
    n_parameters = mean(number for _, number in measured)
    kept = mean(_checkpoints(study, lacking))
    n_bytes = len(lacking) * (4 * n_parameters * kept + _SERIES_BYTES) + _LINE_BYTES * steps
    if any(point.config.device.startswith("cuda") for point in probed):
        cores = 0
    at_once = min(cores, len(lacking)) or 1
    seconds = None if step_seconds is None else steps * step_seconds / at_once
    return Effort(len(lacking), steps, seconds, n_bytes, step_seconds, cores)


def _checkpoints(study: Study, points: Sequence[Point]) -> list[int]:
    """How many checkpoints of each run stay."""
    keep = study.plan.keep
    if keep == "all":
        return [len(point.config.checkpoints.steps(point.config.steps)) for point in points]
    return [2 + len(keep) if isinstance(keep, tuple) else 2]


def _probe(point: Point) -> tuple[float | None, int]:
    """Seconds of one update, None if it is for a GPU and there is none here, and the number of parameters."""
    import torch

    from interp.training.loop import Training

    if point.config.device.startswith("cuda") and not torch.cuda.is_available():
        return None, Training(replace(point.config, engine="reference", device="cpu")).plan.n_parameters
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
