"""Slingshots and other spikes of a loss curve: finding and dating them, and saying what they put in doubt; numpy only.

The rules are this toolkit's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from interp.errors import UsageError

# A loss below this no longer means anything; it is the floor of the level that a spike is compared with.
FLOOR = 1e-12


@dataclass(frozen=True)
class Spike:
    """A rise of the loss far above its recent level, and back.

    Args:
        start: first step measured above the bound.
        peak: step of the largest loss.
        end: first step measured below the bound again; None if it had not come back after `window` measurements or by the end.
        height: the largest loss.
        level: the level before, the median of the measurements preceding the spike.
    """

    start: int
    peak: int
    end: int | None
    height: float
    level: float


def loss_spikes(steps: ArrayLike, loss: ArrayLike, *, factor: float = 10.0, window: int = 25) -> tuple[Spike, ...]:
    """Find where a training loss rises above `factor` times its recent level.

    The level is the median of the preceding `window` measurements and does not change during a spike. A rise that has not come
    back after as many measurements is a new level: it is reported once, without an end, and the search starts anew. Values that
    are not finite count as above any bound.

    Args:
        loss: a curve that should fall: the training loss. (A test loss rises while a network memorizes, without any spike.)

    Raises:
        UsageError: if steps do not ascend, lengths differ, or factor or window make no sense.

    >>> loss_spikes([0, 1, 2, 3, 4, 5], [4.0, 1.0, 0.9, 50.0, 2.0, 0.8], window=3)
    (Spike(start=3, peak=3, end=4, height=50.0, level=1.0),)
    """
    at, values = np.asarray(steps), np.asarray(loss, dtype=np.float64)
    if at.shape != values.shape or at.ndim != 1 or (np.diff(at) <= 0).any():
        raise UsageError(f"loss: given {values.shape} values at {at.shape} steps, expected as many of both, steps ascending")
    if not factor > 1 or not window >= 1:
        raise UsageError(f"given factor {factor} and window {window}, expected a factor above 1 and a window of at least 1")
    values = np.where(np.isfinite(values), values, np.inf)
    # The medians of all whole windows at once: a history may have a measurement for every update.
    medians = np.median(sliding_window_view(values, window), axis=1) if len(values) >= window else np.empty(0)
    found, first, i = [], 0, 1
    while i < len(values):
        is_whole = i - window >= first
        level = max(float(medians[i - window] if is_whole else np.median(values[first:i])), FLOOR)
        if values[i] > factor * level and np.isfinite(level):
            high = values[i : i + window] > factor * level
            length = int(np.argmin(high)) if not high.all() else len(high)
            peak = i + int(values[i : i + length].argmax())
            end = int(at[i + length]) if length < len(high) else None
            found.append(Spike(int(at[i]), int(at[peak]), end, float(values[peak]), level))
            first = i + length if end is None else first
            i += length
        i += 1
    return tuple(found)


def first_not_finite(steps: ArrayLike, values: ArrayLike) -> int | None:
    """The first step at which a curve is NaN or infinite; None if it never is.

    >>> first_not_finite([0, 5, 10], [1.0, float("nan"), 2.0])
    5
    """
    bad = np.nonzero(~np.isfinite(np.asarray(values, dtype=np.float64)))[0]
    return int(np.asarray(steps)[bad[0]]) if len(bad) else None


def health_warnings(
    *,
    collapsed_share: float | None = None,
    spikes: Sequence[Spike] = (),
    not_finite: int | None = None,
    epsilon_share: float | None = None,
) -> list[str]:
    """What the numbers put in doubt, one plain sentence each; an empty list if nothing is in doubt.

    Args:
        collapsed_share: share of training pairs whose ordinary float32 loss would be exactly 0, see `collapsed`.
        spikes: of the training loss, see `loss_spikes`.
        not_finite: first step at which a loss was not finite, see `first_not_finite`.
        epsilon_share: share of all weights whose update is dominated by epsilon, see `adam_epsilon_share`.

    >>> health_warnings(collapsed_share=0.0)
    []
    """
    found = []
    if not_finite is not None:
        found.append(f"The loss is not a finite number from step {not_finite} on: nothing measured from there on means anything.")
    if collapsed_share is not None and not collapsed_share <= 0.01:
        found.append(
            f"{100 * collapsed_share:.0f} % of the training pairs have a loss that an ordinary float32 cross-entropy calls "
            "exactly 0: losses from other tools are not comparable, and a run trained with such a loss stops learning from them."
        )
    for spike in spikes:
        back = f"back at step {spike.end}" if spike.end is not None else "and had not come back"
        found.append(
            f"The training loss jumped from {spike.level:.1e} to {spike.height:.1e} at step {spike.peak} "
            f"(from step {spike.start}, {back}): a phase dated there may be the jump's."
        )
    if epsilon_share is not None and not epsilon_share <= 0.5:
        found.append(
            f"Adam's epsilon rules the updates of {100 * epsilon_share:.0f} % of the weights: their gradients are smaller than "
            "it, so that where they come to rest against weight decay depends on epsilon."
        )
    return found
