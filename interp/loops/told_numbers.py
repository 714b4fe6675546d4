"""The numbers that a loop tells: a step's, and its loss."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np
from torch import Tensor

from interp.errors import UsageError
from interp.store.manifest import MOST_STEPS


def step_number(step: Any) -> int:
    """The number of a step.

    Raises:
        UsageError: for what is none, or is above what a run can have.

    >>> step_number(3.5)
    Traceback (most recent call last):
    interp.errors.UsageError: step: given 3.5, expected an integer from 0 to 1,000,000,000,000
    """
    number = whole(step)
    if number is None or not 0 <= number <= MOST_STEPS:
        raise UsageError(f"step: given {step!r:.60}, expected an integer from 0 to {MOST_STEPS:,}")
    return number


def whole(value: Any) -> int | None:
    """An integer of any library's as Python's; None for what is none, such as a truth value.

    >>> whole(np.int64(3)), whole(True), whole(3.0)
    (3, None, None)
    """
    try:
        return None if isinstance(value, bool | np.bool_) else index(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def loss_number(loss: Any) -> float:
    """A loss as a number.

    Raises:
        UsageError: for what is none.

    >>> loss_number(np.float32(0.5))
    0.5
    """
    if isinstance(loss, Tensor | np.ndarray) and math.prod(loss.shape) != 1:
        raise UsageError(
            f"train_loss: given {type(loss).__name__} of shape {tuple(loss.shape)}, expected one number; take its mean"
        )
    loss = loss.detach() if isinstance(loss, Tensor) else loss
    try:
        return float("none" if isinstance(loss, str) else loss)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"train_loss: given {loss!r:.60}, expected one number, or None") from error
