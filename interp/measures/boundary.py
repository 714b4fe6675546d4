"""Boundaries on curves: the first step from which something holds for good, with the interval in which it can have begun.

An interval has two sources: the spacing of the measured steps (it may have begun right after the step before), and the threshold
moved by 20 % in both directions. numpy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import ArrayLike

from interp.errors import UsageError

Curve = tuple[ArrayLike, ArrayLike]
Condition = Callable[[float], Bool[np.ndarray, " step"]]

# The factors by which a threshold is moved to see how much the answer depends on it.
SLACK = 0.2


@dataclass(frozen=True)
class Boundary:
    """When a phase began: the first step measured in it, and the interval in which it can have begun.

    `latest` is the end of the run if a threshold 20 % stricter was never met.
    """

    step: int
    earliest: int
    latest: int

    def __str__(self) -> str:
        """In words: the step, and the interval unless that is no wider.

        >>> str(Boundary(step=7475, earliest=7325, latest=7600))
        'step 7,475 (7,325 to 7,600)'
        """
        step = f"step {self.step:,}"
        return step if self.earliest == self.latest else f"{step} ({self.earliest:,} to {self.latest:,})"


def for_good(at: Int64[np.ndarray, " step"], condition: Condition, *, not_before: int = 0) -> Boundary | None:
    """First step from which a condition holds to the end; ``condition(slack)`` is the same with its threshold times slack."""

    def first(slack: float) -> int | None:
        holds = condition(slack) & (at >= not_before)
        return None if not holds[-1] else int(np.nonzero(~holds)[0].max(initial=-1)) + 1

    return boundary(at, first)


def boundary(at: Int64[np.ndarray, " step"], first: Callable[[float], int | None]) -> Boundary | None:
    """The boundary whose index at a threshold times slack is ``first(slack)``; None if there is none at the threshold itself."""
    found = first(1.0)
    if found is None:
        return None
    moved = [index for slack in (1 - SLACK, 1.0, 1 + SLACK) if (index := first(slack)) is not None]
    latest = max(moved) if first(1 - SLACK) is not None else len(at) - 1
    return Boundary(int(at[found]), int(at[max(min(moved) - 1, 0)]), int(at[latest]))


def checked_curve(curve: Curve, name: str) -> tuple[Int64[np.ndarray, " step"], Float64[np.ndarray, " step"]]:
    """The steps and values of a curve as arrays.

    Raises:
        UsageError: if lengths differ, steps do not ascend or are no whole numbers, or a value is NaN or infinite.
    """
    steps, values = np.asarray(curve[0]), np.asarray(curve[1], dtype=np.float64)
    if steps.ndim != 1 or steps.shape != values.shape or not len(steps):
        raise UsageError(f"{name}: given {values.shape} values for {steps.shape} steps, expected as many of both, at least one")
    if not (np.diff(steps) > 0).all():
        raise UsageError(f"{name}: given steps that do not ascend; a step may occur once")
    if (steps.astype(np.int64) != steps).any():
        raise UsageError(f"{name}: given step {steps[steps.astype(np.int64) != steps][0]}, expected whole numbers of updates")
    if not np.isfinite(values).all():
        raise UsageError(f"{name}: not finite at step {steps[~np.isfinite(values)][0]}; only finite curves can be dated")
    return steps.astype(np.int64), values
