"""The head of a run's page: what was learned and how, verdicts, moments to look at, and what else its introduction says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interp.observing.analysis import Condition
from interp.reporting.circumstances import holding, is_memorizer
from interp.reporting.guided_stops import Stop, stops
from interp.reporting.idea_sketch import Sketch, sketch
from interp.reporting.learned import learned, when_formed, why_hard
from interp.reporting.run_curves import Curves
from interp.reporting.verdict_lines import VerdictLine, verdict_lines

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Head:
    """What stands over the figures of one run.

    Args:
        learned: what was learned, by what, from how much.
        hard: why that is hard.
        formed: which date says when the circuit formed; nothing where none does.
        verdicts: with their evidence.
        stops: moments to look at.
        sketch: what the drawings are made from.
        holding: the conditions that hold of the run.
        has_lead: whether the restricted loss moved before the test accuracy did.
        is_memorizer: whether it is one, which is then said first.
    """

    learned: str
    hard: str
    formed: str
    verdicts: Sequence[VerdictLine]
    stops: Sequence[Stop]
    sketch: Sketch | None
    holding: frozenset[Condition]
    has_lead: bool
    is_memorizer: bool

    @property
    def opening(self) -> int | None:
        """The step at which the page opens; None for the last."""
        return next((stop.step for stop in self.stops if stop.opens), None)


def head_of(series: xr.Dataset) -> Head:
    """The head of the page of a series."""
    curves = Curves(series)
    lead = curves.lead
    return Head(
        learned(curves.about),
        why_hard(curves.about),
        when_formed(curves),
        verdict_lines(series),
        stops(series),
        sketch(curves),
        holding(series),
        has_lead=lead is not None and lead.is_told and (lead.first or 0) > 0 and curves.generalizes,
        is_memorizer=is_memorizer(curves),
    )
