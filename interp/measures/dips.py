"""First reached and for good: when a condition on a curve first held, and each time it was lost again; numpy only.

A slingshot can undo for one measurement what a run has long learned. The first step at which a level is reached and the
first from which it is kept are then two facts, and what lies between them is a list of dips.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from interp.measures.boundary import Boundary, Condition, boundary, for_good
from interp.measures.spikes import Spike
from interp.wording import counted


@dataclass(frozen=True)
class Dip:
    """A stretch of measurements at which a level that had been reached was lost.

    Args:
        start: first step measured in it.
        worst: step of its worst value.
        end: first step measured after it; None if the last measurement lies in it.
        value: the worst value.
        is_spike: whether the training loss spikes in it, see `loss_spikes`; None where no training loss was given.
    """

    start: int
    worst: int
    end: int | None
    value: float
    is_spike: bool | None = None


@dataclass(frozen=True)
class Reached:
    """When a level was first reached, from when on it was kept, and the dips between.

    Args:
        first: first step at which it was measured, with its interval; None if it already held at a first measurement after
            step 0, so that its beginning was not seen.
        for_good: first step from which it held to the end, with an interval that covers `first` as well; equal to `first` if
            there are no dips; None if the last measurement lies in a dip, or nothing was seen to begin.
        dips: in the order of steps.
        span: the first and the last measured step.
    """

    first: Boundary | None
    for_good: Boundary | None
    dips: tuple[Dip, ...]
    span: tuple[int, int]

    @property
    def is_lost(self) -> bool:
        """Whether the last measurement lies in a dip."""
        return bool(self.dips) and self.dips[-1].end is None

    @property
    def is_barely(self) -> bool:
        """Whether it holds for good from the last measurement on only, because of a dip just before."""
        return bool(self.dips) and self.dips[-1].end == self.span[1]

    @property
    def aside(self) -> str:
        """What is to be said beside the first step; nothing without dips."""
        if not self.dips:
            return ""
        n = counted(len(self.dips), "dip")
        if self.is_lost:
            which = "" if len(self.dips) == 1 else f", in the last of {n}"
            return f"not for good: lost again at step {self.dips[-1].start:,}{which}"
        if self.is_barely:
            which = "a dip" if len(self.dips) == 1 else f"the last of {n}"
            return f"for good only from the last measurement, step {self.span[1]:,}, just after {which}"
        return f"for good from step {self.dips[-1].end:,}, after {n}"

    def __str__(self) -> str:
        """In words.

        >>> dip = Dip(start=4300, worst=4300, end=4400, value=0.87)
        >>> str(Reached(Boundary(1900, 1800, 1900), Boundary(4400, 1800, 4400), (dip,), span=(0, 9000)))
        'step 1,900 (1,800 to 1,900), for good from step 4,400, after 1 dip'
        """
        begun = f"before step {self.span[0]:,}, the first measured" if self.first is None else str(self.first)
        return ", ".join(part for part in (begun, self.aside) if part)


def reached(
    at: Int64[np.ndarray, " step"],
    condition: Condition,
    *,
    values: Float64[np.ndarray, " step"],
    worst: Literal["lowest", "highest"] = "lowest",
    not_before: int = 0,
) -> Reached | None:
    """When a condition on a curve first held and from when on for good, as `for_good` takes it; None if it never held.

    What held at the first of several measurements, after step 0, is not dated: it had begun before.

    Args:
        values: the curve, from which a dip's worst value is taken.
    """
    holds = condition(1.0) & (at >= not_before)
    if not holds.any():
        return None
    span, start = (int(at[0]), int(at[-1])), int(holds.argmax())
    found = _dips(at, holds, start=start, values=values if worst == "lowest" else -values)
    dips = tuple(dip if worst == "lowest" else replace(dip, value=-dip.value) for dip in found)
    kept = for_good(at, condition, not_before=not_before)
    if start == 0 < at[0]:
        return Reached(None, None if kept is None or not dips else replace(kept, earliest=0), dips, span)
    if not dips:
        return Reached(kept, kept, (), span)

    def first(slack: float) -> int | None:
        begun = condition(slack) & (at >= not_before)
        return int(begun.argmax()) if begun.any() else None

    begun = boundary(at, first)
    return Reached(begun, kept and begun and _covering(kept, begun), dips, span)


def with_spikes(dips: Iterable[Dip], spikes: Sequence[Spike]) -> tuple[Dip, ...]:
    """The same dips, each saying whether the training loss spikes in it."""
    return tuple(replace(dip, is_spike=any(_meets(dip, spike) for spike in spikes)) for dip in dips)


def _meets(dip: Dip, spike: Spike) -> bool:
    # A spike that had not come back is one up to its peak: what follows is a new level.
    is_after = spike.peak < dip.start if spike.end is None else spike.end <= dip.start
    return not is_after and (dip.end is None or spike.start < dip.end)


def _covering(one: Boundary, other: Boundary) -> Boundary:
    """The first boundary, with an interval that covers the other's too."""
    return replace(one, earliest=min(one.earliest, other.earliest), latest=max(one.latest, other.latest))


def _dips(
    at: Int64[np.ndarray, " step"], holds: Bool[np.ndarray, " step"], *, start: int, values: Float64[np.ndarray, " step"]
) -> list[Dip]:
    """The stretches after `start` at which the condition does not hold."""
    lost = np.concatenate([~holds[start:], [False]])
    edges = np.flatnonzero(np.diff(lost.astype(np.int8), prepend=0)) + start
    found = []
    for begin, stop in zip(edges[::2], edges[1::2], strict=True):
        worst = begin + int(values[begin:stop].argmin())
        end = int(at[stop]) if stop < len(at) else None
        found.append(Dip(int(at[begin]), int(at[worst]), end, float(values[worst])))
    return found
