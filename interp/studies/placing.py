"""Where a study's runs are trained, as the command line says it: here, on one shard of a batch system's tasks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.studies.study import Study
    from interp.training.executor import Executor


def placed(on: str, *, workers: int | None, study: Study) -> tuple[tuple[int, int] | None, Executor | None]:
    """The shard and the executor that a text such as ``here``, ``shard:3/64`` or ``ray`` stands for.

    Raises:
        UsageError: for any other text.
    """
    if on == "here":
        return None, None
    if match := re.fullmatch(r"shard:(\d+)/(\d+)", on):
        return (int(match[1]), int(match[2])), None
    if on == "ray":
        from interp.studies.ray_tasks import RayTasks

        return None, RayTasks(study.folder, workers=workers)
    raise UsageError(f"--on: given {on!r}, expected here, ray, or shard:K/N such as shard:3/64")
