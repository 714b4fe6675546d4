"""What is known of other runs, as data: where runs of this kind grok, and how long it takes. See docs/doctor.md for sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import exp, log
from pathlib import Path
from statistics import NormalDist
from typing import Any

from interp.forecasting.fitted import Remaining
from interp.harmonics.primes import is_prime

# The largest share of the pairs of which a boundary is said.
MOST_SHARE = 0.9
KNOWLEDGE = Path(__file__).with_name("knowledge.json")
_NORMAL = NormalDist()
# How far apart two settings are: 1 for this ratio of a field.
_UNITS = {"p": 1.2, "fraction": 1.25, "weight_decay": 2.0, "lr": 2.0, "init_scale": 1.6}
_FIELDS = {
    "p": "task.p", "fraction": "split.fraction", "weight_decay": "optimizer.weight_decay", "lr": "optimizer.lr",
    "init_scale": "model.init_scale",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Settings that were trained several times.

    Args:
        recipe: what they are changes of.
        base: values of the recipe's fields.
        p: modulus.
        fraction: share of the pairs that is trained on.
        weight_decay: of AdamW.
        lr: learning rate.
        init_scale: factor on the initial weights.
        runs: how many.
        grokked: how many of them within the budget.
        median: of the steps at which these grokked.
        budget: steps of training.
        source: where the runs are.
    """

    recipe: str
    base: Mapping[str, float]
    p: int
    fraction: float
    weight_decay: float
    lr: float
    init_scale: float
    runs: int
    grokked: int
    median: float
    budget: int
    source: str

    def values(self) -> dict[str, float]:
        """Its settings by dotted name."""
        return {path: getattr(self, name) for name, path in _FIELDS.items()} | {"steps": self.budget}

    def changes(self) -> dict[str, float]:
        """Fields in which it differs from its recipe."""
        return {path: value for path, value in self.values().items() if self.base[path] != value}

    def distance(self, settings: Mapping[str, Any]) -> float:
        """How far it is from other settings, in units of a ratio each; what they do not say counts for nothing."""
        known = {name: settings[path] for name, path in _FIELDS.items() if settings.get(path)}
        return sum((log(value / getattr(self, name)) / log(_UNITS[name])) ** 2 for name, value in known.items()) ** 0.5

    def __str__(self) -> str:
        """The settings and what became of them."""
        told = f"p = {self.p}, {100 * self.fraction:g} % of the pairs, weight decay {self.weight_decay:g}"
        told += f", learning rate {self.lr:g}" + (f", initial scale {self.init_scale:g}" if self.init_scale != 1 else "")
        runs = f"{self.grokked} of {self.runs} runs grokked within {self.budget:,} steps, at {self.median:,.0f} (median)"
        return f"{told}: {runs} ({self.source})"


@dataclass(frozen=True)
class Boundary:
    """The share of the pairs at which half of the runs grok: ``f_c = factor ln(p) / p``, that is, factor p ln p pairs.

    Args:
        factor: fitted.
        width: of ln(f / f_c), by which the share of runs that grok goes from a half to .84.
    """

    factor: float
    width: float

    def fraction(self, p: int) -> float:
        """f_c.

        >>> round(Boundary(4.3, 0.1).fraction(59), 3)
        0.297
        """
        return self.factor * log(p) / p

    def is_known(self, p: int) -> bool:
        """Whether a split can lie well above it: of few elements the law would ask for nearly all pairs, or for more.

        >>> Boundary(4.3, 0.1).is_known(6), Boundary(4.3, 0.1).is_known(23)
        (False, True)
        """
        return self.fraction(p) <= MOST_SHARE

    def chance(self, p: int, fraction: float) -> float:
        """Share of the runs that grok at a share of the pairs."""
        return _NORMAL.cdf(log(fraction / self.fraction(p)) / self.width)


@dataclass(frozen=True)
class Knowledge:
    """What was measured.

    Args:
        boundary: in the share of the pairs.
        time: coefficients of ln of the step at which a run groks, by the name of what they multiply; ``sigma`` is the scatter.
        ranges: dotted field -> lowest and highest value that is known to grok (``low``, ``high``), lowest and highest that was
            tried (``least``, ``most``), and where that is from (``source``).
        plateau: a run that groks before this multiple of its step of memorizing has none to see.
        cells: settings that are known to grok.
        memorized: steps until the training pairs are known by heart, at a learning rate of 1e-3 and a scale of 1.
    """

    boundary: Boundary
    time: Mapping[str, float]
    ranges: Mapping[str, Mapping[str, Any]]
    plateau: float
    cells: tuple[Cell, ...]
    memorized: float

    def expected(self, settings: Mapping[str, Any]) -> Remaining | None:
        """The step at which such runs grok, log-normal; None where a field is not known, or no time is long enough."""
        needed = ("task.p", "split.fraction", "optimizer.weight_decay", "optimizer.lr")
        p, fraction, decay, rate = (float(settings.get(path) or 0) for path in needed)
        if not (p > 1 and fraction > 0 and decay > 0 and rate > 0 and self.speaks_of(settings)):
            return None
        above = log(fraction / self.boundary.fraction(int(p)))
        x = {"one": 1.0, "decay": log(decay * rate), "rate": log(rate), "above": above, "above_squared": above**2, "p": log(p)}
        total = sum(self.time[name] * value for name, value in x.items() if name in self.time)
        return Remaining(exp(total), self.time["sigma"])

    def speaks_of(self, settings: Mapping[str, Any]) -> bool:
        """Whether the boundary and the time are those of these settings' operation and number of elements.

        They are of addition, and of what reordering makes an addition: subtraction, and multiplication modulo a prime.
        """
        p, operation = int(settings.get("task.p") or 0), settings.get("task.operation", "add")
        is_addition = operation in ("add", "subtract") or (operation == "multiply" and is_prime(p))
        return is_addition and p > 1 and self.boundary.is_known(p)

    def nearest(self, settings: Mapping[str, Any]) -> Cell:
        """The settings known to grok that are nearest to others."""
        return min(self.cells, key=lambda cell: cell.distance(settings))


@cache
def knowledge() -> Knowledge:
    """What comes with the package."""
    found = json.loads(KNOWLEDGE.read_text())
    cells = tuple(Cell(**cell, base=found["recipes"][cell["recipe"]]) for cell in found["cells"])
    return Knowledge(Boundary(**found["boundary"]), found["time"], found["ranges"], found["plateau"], cells, found["memorized"])
