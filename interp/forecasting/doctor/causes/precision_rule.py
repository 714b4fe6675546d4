"""Precision: losses that float32 rounds to nothing, updates that Adam's epsilon holds back, a loss that is no number."""

from __future__ import annotations

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.knowledge import Knowledge
from interp.forecasting.doctor.patient import Patient

EPSILON = "optimizer.eps"
# From this share of the training pairs on, the gradient of an ordinary float32 loss is gone.
COLLAPSED = 0.5


def precision(patient: Patient, known: Knowledge) -> Finding | None:
    """What numbers, rather than settings, keep from being learned."""
    course, epsilon = patient.course, patient.number(EPSILON)
    if patient.is_healthy_so_far:
        return None
    within = known.ranges[EPSILON]
    if epsilon is not None and epsilon > within["high"]:
        said = (
            f"Adam's epsilon is {epsilon:g}: gradients on the plateau are far smaller, and updates shrink with them; such runs "
            f"are known to grok up to {within['high']:g} ({within['source']})"
        )
        sure = 0.9 if epsilon >= within["surely"] else 0.4  # in between some grok
        return Finding("precision", sure, said, f"--optimizer.eps {within['usual']:g}", {EPSILON: within["usual"]})
    if course is None:
        return None
    if course.not_finite:
        said = f"the loss was not finite from step {course.step + 1:,} on"
        return Finding("precision", 0.6, said, "--dtype float64, or a smaller learning rate", {"dtype": "float64"})
    # This toolkit's loss and its gradient are exact at any size, so that only somebody else's training can have collapsed.
    if course.is_imported and course.collapsed is not None and course.collapsed > COLLAPSED:
        said = (
            f"for {100 * course.collapsed:.0f} % of the training pairs a float32 cross-entropy is exactly 0, and with it its "
            "gradient (softmax collapse)"
        )
        return Finding(
            "precision", 0.9, said, "train with an exact loss, as `interp train` does, or with StableMax or in float64"
        )
    return None
