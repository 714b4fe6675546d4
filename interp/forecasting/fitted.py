"""The frozen coefficients of a forecast, as data: fitted once on a corpus of runs, see docs/forecast.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import exp, isfinite, log
from pathlib import Path
from statistics import NormalDist
from typing import Any

COEFFICIENTS = Path(__file__).with_name("coefficients.json")
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Remaining:
    """The time that remains, a log-normal variable: ``ln((T - t) / since) = mu + sigma eps``.

    Args:
        median: steps.
        sigma: scatter of their logarithm.
    """

    median: float
    sigma: float

    def quantile(self, share: float) -> float:
        """Steps that remain in this share of all such runs, or fewer."""
        return self.median * exp(self.sigma * _NORMAL.inv_cdf(share))

    def chance(self, steps: float) -> float:
        """Probability that no more than so many steps remain."""
        return 0.0 if steps <= 0 else _NORMAL.cdf(log(steps / self.median) / self.sigma)


@dataclass(frozen=True)
class Fitted:
    """A linear predictor of the logarithm of the time that remains over the time since memorizing.

    Args:
        features: names of what it uses, see `interp.forecasting.landmark.features`.
        centre: their means in the corpus.
        scale: their standard deviations there.
        coefficients: of the centred and scaled features.
        intercept: the prediction at the centre.
        sigma: scatter of the logarithm where ln N of W_L is at its end, on runs of settings that were held out.
        narrowing: by which ln sigma changes for each unit of ln N above that: little is left near the end, and what is left is
            known less well, relative to itself.
    """

    features: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    sigma: float
    narrowing: float

    def remaining(self, features: Mapping[str, float], since: int) -> Remaining | None:
        """The time that remains; None if a feature is not known."""
        values = [features[name] for name in self.features]
        if not all(isfinite(value) for value in values):
            return None
        total = self.intercept + sum(
            beta * (value - centre) / scale
            for beta, value, centre, scale in zip(self.coefficients, values, self.centre, self.scale, strict=True)
        )
        return Remaining(since * exp(total), self.sigma * exp(self.narrowing * features["level_W_L"]))


@dataclass(frozen=True)
class Frozen:
    """All that was fitted, and where it was fitted.

    Args:
        law: by target (``for_good``, ``first``): uses the weights' spectra only, for any run.
        model: by target: uses the shift agreement and the configuration too, inside the corpus' range.
        within: dotted name of a configuration's field -> the values or the range (lowest, highest) in the corpus.
        corpus: what it was fitted on, in words and numbers.
    """

    law: Mapping[str, Fitted]
    model: Mapping[str, Fitted]
    within: Mapping[str, Any]
    corpus: Mapping[str, Any]


@cache
def frozen() -> Frozen:
    """The coefficients that come with the package."""
    found = json.loads(COEFFICIENTS.read_text())

    def each(name: str) -> dict[str, Fitted]:
        return {
            target: Fitted(
                **{name: tuple(one[name]) for name in ("features", "centre", "scale", "coefficients")},
                intercept=float(one["intercept"]),
                sigma=float(one["sigma"]),
                narrowing=float(one["narrowing"]),
            )
            for target, one in found[name].items()
        }

    return Frozen(each("law"), each("model"), found["within"], found["corpus"])
