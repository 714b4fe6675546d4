"""Verdicts along a run: their bounds, when each verdict holds, and since when the last one has held; numpy only.

Every condition takes a slack by which its bounds are moved: below 1 they are stricter, above 1 laxer. This gives a verdict its
interval, as it does for phases (see `interp.measures.boundary`). NaN stands for missing evidence, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike

from interp.errors import UsageError
from interp.measures.boundary import Boundary, checked_curve, for_good

Generalization = Literal["untrained", "generalizer", "memorizer", "between"]
Algorithm = Literal["not generalizing", "pizza", "clock", "neither"]

# Evidence at or beyond these bounds counts for a generalizer or a memorizer; calibrated on series of p = 59 that grok, that only
# memorize (no weight decay) and that never grok (too few pairs), and on mixtures of a lookup table with clock and pizza.
AGREEMENT = (0.95, 0.1)
UNSEEN_LOSS = (0.01, 0.5)
CONCENTRATION = (0.5, 0.15)
# A model has learned its task, or its training pairs, if it answers this share of the pairs correctly.
LEARNED = 0.99
# Zhong et al. 2023, section 4: below the first, distance matters as in a pizza; above the second, gradients exclude a clock.
IRRELEVANT, SYMMETRIC = 0.4, 0.98

Verdict = TypeVar("Verdict", bound=str)
Values = Float64[np.ndarray, " step"]
Holds = Bool[np.ndarray, " step"]


@dataclass(frozen=True)
class Since:
    """The verdict on the last checkpoint of a series, and the boundary from which it has held for good."""

    verdict: str
    boundary: Boundary


def algorithm_since(steps: ArrayLike, *, symmetricity: ArrayLike, irrelevance: ArrayLike, accuracy: ArrayLike) -> Since:
    """The last checkpoint's `algorithm_verdict`, and since when every checkpoint has had it.

    Args:
        symmetricity: gradient symmetricity at each step; NaN where it is not known.
        irrelevance: distance irrelevance at each step; NaN where it is not known.
        accuracy: share of all pairs answered correctly.

    Raises:
        UsageError: if lengths differ or steps do not ascend.

    >>> found = algorithm_since([0, 100, 200], symmetricity=[1, 0.4, 0.3], irrelevance=[1, 0.8, 0.8], accuracy=[0, 0.5, 1])
    >>> found.verdict, found.boundary
    ('clock', Boundary(step=200, earliest=100, latest=200))
    """
    readings = {"symmetricity": symmetricity, "irrelevance": irrelevance, "accuracy": accuracy}
    return _since(steps, get_args(Algorithm), readings, algorithm_holds)


def generalization_since(
    steps: ArrayLike, *, agreement: ArrayLike, unseen_loss: ArrayLike, concentration: ArrayLike, learned: ArrayLike
) -> Since:
    """The last checkpoint's `generalization_verdict`, and since when every checkpoint has had it.

    Args:
        agreement: `shift_agreement` at each step.
        unseen_loss: mean `loss_from_unseen` over ln p; NaN where it is not known.
        concentration: Gini coefficient of the Fourier rows of W_L; NaN where it is not known.
        learned: share of the training pairs answered correctly.

    Raises:
        UsageError: as `algorithm_since`.
    """
    readings = {"agreement": agreement, "unseen_loss": unseen_loss, "concentration": concentration, "learned": learned}
    return _since(steps, get_args(Generalization), readings, generalization_holds)


def algorithm_holds(verdict: str, readings: dict[str, Values], slack: float = 1.0) -> Holds:
    """Where a verdict on the algorithm holds; exactly one does at slack 1."""
    symmetricity, irrelevance, accuracy = (readings[name] for name in ("symmetricity", "irrelevance", "accuracy"))

    def pizza(slack: float) -> Holds:
        return irrelevance < IRRELEVANT * slack

    def clock(slack: float) -> Holds:
        return (irrelevance >= IRRELEVANT * (2 - slack)) & (1 - symmetricity >= (1 - SYMMETRIC) * (2 - slack))

    def right(slack: float) -> Holds:
        return accuracy >= 1 - (1 - LEARNED) * slack

    match verdict:
        case "not generalizing":
            return ~right(2 - slack)
        case "pizza":
            return right(slack) & pizza(slack)
        case "clock":
            return right(slack) & clock(slack)
    return right(slack) & ~pizza(2 - slack) & ~clock(2 - slack)


def generalization_holds(verdict: str, readings: dict[str, Values], slack: float = 1.0) -> Holds:
    """Where a verdict on generalization holds; exactly one does at slack 1."""
    agreement, unseen, concentration = (readings[name] for name in ("agreement", "unseen_loss", "concentration"))

    def generalizer(slack: float) -> Holds:
        contradicted = (unseen >= UNSEEN_LOSS[1] * slack) | (concentration <= CONCENTRATION[1] * (2 - slack))
        return (agreement >= 1 - (1 - AGREEMENT[0]) * slack) & ~contradicted

    def memorizer(slack: float) -> Holds:
        contradicted = (unseen <= UNSEEN_LOSS[0] * (2 - slack)) | (concentration >= CONCENTRATION[0] * slack)
        return (agreement <= AGREEMENT[1] * slack) & ~contradicted

    def learned(slack: float) -> Holds:
        return readings["learned"] >= 1 - (1 - LEARNED) * slack

    match verdict:
        case "untrained":
            return ~learned(2 - slack)
        case "generalizer":
            return learned(slack) & generalizer(slack)
        case "memorizer":
            return learned(slack) & memorizer(slack)
    return learned(slack) & ~generalizer(2 - slack) & ~memorizer(2 - slack)


def read_one(verdicts: tuple[Verdict, ...], holds: Callable[..., Holds], **readings: float) -> Verdict:
    """The verdict on one checkpoint from its evidence."""
    values = {name: np.array([value], dtype=np.float64) for name, value in readings.items()}
    return next(verdict for verdict in verdicts if holds(verdict, values)[-1])


def _since(steps: ArrayLike, verdicts: tuple[str, ...], readings: dict[str, ArrayLike], holds: Callable[..., Holds]) -> Since:
    values = {name: np.asarray(curve, dtype=np.float64) for name, curve in readings.items()}
    at = checked_curve((steps, np.zeros(np.shape(steps))), "steps")[0]
    for name, curve in values.items():
        if curve.shape != at.shape:
            raise UsageError(f"{name}: given {curve.shape} values for {at.shape} steps, expected as many of both")
    verdict = read_one(verdicts, holds, **{name: float(curve[-1]) for name, curve in values.items()})
    boundary = for_good(at, lambda slack: holds(verdict, values, slack))
    assert boundary is not None, "the verdict was read from the last step, so that it holds there"
    return Since(verdict, boundary)
