"""What the story of a run is made from: its curves, and the few questions asked about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from interp.figures.banding import phases
from interp.measures.dating import RIGHT, Boundary
from interp.measures.dips import Reached
from interp.measures.lead import LeadTime
from interp.measures.outcome import CROSSED
from interp.observing.derived import finite_curve
from interp.observing.series import About, about

if TYPE_CHECKING:
    import xarray as xr

# What says whether a phase happened: an accuracy at a level, or a curve that moves.
_ACCURACIES = {"memorized": "history_train_accuracy", "grokked": "history_test_accuracy"}
_MOVING = {"onset": "excluded_loss", "cleanup": "history_test_loss", "settled": "history_sum_squared_weights"}


@dataclass(frozen=True)
class Curves:
    """The curves of a run, with the few questions that its story asks about them."""

    series: xr.Dataset

    @cached_property
    def about(self) -> About:
        """What the series says of itself."""
        return about(self.series)

    @cached_property
    def found(self) -> dict[str, Boundary | None]:
        """The phases' boundaries; None for those that did not happen, or cannot be dated."""
        return {**dict.fromkeys([*_ACCURACIES, *_MOVING]), **phases(self.series)}

    def reached(self, name: str) -> Reached | None:
        """When a phase was first reached, and the dips after it; None where it never was, or a file does not say."""
        return None if self.about.phases is None else self.about.phases.reached.get(name)

    def first(self, name: str) -> Boundary | None:
        """When a phase was first reached: its boundary unless the run dips."""
        known = self.reached(name)
        return self.found[name] if known is None else known.first

    def aside(self, name: str) -> str:
        """What is to be said beside that step, in parentheses: since when it holds for good; nothing without dips."""
        known = self.reached(name)
        return "" if known is None or not known.dips else f" ({known.aside})"

    def dated(self, name: str) -> str:
        """The same step in words, with its interval and what is to be said beside it."""
        known = self.reached(name)
        return str(self.found[name] if known is None or not known.dips else known)

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps and finite values of a variable, None if there are none."""
        return finite_curve(self.series, name)

    def measured(self, name: str, step: float) -> tuple[int, float] | None:
        """The last step at which a variable was measured, up to the given one, and its value there."""
        curve = self.curve(name)
        if curve is None or not (curve[0] <= step).any():
            return None
        last = int((curve[0] <= step).nonzero()[0][-1])
        return int(curve[0][last]), float(curve[1][last])

    def at(self, name: str, step: float) -> float | None:
        """A variable at the last step it was measured at, up to the given one."""
        known = self.measured(name, step)
        return None if known is None else known[1]

    def last_of(self, name: str) -> int:
        """The last step at which a variable was measured; that of the run if it never was."""
        known = self.measured(name, self.last)
        return self.last if known is None else known[0]

    @property
    def is_apart(self) -> bool:
        """Whether the outcome is unknown because the measured steps around both crossings are too far apart."""
        curves = [self.curve(name) for name in _ACCURACIES.values()]
        if self.undated or self.about.outcome != "unknown" or any(curve is None or len(curve[0]) < 2 for curve in curves):
            return False
        return not any(curve[0][0] > 0 and curve[1][0] > CROSSED for curve in curves if curve is not None)

    @property
    def what_is_apart(self) -> str:
        """Evaluations, or checkpoints if nothing else was measured."""
        both = all(name in self.series.coords for name in ("step", "history_step"))
        is_same = both and np.array_equal(self.series["step"].values, self.series["history_step"].values)
        return "checkpoints" if is_same else "evaluations"

    @property
    def last(self) -> int:
        """Last step of the run."""
        axes = [self.series[name] for name in ("step", "history_step") if name in self.series.coords]
        return int(max(axis.values[-1] for axis in axes if axis.size))

    @property
    def lead(self) -> LeadTime | None:
        """How long before the test accuracy the restricted loss moved; None also where no frequency stands out."""
        return self.about.lead if self.about.key_frequencies is None or self.about.stands_out else None

    @property
    def undated(self) -> str:
        """Why nothing is dated, where nothing can be."""
        return "" if self.about.phases is None else self.about.phases.undated

    @property
    def generalizes(self) -> bool:
        """Whether it answers the pairs it never saw for good, whether or not the step is known."""
        return self.found["grokked"] is not None or self.is_late("grokked")

    def is_late(self, name: str) -> bool:
        """Whether `memorized` or `grokked` held at a first measurement after step 0 and ever after, or at the only one."""
        curve = self.curve(_ACCURACIES[name])
        return curve is not None and (len(curve[0]) == 1 or curve[0][0] > 0) and bool((curve[1] >= RIGHT).all())

    def is_unknown(self, name: str) -> bool:
        """Whether the measurements cannot tell when a phase began, or if it did."""
        if self.undated:
            return True
        if name in _ACCURACIES:
            return self.curve(_ACCURACIES[name]) is None or self.is_late(name)
        if name == "cleanup" and self.is_unknown("memorized"):
            return True
        curve = self.curve(_MOVING[name])
        if curve is None:
            return True
        # Without the minimum of a loss, its curve cannot show whether it has risen since.
        return bool(curve[0][0] > 0) and (len(curve[0]) == 1 or name == "onset")
