"""The verdicts on a network with their evidence, for the head of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interp.measures.since import IRRELEVANT, Since
from interp.observing.series import about

if TYPE_CHECKING:
    import xarray as xr

# Verdict -> what it says of the network.
_GENERALIZATION = {
    "generalizer": "A generalizer",
    "memorizer": "A memorizer",
    "between": "Between memorizer and generalizer",
    "untrained": "Untrained",
}
# Distance irrelevance and gradient symmetricity of the two models that Zhong et al. 2023 published.
PUBLISHED = {"clock": "0.85 and 0.33", "pizza": "0.17 and 0.99"}
# A reading within this factor of the limit is said to be.
NARROW = 1.2
_ALGORITHM = {"clock": "A clock", "pizza": "A pizza", "neither": "Neither clock nor pizza"}


@dataclass(frozen=True)
class VerdictLine:
    """A verdict: the panel that has it, what it says, since when, and its evidence."""

    panel: str
    verdict: str
    since: str
    evidence: str


def verdict_lines(series: xr.Dataset) -> list[VerdictLine]:
    """Memorizer or generalizer, and clock or pizza where there is a circuit to classify; empty where nothing was measured."""
    known = about(series).verdicts
    asked: tuple[tuple[str, str, Mapping[str, str], Callable[[xr.Dataset, str], str]], ...] = (
        ("generalization", "memorizer_or_generalizer", _GENERALIZATION, _generalization),
        ("algorithm", "clock_or_pizza", _ALGORITHM, _algorithm),
    )
    return [
        VerdictLine(panel, words[one.verdict], _since(series, one), evidence(series, one.verdict))
        for name, panel, words, evidence in asked
        if (one := known.get(name)) is not None and one.verdict in words
    ]


def _since(series: xr.Dataset, verdict: Since) -> str:
    return "" if series.sizes["step"] < 2 else f"since step {verdict.boundary.step:,}"


def _generalization(series: xr.Dataset, verdict: str) -> str:
    agreement = _last(series, "shift_agreement")
    if verdict == "untrained" or agreement is None:
        return "too few of its training pairs are answered to tell"
    return (
        f"what it says of pairs it never saw agrees with what it says of seen ones, shifted, to {decimal(agreement)} "
        "(a circuit: 1, a table: 0); no test label is looked at"
    )


def _algorithm(series: xr.Dataset, verdict: str) -> str:
    irrelevance, symmetricity = (_last(series, name) for name in ("distance_irrelevance", "gradient_symmetricity"))
    if irrelevance is None or symmetricity is None:
        return ""
    how = {
        "clock": "angles are multiplied, and how far apart a and b are hardly matters",
        "pizza": "angles are added, and its certainty depends on how far apart a and b are",
        "neither": "how far apart a and b are hardly matters, yet it treats them too much alike for a clock",
    }[verdict]
    is_narrow = IRRELEVANT / NARROW < irrelevance < IRRELEVANT * NARROW
    side = f", narrowly {'above' if irrelevance >= IRRELEVANT else 'below'} {IRRELEVANT:g}" if is_narrow else ""
    return (
        f"{how} (distance irrelevance {decimal(irrelevance)}{side}; gradient symmetricity {decimal(symmetricity)}; "
        f"a published clock has {PUBLISHED['clock']}, a published pizza {PUBLISHED['pizza']})"
    )


def decimal(value: float) -> str:
    """A reading with two decimals and the sign of mathematics.

    >>> decimal(-0.02)
    '\u22120.02'
    """
    return f"{value:.2f}".replace("-", "\u2212")


def _last(series: xr.Dataset, name: str) -> float | None:
    """The last finite value of a variable."""
    if name not in series:
        return None
    values = np.asarray(series[name].values, dtype=float)
    known = np.flatnonzero(np.isfinite(values))
    return float(values[known[-1]]) if len(known) else None
