"""The learning rate: above a bound nothing is learned, below another everything takes too long."""

from __future__ import annotations

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.knowledge import Knowledge
from interp.forecasting.doctor.patient import Patient

FIELD = "optimizer.lr"


def learning_rate(patient: Patient, known: Knowledge) -> Finding | None:
    """Outside the range in which such runs grok."""
    rate = patient.number(FIELD)
    if rate is None or patient.is_healthy_so_far:
        return None
    within, course = known.ranges[FIELD], patient.course
    settings, change = {FIELD: within["usual"]}, f"--optimizer.lr {within['usual']:g}"
    inside = f"such runs are known to grok from {within['low']:g} to {within['high']:g} ({within['source']})"
    if course is not None and course.not_finite and rate > within["usual"]:
        said = f"the loss was not finite from step {course.step + 1:,} on, at a learning rate of {rate:g}; {inside}"
        return Finding("learning rate", 0.9, said, change, settings)
    if rate > within["high"]:
        seen = "" if course is None or course.memorized is not None else ", and its training pairs are not learned"
        return Finding("learning rate", 0.95 if seen else 0.85, f"learning rate {rate:g}{seen}; {inside}", change, settings)
    if rate >= within["low"]:
        return None
    expected, budget = known.expected(patient.known()), patient.budget
    missing = 1.0 if patient.is_lost or expected is None or budget is None else 1 - expected.chance(budget)
    said = f"learning rate {rate:g}; {inside}, and the time that it takes goes as one over the learning rate"
    return Finding("learning rate", 0.96 * missing, said, change, settings)
