"""The errors for a missing run or step: they name the nearest one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

from interp.errors import UsageError, unknown
from interp.store.manifest import MANIFEST


def run_names(root: Path) -> list[str]:
    """Names of the runs in a directory."""
    return sorted(entry.parent.name for entry in root.glob(f"*/{MANIFEST}"))


def no_run(path: Path) -> UsageError:
    """The error for a path without a run."""
    near = unknown("run", path.name, run_names(path.parent) if path.parent.is_dir() else [])
    what = "a directory without manifest.json" if path.is_dir() else "a file" if path.exists() else "nothing is there"
    return UsageError(f"no run at {path} ({what}): {near}")


def last_step(path: Path, steps: Sequence[int]) -> int:
    """The last of a run's steps.

    Raises:
        UsageError: if there is none yet.
    """
    if not steps:
        raise UsageError(f"run {path} has no checkpoints yet")
    return steps[-1]


def nearest_step(steps: Sequence[int], step: float) -> int:
    """The nearest of ascending steps, the earlier one of two."""
    after = bisect_left(steps, step)
    return min(steps[max(after - 1, 0) : after + 1], key=lambda saved: abs(saved - step))


def no_step(path: Path, steps: Sequence[int], step: object) -> UsageError:
    """The error for a step that a run does not have."""
    if not steps:
        return UsageError(f"step: given {step!r}, but run {path} has no checkpoints yet")
    if isinstance(step, Integral) and step < 0:
        return UsageError(
            f"step: given {step}, expected one of the steps {steps[0]} to {steps[-1]}: a run is asked by step and not by "
            f"position (in Python: run.last is its last checkpoint; run[run.steps[{step}]] has the position {step})"
        )
    near = nearest_step(steps, step) if isinstance(step, int) else steps[-1]
    saved = f"Saved are {len(steps)} steps from {steps[0]} to {steps[-1]}" if len(steps) > 1 else "No other step is saved"
    return UsageError(
        f"step: given {step!r}, which was not saved in {path}; did you mean {near}? {saved} "
        f"(in Python: run.steps; run.nearest(step) takes the nearest)"
    )


def thinned_out(path: Path, steps: Sequence[int], step: int) -> UsageError:
    """The error for a step whose checkpoint was thinned out."""
    kept = ", ".join(f"{saved:,}" for saved in steps[:10])
    return UsageError(
        f"step: given {step}, whose checkpoint in {path} was thinned out after it had been measured; there are those of "
        f"{'steps' if len(steps) > 1 else 'step'} {kept}{', ...' if len(steps) > 10 else ''}. Equal configurations give equal "
        "bytes: training the run again under another name brings it back"
    )
