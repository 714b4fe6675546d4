"""Batches as an executor of runs: those of one shape are trained together on one device, and become a run of their own each.

What was trained is measured and thinned out by the job of every other executor, in processes of this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interp.config.run_config import RunConfig
from interp.errors import DataError, UsageError
from interp.keeping.batch import record_batch
from interp.store.leases import Held, Lease, Leases, kept
from interp.store.locking import is_locked
from interp.store.manifest import MANIFEST
from interp.store.run import open_run
from interp.studies.study_plan import point_name
from interp.studies.worker import LEASES, RUNS, Work, settled
from interp.training.executor import Executor
from interp.training.processes import Processes
from interp.training.stacked.graphs import is_asked
from interp.training.stacked.stacked_runs import stack_key

if TYPE_CHECKING:
    from interp.studies.study import Study

log = logging.getLogger("interp")

_MOST = 64  # runs: larger batches take as long for each of them (docs/speed.md)


@dataclass(frozen=True)
class Batches:
    """An `Executor`: one batch after the other on the device that the configurations name, a GPU.

    Each run is one of `interp.record_batch`: it equals its single run to rounding, not bit for bit. Runs that the batch's engine
    is not meant for are trained one by one: other activations than relu, other engines, and those begun by themselves.

    Args:
        most: runs in a batch.
        measuring: what measures and thins out the runs of a batch once they are trained.

    Raises:
        UsageError: if `most` is not an integer >= 1; when called, if the job is not that of a study.
    """

    most: int = _MOST
    measuring: Executor = field(default_factory=Processes)

    def __post_init__(self) -> None:
        if not isinstance(self.most, int) or self.most < 1:
            raise UsageError(f"Batches: most: given {self.most!r}, expected an integer >= 1")

    def __call__(self, runs: Mapping[int, RunConfig], job: Callable[[RunConfig], Any]) -> Iterator[tuple[int, Any]]:
        """Do the job for every config; yields (number, result or exception) as they finish."""
        if not isinstance(job, Work):
            raise UsageError(f"Batches: given the job {job!r}, expected that of a study")
        return self._results(dict(runs), job)

    def _results(self, runs: dict[int, RunConfig], job: Work) -> Iterator[tuple[int, Any]]:
        for batch in _taken_out(runs, job, most=self.most):
            trained, others = _trained(batch, job)
            yield from others.items()
            yield from self.measuring(trained, job)
        for number, config in runs.items():
            try:
                yield number, job(config)
            except Exception as error:
                yield number, error


def check_card(study: Study) -> None:
    """Error unless there is a CUDA device here, and the runs of a study are meant for it.

    Raises:
        UsageError: saying what is missing.
    """
    import torch

    if not torch.cuda.is_available():
        built = "was built without CUDA; install one with it" if torch.version.cuda is None else "finds no card and driver"
        raise UsageError(f"--on cuda: no CUDA device is available here: torch {torch.__version__} {built}")
    for device in sorted({point.config.device for point in study.points}):
        if not device.startswith("cuda"):
            raise UsageError(
                f"--on cuda: the runs of study {study.name} are for the device {device!r}, which is part of their configuration, "
                "as it is of their bytes; plan them under another name with --set device=cuda"
            )
        if (torch.device(device).index or 0) >= (there := torch.cuda.device_count()):
            raise UsageError(f"--on cuda: the study's runs are for {device!r}, expected one of the {there} CUDA devices here")


def _taken_out(runs: dict[int, RunConfig], job: Work, *, most: int) -> Iterator[dict[int, RunConfig]]:
    """Batches of the runs that can be in one, which are taken out of `runs`."""
    alike: dict[RunConfig, list[tuple[int, RunConfig]]] = {}
    for number, config in list(runs.items()):
        if is_asked(config) and not _began_alone(config, job):
            alike.setdefault(stack_key(config), []).append((number, runs.pop(number)))
    for same in alike.values():
        yield from (dict(same[start : start + most]) for start in range(0, len(same), most))


def _began_alone(config: RunConfig, job: Work) -> bool:
    """Whether a run is under way that is not of a batch; one that cannot be read is not of one either."""
    path = job.folder / RUNS / point_name(config)
    try:
        return (path / MANIFEST).is_file() and settled(path, "all") is None and "batch" not in open_run(path).record
    except (DataError, UsageError, OSError):
        return True


def _trained(batch: Mapping[int, RunConfig], job: Work) -> tuple[dict[int, RunConfig], dict[int, Any]]:
    """Bring the runs of a batch to their last step; returns those that are there, and what is to be said of the others."""
    leases = Leases(job.folder / LEASES, seconds=job.lease_seconds)
    mine: dict[int, Lease] = {}
    others: dict[int, Any] = {}
    for number, config in batch.items():
        try:
            lease = leases.take(point_name(config))
        except DataError as error:
            others[number] = error
            continue
        if isinstance(lease, Held):
            others[number] = "held"
        elif is_locked(job.folder / RUNS / point_name(config)):  # by one that was stopped for longer than its lease held
            others[number] = "held"
            lease.release()
        else:
            mine[number] = lease
    with kept(list(mine.values())):
        others |= _recorded({number: batch[number] for number in mine}, job)
    return {number: config for number, config in batch.items() if number not in others}, others


def _recorded(runs: Mapping[int, RunConfig], job: Work) -> dict[int, Exception]:
    """Record runs as one batch, or in halves where that fails, so that none takes others along; returns why one failed."""
    if not runs:
        return {}
    log.info("training %d runs as one batch", len(runs))
    try:
        names = [point_name(config) for config in runs.values()]
        record_batch(list(runs.values()), job.folder / RUNS, names, progress=False)
        return {}
    except Exception as error:
        if len(runs) == 1:
            return dict.fromkeys(runs, error)
    items = list(runs.items())
    middle = len(items) // 2
    return _recorded(dict(items[:middle]), job) | _recorded(dict(items[middle:]), job)
