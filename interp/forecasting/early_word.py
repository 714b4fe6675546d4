"""A forecast made early on, as a picture of many takes it: plain values."""

from __future__ import annotations

from dataclasses import dataclass

# Of the step of memorizing: early on the plateau, and late enough for an interval that says something.
MULTIPLE = 4


@dataclass(frozen=True)
class ToldEarly:
    """A forecast for a picture of many.

    Args:
        step: at which it was said.
        verdict: see `interp.Forecast`.
        at: median; None where no date was named.
        low: lower end of the interval of four in five.
        high: upper end.
    """

    step: int
    verdict: str
    at: int | None
    low: int | None
    high: int | None
