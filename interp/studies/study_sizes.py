"""What a study's runs take, by the same estimate as a single run's: asked before any is begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from interp.config.run_config import RunConfig
from interp.studies.study_plan import Keep, Point
from interp.studies.worker import ended
from interp.training.demand import disk_bytes
from interp.training.fitting import check_runs

if TYPE_CHECKING:
    from interp.studies.study import Study


def lacking(study: Study, points: Sequence[Point] | None = None) -> list[Point]:
    """The runs that are not at their end."""
    chosen = study.points if points is None else points
    return [point for point in chosen if ended(study.path_of(point.name), study.plan.keep) is None]


def kept_bytes(config: RunConfig, keep: Keep) -> float:
    """Bytes of a run once it is thinned out as its study says."""
    if keep == "all":
        return disk_bytes(config)
    return disk_bytes(config, kept=2 + (len(keep) if isinstance(keep, tuple) else 0))


def check_study(study: Study, points: Sequence[Point], *, at_once: int, force: bool) -> None:
    """Error unless the runs that are lacking fit here, so many of them at once.

    Raises:
        UsageError: with the number that is too large, what it takes, and the largest that fits.
    """
    configs = [replace(point.config, threads=1) for point in lacking(study, points)]
    if configs:
        check_runs(
            configs, root=study.folder, at_once=at_once, disk=lambda config: kept_bytes(config, study.plan.keep), force=force
        )
