"""More steps for a run that has finished: it goes on from the state at its last step.

run.json stays as it was written. The manifest has the larger budget, so that one rename makes the run unfinished again: whoever
opens it sees either the finished run or one that was interrupted at its last step.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from interp.errors import UsageError
from interp.store.durable import explained
from interp.store.locking import LockKind
from interp.store.manifest import Extension
from interp.store.replacing import replace_manifest
from interp.store.run import Run, open_run
from interp.store.run_log import write_log
from interp.store.writer import writing


def extend(path: Path, steps: int, *, lock: LockKind | None = None) -> None:
    """Give a finished run a larger budget; it is then one that was interrupted at its last step.

    Args:
        path: of the run.
        steps: the budget.
        lock: how other writers are kept away, see `interp.record`.

    Raises:
        UsageError: if it is unfinished or stopped, has these steps already, or its last state was not kept.
        DataError: if that state is damaged, or the run cannot be written.
    """
    _check(open_run(path), steps)
    with writing(path, lock) as allowed:
        run = open_run(path)
        last = _check(run, steps)
        state, before = run.moments(last), run.manifest.extended
        extended = Extension(steps, (*(before.at if before else ()), last))
        allowed()
        with explained(path):
            given = replace(run.manifest, status="interrupted", reason=None, extended=extended)
            replace_manifest(path, given, state)
            write_log(path, "extended", step=last, steps=steps, budget=run.budget)


def _check(run: Run, steps: int) -> int:
    """The last step of a run that may be given so many, or an error."""
    last, where = run.manifest.step, shlex.quote(str(run.path))
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise UsageError(f"steps: given {steps!r}, expected a whole number of steps")
    if not run.has_config or run.is_imported or "batch" in run.record:
        kind = "of a training of its own" if not run.has_config else "imported" if run.is_imported else "begun in a batch"
        raise UsageError(
            f"run {run.path} is {kind}, and cannot be given more steps; see `interp fork` for a run that goes on from it"
        )
    if not run.manifest.final:
        raise UsageError(f"run {run.path} is unfinished at step {last}: first let `interp resume {where}` finish it")
    if run.status == "stopped" or last is None:
        raise UsageError(f"run {run.path} stopped at step {last}, because its loss was not finite: more steps cannot help it")
    if steps <= last:
        raise UsageError(f"steps: given {steps}, expected more than {last}, the last step of run {run.path}")
    if last not in run.manifest.moments:
        raise UsageError(
            f"run {run.path} did not keep the state at its last step, as runs of earlier versions and of studies do not; "
            f"`interp fork {where} --step {last} --moments fresh --steps {steps}` goes on with a new optimizer"
        )
    return last
