"""The curves of a study's runs, thinned to what can be seen, as blocks of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interp.reporting.blocks import Blocks
from interp.reporting.curve_thinning import thinned

# Of one curve: steps, values.
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """How a curve is drawn.

    Args:
        name: column of the history, or variable of a measure.
        title: in words.
        unit: of the vertical axis.
        is_log: whether that is logarithmic.
        top: of the axis; None: the largest value of all.
    """

    name: str
    title: str
    unit: str
    is_log: bool = False
    top: float | None = None


KINDS = (
    Kind("test_accuracy", "Test accuracy", "share right", top=1.0),
    Kind("train_accuracy", "Train accuracy", "share right", top=1.0),
    Kind("restricted_loss", "Restricted loss", "nats", is_log=True),
    Kind("sum_squared_weights", "Sum of squared weights", "sum of squares"),
)
# A point is left out where the line passes it by less than this share of the height of a plot, or this many decades of a
# logarithmic one: half a pixel of 200.
_TOLERANCE, _DECADES = 1 / 400, 0.02
_LEAST = 1e-12  # of what is drawn on a logarithmic axis


@dataclass
class ThinCurves:
    """The curves of many runs, thinned as they come, so that no more is kept than is drawn."""

    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)

    def add(self, run: str, curves: Mapping[str, Curve]) -> None:
        """Take the curves of a run; those of an unknown name are left out."""
        for kind in KINDS:
            if kind.name in curves and (found := thin_curve(*curves[kind.name], kind=kind)) is not None:
                self.curves.setdefault(kind.name, {})[run] = found

    def block(self, runs: Sequence[str], blocks: Blocks) -> list[dict[str, Any]]:
        """What the page's script takes: for each kind where every run's points begin, and all steps and values."""
        made = []
        for kind in KINDS:
            known = self.curves.get(kind.name)
            if not known:
                continue
            none: Curve = (np.empty(0, dtype=np.int64), np.empty(0))
            each = [known.get(run, none) for run in runs]
            ends = np.cumsum([len(steps) for steps, _ in each])
            steps, values = (np.concatenate(parts) for parts in zip(*each, strict=True))
            drawn = blocks.add(_on_axis(values, kind), drawn=True)
            made.append(
                {
                    "name": kind.name, "title": kind.title, "unit": kind.unit, "is_log": kind.is_log, "top": kind.top,
                    "ends": blocks.add(ends), "steps": blocks.add(steps), "values": drawn,
                }
            )  # fmt: skip
        return made


def thin_curve(steps: np.ndarray, values: np.ndarray, *, kind: Kind) -> Curve | None:
    """The points of a curve that stay; None if it has no finite value."""
    known = np.isfinite(values)
    if not known.any():
        return None
    steps, values = np.asarray(steps)[known].astype(np.int64), np.asarray(values, dtype=np.float64)[known]
    height = _DECADES if kind.is_log else _TOLERANCE * (kind.top or float(np.abs(values).max()) or 1.0)
    kept = thinned(steps, _on_axis(values, kind), tolerance=height)
    return steps[kept], values[kept]


def _on_axis(values: np.ndarray, kind: Kind) -> np.ndarray:
    return np.log10(np.maximum(values, _LEAST)) if kind.is_log else values
