"""Where a study's runs are trained, as the command line says it: here, on one shard of a batch system's tasks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from interp.errors import UsageError

if TYPE_CHECKING:
    from interp.studies.study import Study
    from interp.training.executor import Executor


def placed(on: str, *, workers: int | None, study: Study) -> tuple[tuple[int, int] | None, Executor | None]:
    """The shard and the executor that a text such as ``here``, ``shard:3/64``, ``cuda`` or ``ray`` stands for.

    Raises:
        UsageError: for any other text, or if what is named is not there.
    """
    if on == "here":
        return None, None
    if match := re.fullmatch(r"shard:(\d+)/(\d+)", on):
        return (int(match[1]), int(match[2])), None
    if on == "cuda":
        from interp.studies.batches import Batches, check_card
        from interp.training.processes import Processes

        check_card(study)
        return None, Batches(measuring=Processes(workers))
    if on == "ray":
        from interp.studies.ray_tasks import RayTasks

        return None, RayTasks(study.folder, workers=workers)
    raise UsageError(f"--on: given {on!r}, expected here, cuda, ray, or shard:K/N such as shard:3/64")
