"""The phases of a run as bands behind every time axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from interp.figures.theme import NEUTRAL, faded
from interp.measures.boundary import Boundary
from interp.observing.series import about_if_known

if TYPE_CHECKING:
    import xarray as xr

# What the run is in the middle of, until the next boundary.
PHASES = (
    ("memorization", None, "memorized", "#7d8590"),
    ("circuit formation", "onset", "cleanup", "#009e73"),
    ("cleanup", "cleanup", "grokked", "#e69f00"),
)
_BOUNDARIES = ("memorized", "onset", "cleanup", "grokked", "settled")


def phases(series: xr.Dataset) -> dict[str, Boundary | None]:
    """The phases of a series by name, None for one that did not happen; empty for a Dataset without an `About`."""
    known = about_if_known(series)
    found = None if known is None else known.phases
    return {} if found is None else {name: getattr(found, name) for name in _BOUNDARIES}


def bands(series: xr.Dataset) -> list[tuple[str, float, float, str]]:
    """The phases of a series as (name, first step, last step, colour), those that happened.

    They begin and end where a phase is first reached. Where a run dips after it has grokked, or has memorized without a circuit
    in sight, a last band goes from there to the step from which it holds for good, or to the end.
    """
    first, kept = _firsts(series), phases(series)

    def at(name: str | None) -> float | None:
        boundary = None if name is None else first.get(name)
        return 0.0 if name is None else None if boundary is None else float(boundary.step)

    found = []
    for name, start, stop, colour in PHASES:
        left, right = at(start), at(stop)
        if left is None or (right is None and name == "memorization"):
            continue
        right = last_step(series) if right is None else right
        if right > left:
            found.append((name, left, right, colour))
    reached = "grokked" if at("grokked") is not None else "memorized"
    begun, end = at(reached), kept.get(reached)
    until = last_step(series) if end is None else float(end.step)
    if begun is not None and until > begun and all(right <= begun for _, _, right, _ in found):
        found.append((f"{_ended(series, reached)}, with dips", begun, until, NEUTRAL))
    return found


def _ended(series: xr.Dataset, reached: str) -> str:
    """The last phase by the name that fits the outcome: test accuracy 99 % is not always grokking."""
    known = about_if_known(series)
    return "generalized" if reached == "grokked" and known is not None and known.outcome != "grokking" else reached


def _firsts(series: xr.Dataset) -> dict[str, Boundary | None]:
    """When each phase was first reached: its boundary unless the run dips."""
    known = about_if_known(series)
    reached = {} if known is None or known.phases is None else known.phases.reached
    return {**phases(series), **{name: one.first for name, one in reached.items()}}


def phase_bands(series: xr.Dataset, axes: Sequence[str]) -> list[dict[str, Any]]:
    """Shapes that tint the phases behind the given step axes."""
    return [
        {
            "type": "rect", "name": f"phase: {name}", "layer": "below", "line": {"width": 0}, "fillcolor": faded(colour, 0.10),
            "xref": axis, "x0": left, "x1": right, "yref": f"y{axis[1:]} domain", "y0": 0, "y1": 1,
        }
        for axis in axes for name, left, right, colour in bands(series)
    ]  # fmt: skip


def last_step(series: xr.Dataset) -> float:
    """The last step of a series, checkpoints and history together."""
    steps = [series[name].values[-1] for name in ("step", "history_step") if name in series.coords and series[name].size]
    return float(max(steps, default=0))
