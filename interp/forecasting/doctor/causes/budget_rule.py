"""A budget that ends before the run would grok."""

from __future__ import annotations

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.knowledge import Knowledge
from interp.forecasting.doctor.patient import Patient
from interp.wording import about

# Rounded up to so many steps.
STEPS = 500


def budget_too_short(patient: Patient, known: Knowledge) -> Finding | None:
    """By the forecast of a run that has one; else by the law of the settings."""
    budget, course = patient.budget, patient.course
    if budget is None or patient.is_healthy_so_far:
        return None
    said = None if course is None else course.forecast
    if said is not None and said.at is not None and said.chance is not None and said.high is not None:
        when = f"{said.at:,} (80 %: {said.low:,} to {said.high:,})"
        told = f"at its last checkpoint, step {said.step:,}, it is said to grok at {when}, with a budget of {budget:,}"
        return _finding(0.97 * (1 - said.chance), f"{told}; {said.because}", said.high)
    if course is not None and (said is not None and said.verdict == "no progress"):
        return None  # more steps of the same are no help
    if course is not None and budget <= course.step and not course.is_over:
        return _finding(0.9, f"its budget of {budget:,} is behind it, at step {course.step:,}", 2 * budget)
    expected = known.expected(patient.known())
    if expected is None:
        return None
    told = (
        f"with these settings runs grok at about step {about(expected.median)} (four in five: {about(expected.quantile(0.1))} to "
        f"{about(expected.quantile(0.9))}), and the budget is {budget:,}"
    )
    return _finding(0.94 * (1 - expected.chance(budget)), told, expected.quantile(0.9))


def _finding(sure: float, said: str, until: float) -> Finding:
    steps = max(-(-round(until) // STEPS) * STEPS, STEPS)
    return Finding("budget", sure, said, f"--steps {steps}", {"steps": steps})
