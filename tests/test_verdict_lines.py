"""The verdicts at the head of a page, with their evidence: how near to the limit a reading is, and what published models have."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from interp.measures import algorithm_since, generalization_since
from interp.observing.series import About
from interp.reporting.verdict_lines import verdict_lines

STEPS = [0, 100, 200]


def judged(irrelevance: float, symmetricity: float) -> xr.Dataset:
    curves = {name: np.full(3, value) for name, value in (("irrelevance", irrelevance), ("symmetricity", symmetricity))}
    algorithm = algorithm_since(STEPS, accuracy=[0.0, 1.0, 1.0], **curves)
    general = generalization_since(
        STEPS, agreement=[0, 0.99, 0.99], unseen_loss=[1, 0, 0], concentration=[0, 0.9, 0.9], learned=[0, 1, 1]
    )
    values = {"distance_irrelevance": curves["irrelevance"], "gradient_symmetricity": curves["symmetricity"]}
    values["shift_agreement"] = np.array([0, 0.99, 0.99])
    known = About(verdicts={"algorithm": algorithm, "generalization": general})
    return xr.Dataset({name: ("step", one) for name, one in values.items()}, {"step": STEPS}, {"about": known})


@pytest.mark.parametrize(
    ("irrelevance", "symmetricity", "verdict", "side"),
    [(0.85, 0.33, "A clock", ""), (0.17, 0.99, "A pizza", ""), (0.34, 0.53, "A pizza", ", narrowly below 0.4"),
     (0.45, 0.5, "A clock", ", narrowly above 0.4"), (0.9, 0.995, "Neither clock nor pizza", "")],
)  # fmt: skip
def test_a_verdict_says_how_near_to_the_limit_it_is(irrelevance, symmetricity, verdict, side):
    general, algorithm = verdict_lines(judged(irrelevance, symmetricity))
    assert (general.verdict, general.since) == ("A generalizer", "since step 100")
    assert algorithm.verdict == verdict
    assert f"(distance irrelevance {irrelevance:.2f}{side}; gradient symmetricity" in algorithm.evidence
    assert "a published clock has 0.85 and 0.33, a published pizza 0.17 and 0.99" in algorithm.evidence
