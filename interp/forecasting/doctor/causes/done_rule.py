"""A run that begins where another had grokked already: there is nothing left to watch."""

from __future__ import annotations

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.patient import Patient


def already_grokked(patient: Patient) -> Finding | None:
    """It was begun from the state of a training that answers 99 % of the test pairs."""
    course = patient.course
    if course is None or not course.is_continued or course.grokked is None or course.grokked != course.begun_at:
        return None
    said = f"it begins at step {course.begun_at:,} of another training, and test accuracy is 99 % there already"
    return Finding("already grokked", 0.97, said, "begin at a step on the plateau")
