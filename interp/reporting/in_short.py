"""The story of a run in two sentences: what can be seen from outside, and what the measures saw."""

from __future__ import annotations

from interp.measures.boundary import Boundary
from interp.reporting.run_curves import Curves
from interp.wording import counted, percent


def outside(curves: Curves, outcome: str) -> str:
    """What can be seen from outside."""
    memorized, grokked = curves.first("memorized"), curves.first("grokked")
    accuracy = curves.at("history_test_accuracy", curves.last)
    if memorized is None:
        return ""
    known = f"It knew its training pairs by heart at step {memorized.step:,}{curves.aside('memorized')}"
    if grokked is None:
        after = f"{known}; after {counted(curves.last_of('history_test_accuracy'), 'step')}"
        return "" if accuracy is None else f"{after} it answers {percent(accuracy)} of the others."
    return _together(curves, outcome, (memorized, grokked)) or _later(curves, known, (memorized, grokked))


def _together(curves: Curves, outcome: str, dates: tuple[Boundary, Boundary]) -> str:
    """Of a run that did not learn the pairs it was shown first, or may not have; nothing of any other."""
    memorized, grokked = dates
    shown, unseen = (f"step {one.step:,}{curves.aside(name)}" for name, one in zip(("memorized", "grokked"), dates, strict=True))
    if grokked.step <= memorized.step and outcome == "grokking":
        return (
            "It answered most of the pairs it never saw long after most of those it was shown; it answers 99 % of the latter "
            f"from {shown} on, of the others from {unseen} on."
        )
    if curves.is_apart and grokked.earliest < memorized.latest:
        order = "which it learned first was not measured"
        return f"It answers the pairs it was shown by {shown}, those it never saw by {unseen}; {order}."
    if grokked.step < memorized.step:
        return f"It answered 99 % of the pairs it never saw from {unseen} on, of those it was shown only from {shown} on."
    if grokked.step == memorized.step:
        return f"It learned the pairs it was shown and those it never saw together, by step {memorized.step:,}."
    return ""


def _later(curves: Curves, known: str, dates: tuple[Boundary, Boundary]) -> str:
    """Of a run that knew the pairs it was shown first."""
    memorized, grokked = dates
    later = counted(grokked.step - memorized.step, "step")
    if curves.found["grokked"] is None:
        return f"{known}, and first answered those it never saw {later} later, at step {grokked.step:,}{curves.aside('grokked')}."
    if curves.is_apart:
        return f"{known}, and answered those it never saw by step {grokked.step:,}{curves.aside('grokked')}."
    return f"{known}, but answered those it never saw only {later} later."


def inside(curves: Curves) -> str:
    """What the measures saw."""
    lead = curves.lead
    restricted = None if lead is None else lead.first_of("restricted")
    if lead is None or lead.restricted is None or restricted is None:
        return ""
    ahead = lead.first
    if ahead is None or ahead <= 0 or not lead.is_told or lead.is_open or curves.found["grokked"] is None:
        return f"Inside, the restricted loss had halved by step {restricted.step:,}."
    return (
        f"Inside, the answer was forming all along: the restricted loss had halved by step {restricted.step:,}, "
        f"{counted(ahead, 'step')} before the test accuracy passed one half."
    )
