"""No plateau to see: with nearly all pairs, or strong weight decay, the rest is learned as soon as the training pairs are."""

from __future__ import annotations

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.knowledge import Knowledge
from interp.forecasting.doctor.patient import Course, Patient


def no_plateau(patient: Patient, known: Knowledge) -> Finding | None:
    """It groks, or would, before there is anything to watch."""
    fraction, course = patient.fraction, patient.course
    if fraction is None or (course is not None and not _is_short(course, known)):
        return None
    limit = known.ranges["split.fraction"]["plateau"]
    seen = None if course is None else f"it memorized at step {course.memorized:,} and grokked at {course.grokked:,}"
    if fraction < limit:
        return _strong(patient, known, seen)
    law = f"with {100 * limit:g} % of the pairs or more most grok within {known.plateau:g} times the steps that they memorize in"
    why = f"it is trained on {100 * fraction:.0f} % of the pairs, and little is left to generalize to"
    said = f"{why}; {law if seen is None else seen}"
    speaks = known.speaks_of(patient.known())
    if seen is None and not speaks:
        return None
    enough = min(limit - 0.1, round(1.4 * known.boundary.fraction(patient.p), 2)) if speaks else limit - 0.1
    sure = 0.8 if seen is None else 0.95
    return Finding("too many pairs", sure, said, f"--split.fraction {enough:g}", {"split.fraction": enough})


def _is_short(course: Course, known: Knowledge) -> bool:
    """Whether a run grokked, and so soon after it had memorized that there was no plateau; no, if its begin was not seen."""
    if course.memorized is None or course.grokked is None or course.memorized == course.begun_at:
        return False
    return course.grokked < known.plateau * course.memorized


def _strong(patient: Patient, known: Knowledge, seen: str | None) -> Finding | None:
    """The weights are held so small that what is known by heart does not last for a plateau."""
    decay, usual = patient.number("optimizer.weight_decay"), known.ranges["optimizer.weight_decay"]
    if decay is None or decay < usual["plateau"]:
        return None
    law = f"from weight decay {usual['plateau']:g} on runs mostly have no plateau ({usual['source']}), and it is {decay:g}"
    said = law if seen is None else f"{seen}; {law}"
    change, settings = f"--optimizer.weight-decay {usual['usual']:g}", {"optimizer.weight_decay": usual["usual"]}
    return Finding("weight decay", 0.6 if seen is None else 0.9, said, change, settings)
