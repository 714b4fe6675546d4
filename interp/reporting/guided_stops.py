"""Moments of a run at which its page can be opened: what is to be seen there, in one sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interp.reporting.circumstances import is_memorizer
from interp.reporting.run_curves import Curves
from interp.wording import percent

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Stop:
    """A checkpoint to look at, in a word and in a sentence; `opens` says that the page opens there."""

    step: int
    label: str
    text: str
    opens: bool = False


def stops(series: xr.Dataset) -> list[Stop]:
    """Up to three moments, in their order; none of a run with fewer than three checkpoints.

    Where the restricted loss moved before test accuracy did, the second lies between them, and the page opens there; any other
    page opens at the last checkpoint.
    """
    curves = Curves(series)
    steps = [int(step) for step in series["step"].values]
    if len(steps) < 3:
        return []
    found = [_known(curves, steps), _between(curves, steps), _last(curves, steps)]
    return sorted({one.step: one for one in found if one is not None}.values(), key=lambda one: one.step)


def _known(curves: Curves, steps: list[int]) -> Stop | None:
    memorized = curves.first("memorized")
    if memorized is None:
        return None
    step = next((one for one in steps if one >= memorized.step), steps[-1])
    return Stop(step, "By heart", f"It knows the pairs it was shown{_others(curves, step)}.")


def _between(curves: Curves, steps: list[int]) -> Stop | None:
    """The checkpoint in the middle between restricted loss halved and test accuracy one half."""
    lead = curves.lead
    begin, end = (None, None) if lead is None else (lead.first_of("restricted"), lead.first_of("accuracy"))
    if lead is None or begin is None or end is None or not lead.is_told or (lead.first or 0) <= 0 or not curves.generalizes:
        return None
    inside = [step for step in steps if begin.step <= step < end.step]
    if not inside:
        return None
    step = inside[int(np.argmin(np.abs(np.array(inside) - (begin.step + end.step) / 2)))]
    loss, first = curves.at("restricted_loss", step), curves.at("restricted_loss", steps[0])
    if loss is None or not first:
        return None
    text = f"The restricted loss is down to {percent(loss / first)} of its start{_others(curves, step)}: the circuit is growing."
    return Stop(step, "Under the surface", text, opens=True)


def _last(curves: Curves, steps: list[int]) -> Stop:
    """The last checkpoint."""
    right = curves.at("history_test_accuracy", steps[-1])
    answers = "This is where the run ends." if right is None else f"It answers {percent(right)} of the pairs it never saw."
    how = " A table is all there is." if is_memorizer(curves) and "generalization" in curves.about.verdicts else ""
    return Stop(steps[-1], "The end", answers + how)


def _others(curves: Curves, step: int) -> str:
    right = curves.at("history_test_accuracy", step)
    return "" if right is None else f", and answers {percent(right)} of the others"
