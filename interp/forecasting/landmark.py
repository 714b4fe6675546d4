"""A run reduced to a few numbers at one step: how far its spectra have come, and how fast they go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import atanh, isfinite, log, nan
from typing import Any

import numpy as np

from interp.forecasting.label_free import LabelFree, Values

# A line through fewer checkpoints says too little.
FEWEST = 4
# The share of the time since memorizing that is left out: the spectra turn to their plateau course in it.
LEFT_OUT = 0.5
# Where the effective numbers are when a run groks: that of W_L whatever p, that of W_E about sqrt(p); see docs/forecast.md.
END_W_L, END_W_E = 4.0, 0.5
# Logarithms need a floor: a distance that is passed, a rate (per step) that is none.
NEAREST, SLOWEST = 0.05, 1e-6
_SURE = 0.995
# From these multiples of the step of memorizing on: a fall of ln N below this is none, where N is far from its end.
STALLED, FAR = ((4, 0.03), (8, 0.05)), 0.5


@dataclass(frozen=True)
class Trend:
    """A line ``ln N = level + slope (t - now)`` through the checkpoints of a window that ends now.

    Args:
        level: ln N on the line, now.
        slope: per step.
        end: ln N where the run groks.
    """

    level: float
    slope: float
    end: float

    @property
    def number(self) -> float:
        """The effective number on the line, now."""
        return float(np.exp(self.level))

    @property
    def fall_per_100(self) -> float:
        """By which share N falls in 100 steps; negative where it grows."""
        return float(-np.expm1(100 * self.slope))

    @property
    def steps_left(self) -> float:
        """Steps until the line is at its end."""
        return max(self.level - self.end, NEAREST) / max(-self.slope, SLOWEST)


@dataclass(frozen=True)
class Landmark:
    """What is known of a run at one step.

    Args:
        step: now.
        memorized: when the training pairs were known by heart.
        W_L: trend of the effective number of frequencies of the neuron-logit map.
        W_E: of the embedding.
        agreement: shift agreement now; None where it was not measured.
        agreement_before: where the window begins.
        window: first and last checkpoint of the trends.
    """

    step: int
    memorized: int
    W_L: Trend
    W_E: Trend
    agreement: float | None
    agreement_before: float | None
    window: tuple[int, int]

    @property
    def since(self) -> int:
        """Steps since memorizing; at least 1."""
        return max(self.step - self.memorized, 1)

    @property
    def is_stalled(self) -> bool:
        """Whether W_L makes no progress: by its trend ln N falls by less than a bound in as many steps as since memorizing.

        The bounds of `STALLED` part the runs of the corpus that grokked from those without weight decay and with too few pairs.
        """
        fall = -self.W_L.slope * self.since
        bounds = [bound for multiple, bound in STALLED if self.step >= multiple * self.memorized]
        return self.W_L.level - self.W_L.end > FAR and bool(bounds) and fall < bounds[-1]


def window_of(memorized: int, step: int) -> float:
    """Where the window of a landmark begins: the second half of the time since memorizing."""
    return memorized + LEFT_OUT * (step - memorized)


def landmark(known: LabelFree, step: int) -> Landmark | None:
    """The run at a step; None before it has memorized, or while the window has fewer than `FEWEST` checkpoints.

    >>> import numpy as np
    >>> steps, none = np.arange(0, 1001, 100), np.zeros(0)
    >>> numbers = 20 * np.exp(-0.001 * steps)
    >>> run = LabelFree(steps, numbers, numbers, none, none, 100, 1000, {}, 59)
    >>> found = landmark(run, 1000)
    >>> round(found.W_L.slope, 9), round(found.W_L.steps_left), round(100 * found.W_L.fall_per_100, 1)
    (-0.001, 609, 9.5)
    """
    so_far = known.until(step)
    if so_far.memorized is None:
        return None
    inside = so_far.steps >= window_of(so_far.memorized, step)
    if np.count_nonzero(inside) < FEWEST:
        return None
    steps = so_far.steps[inside]
    now = int(steps[-1])
    return Landmark(
        step=now,
        memorized=so_far.memorized,
        W_L=_trend(steps - now, so_far.n_W_L[inside], log(END_W_L)),
        W_E=_trend(steps - now, so_far.n_W_E[inside], END_W_E * log(known.p)),
        agreement=_at(so_far, now),
        agreement_before=_at(so_far, int(steps[0])),
        window=(int(steps[0]), now),
    )


def features(at: Landmark, config: Mapping[str, Any]) -> dict[str, float]:
    """The numbers that a model may use, by name; NaN for what is not known.

    None has a unit: times are divided by the time since memorizing, so that a run whose learning rate is halved, and which takes
    twice as long, has the same features at twice the step.

    - ``left_W_L``, ``left_W_E``: ln(steps left by the trend / steps since memorizing).
    - ``level_W_L``, ``level_W_E``: ln N less its end.
    - ``agreement``: artanh of the shift agreement; ``agreement_rate``: ln of what it gained over the window, for its whole past.
    - ``decay``: ln(weight decay x learning rate x steps since memorizing), the number of times that unused weights have shrunk
      by a factor e; ``fraction``: ln of the share of the pairs that are trained on; ``modulus``: ln p.
    """
    since = at.since
    now, before = _artanh(at.agreement), _artanh(at.agreement_before)
    gained = (now - before) / max(at.window[1] - at.window[0], 1) * since
    decay = _number(config, "optimizer", "lr") * _number(config, "optimizer", "weight_decay")
    return {
        "left_W_L": log(at.W_L.steps_left / since),
        "left_W_E": log(at.W_E.steps_left / since),
        "level_W_L": at.W_L.level - at.W_L.end,
        "level_W_E": at.W_E.level - at.W_E.end,
        "agreement": now,
        "agreement_rate": log(max(gained, SLOWEST)) if isfinite(gained) else nan,
        "decay": _log(decay * since),
        "fraction": _log(_number(config, "split", "fraction")),
        "modulus": _log(_number(config, "task", "p")),
    }


def _trend(since: Values, numbers: Values, end: float) -> Trend:
    slope, level = np.polyfit(since, np.log(numbers), 1)
    return Trend(float(level), float(slope), end)


def _at(known: LabelFree, step: int) -> float | None:
    found = np.flatnonzero(known.agreed_at == step)
    return float(known.agreement[found[0]]) if len(found) else None


def _artanh(agreement: float | None) -> float:
    """Even in an agreement's distance to 1 and to 0, where the agreement itself is not."""
    return nan if agreement is None else atanh(min(max(agreement, -_SURE), _SURE))


def _log(value: float) -> float:
    return log(value) if value > 0 else nan


def _number(config: Mapping[str, Any], *path: str) -> float:
    found: Any = config
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else nan
