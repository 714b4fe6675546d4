"""The scale of the initial weights: too small, and nothing begins; too large, and weight decay has to undo it first."""

from __future__ import annotations

from math import log

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.knowledge import Knowledge
from interp.forecasting.doctor.patient import Patient

FIELD = "model.init_scale"


def initial_scale(patient: Patient, known: Knowledge) -> Finding | None:
    """Outside the range in which such runs grok, or further out than weight decay brings it back within the budget."""
    scale = patient.number(FIELD)
    if scale is None or patient.is_healthy_so_far:
        return None
    within = known.ranges[FIELD]
    change, settings = "--model.init-scale 1", {FIELD: 1.0}
    inside = f"such runs are known to grok from {within['low']:g} to {within['high']:g} ({within['source']})"
    if scale < within["low"]:
        said = f"the initial weights are {scale:g} times the usual ones; {inside}"
        return Finding("initial scale", 0.9, said, change, settings)
    blame = _too_large(patient, known, scale) if scale > 1 else 0.0
    if scale > within["high"]:
        blame = max(blame, 0.9)
    told = f"the initial weights are {scale:g} times the usual ones, which weight decay has to undo first{_delay(patient, scale)}"
    return Finding("initial scale", 0.96 * blame, f"{told}; {inside}", change, settings) if blame > 0 else None


def _too_large(patient: Patient, known: Knowledge, scale: float) -> float:
    """By how much the chance of grokking within the budget is less than at the usual scale, of what is missing."""
    expected, budget, delay = known.expected(patient.known()), patient.budget, _steps(patient, scale)
    if expected is None or budget is None or delay is None:
        return 0.0
    usual, now = expected.chance(budget), expected.chance(budget - delay)
    # Of a run that has failed: what the budget alone would not explain.
    return (usual - now) / max(1 - now, 1e-9) if patient.is_lost else usual - now


def _steps(patient: Patient, scale: float) -> float | None:
    """Steps in which weight decay shrinks unused weights to the usual scale: ln(scale) / (weight decay x learning rate)."""
    decay, rate = patient.number("optimizer.weight_decay"), patient.number("optimizer.lr")
    return log(scale) / (decay * rate) if decay and rate else None


def _delay(patient: Patient, scale: float) -> str:
    steps = _steps(patient, scale)
    budget = "" if patient.budget is None else f" of a budget of {patient.budget:,}"
    return "" if steps is None else f": in {steps:,.0f} steps{budget}, ln({scale:g}) / (weight decay x learning rate)"
