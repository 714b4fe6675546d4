"""Weight decay: without it nothing draws a run from what it knows by heart to the circuit; with too little it takes too long."""

from __future__ import annotations

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.knowledge import Knowledge
from interp.forecasting.doctor.patient import Patient
from interp.wording import about

FIELD = "optimizer.weight_decay"


def weight_decay(patient: Patient, known: Knowledge) -> Finding | None:
    """None at all, too little for the budget, or so much that the training pairs are not kept."""
    decay = patient.number(FIELD)
    if decay is None or patient.is_healthy_so_far:
        return None
    usual = known.ranges[FIELD]
    change = f"--optimizer.weight-decay {usual['usual']:g}"
    settings = {FIELD: usual["usual"]}
    if decay == 0:
        said = f"weight decay is 0: {usual['without']}"
        other = _something_else(patient)
        return Finding("weight decay", 0.5 if other else 0.98, said + other, change, settings)
    if decay > usual["high"]:
        said = (
            f"weight decay {decay:g} keeps the weights too small for what they are to know: above {usual['high']:g} runs do not "
            f"keep their training pairs ({usual['source']})"
        )
        return Finding("weight decay", 0.9, said, change, settings)
    return _too_little(patient, known, decay) if decay < usual["low"] else None


def _too_little(patient: Patient, known: Knowledge, decay: float) -> Finding | None:
    expected, budget = known.expected(patient.known()), patient.budget
    if expected is None or budget is None:
        return None
    missing = 1.0 if patient.is_lost else 1 - expected.chance(budget)
    usual = known.ranges[FIELD]
    when = f"{about(expected.median)} (four in five: {about(expected.quantile(0.1))} to {about(expected.quantile(0.9))})"
    said = (
        f"weight decay {decay:g} is below {usual['low']:g}, the least with which such runs are known to grok; by their law this "
        f"one would at about step {when}, with a budget of {budget:,}"
    )
    change = f"--optimizer.weight-decay {usual['usual']:g}"
    return Finding("weight decay", 0.97 * missing, said, change, {FIELD: usual["usual"]})


def _something_else(patient: Patient) -> str:
    """What may stand in for weight decay, in words."""
    if patient.settings.get("optimizer.norm_constraint"):
        return "; but the total norm is held, which may stand in for it"
    if patient.settings.get("optimizer.perpendicular_gradient", "off") != "off":
        return "; but the gradient along the weights is removed, which may stand in for it"
    return ""
