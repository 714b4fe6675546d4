"""What losses alone date, where accuracies were measured at one step or never: memorizing by the train loss, and cleanup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from interp.measures.boundary import Boundary, for_good
from interp.measures.dating import FALLEN
from interp.reporting.run_curves import Curves


@dataclass(frozen=True)
class ByLosses:
    """Boundaries by the name of their phase, and what is missing for the others."""

    found: Mapping[str, Boundary]
    missing: tuple[str, ...]


# How each of them is meant, where accuracies are not there to say it.
BY_LOSSES = {
    "memorized": "train loss under a tenth of its first value for good",
    "cleanup": "test loss under half its largest value for good",
}


def dated_by_losses(curves: Curves) -> ByLosses | None:
    """What the losses date where nothing else does; None where accuracies do, or losses are known at one step only.

    The train loss counts as memorized once it is under a tenth of its first value for good. The largest test loss after that is
    the plateau, if it is larger than the first; cleanup is from where on the test loss is at most half of it, for good.
    """
    if not curves.undated:
        return None
    found: dict[str, Boundary] = {}
    train, test = (curves.curve(f"history_{part}_loss") for part in ("train", "test"))
    if train is not None and len(train[0]) > 1:
        at, loss = train
        memorized = for_good(at, lambda slack: loss <= FALLEN * slack * loss[0], not_before=1)
        if memorized is not None:
            found["memorized"] = memorized
            if test is not None and len(test[0]) > 1 and (cleanup := _cleanup(*test, since=memorized.step)) is not None:
                found["cleanup"] = cleanup
    missing = [part for part in ("train", "test") if _lacks(curves, part)]
    return ByLosses(found, tuple(f"{part} accuracy" for part in missing)) if found else None


def _cleanup(at: np.ndarray, loss: np.ndarray, *, since: int) -> Boundary | None:
    """From the largest test loss on, if that lies after memorizing and over the first value."""
    inside = np.where(at >= since, loss, -np.inf)
    top = int(inside.argmax())
    if not inside[top] > loss[0]:
        return None
    return for_good(at, lambda slack: loss <= 0.5 * slack * loss[top], not_before=int(at[top]))


def _lacks(curves: Curves, part: str) -> bool:
    measured = curves.curve(f"history_{part}_accuracy")
    return measured is None or len(measured[0]) < 2
