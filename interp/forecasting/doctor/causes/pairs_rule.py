"""The share of the pairs: below a boundary the rest is not learned, or not in any budget that was tried."""

from __future__ import annotations

from interp.forecasting.doctor.diagnosis import Finding
from interp.forecasting.doctor.knowledge import MOST_SHARE, Knowledge
from interp.forecasting.doctor.patient import Patient

FIELD = "split.fraction"
# Above the boundary by this factor there are enough.
ENOUGH = 1.25


def too_few_pairs(patient: Patient, known: Knowledge) -> Finding | None:
    """Fewer pairs than a run of this modulus needs; nothing of operations other than addition, whose boundary is not known."""
    fraction = patient.fraction
    if fraction is None or patient.is_healthy_so_far or not known.speaks_of(patient.known()):
        return None
    needed, chance = known.boundary.fraction(patient.p), known.boundary.chance(patient.p, fraction)
    n = patient.n_pairs
    said = (
        f"{100 * fraction:.3g} % of the pairs, {round(fraction * n):,} of {n:,}; at p = {patient.p} half of the runs grok with "
        f"{100 * needed:.3g} %, {round(needed * n):,} pairs, and at this share about {100 * chance:.0f} %"
    )
    enough = min(MOST_SHARE, round(ENOUGH * needed + 0.005, 2))
    return Finding("too few pairs", 0.96 * (1 - chance), said, f"--split.fraction {enough:g}", {FIELD: enough})
