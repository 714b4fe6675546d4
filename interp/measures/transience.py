"""Frequencies that come and go: from the energies of all frequencies along a run, when each of them stands out; numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from interp.errors import UsageError

# A frequency stands out from twice the share that each would have if all were alike, until it falls below that even share.
RISES, FALLS = 2.0, 1.0


@dataclass(frozen=True)
class Spell:
    """A time during which one part (a frequency) stands out.

    Args:
        name: the frequency.
        rose: the first step at which its share reaches the upper limit; that happened after the step before.
        fell: the first step after that at which it is below the lower limit; None if it still stands out at the end.
        peak: the step of its largest share in between.
        share: that share of the energy.
    """

    name: int | str
    rose: int
    fell: int | None
    peak: int
    share: float

    @property
    def is_transient(self) -> bool:
        """Whether it was over before the end."""
        return self.fell is not None

    def __str__(self) -> str:
        """In words.

        >>> str(Spell(name=14, rose=1200, fell=4300, peak=2000, share=0.08))
        'frequency 14 from step 1,200 to 4,300'
        """
        return f"frequency {self.name} from step {self.rose:,}" + (f" to {self.fell:,}" if self.fell is not None else "")


def energy_shares(norms: ArrayLike) -> Float64[np.ndarray, "*batch k"]:
    """Share of each part in the energy, e_k / sum of e_k with e_k = norms_k^2, along the last axis; NaN where all are 0.

    Raises:
        UsageError: for a negative norm, or an array without a last axis.

    >>> energy_shares([[1.0, 1.0, 0.0], [3.0, 0.0, 4.0]]).tolist()
    [[0.5, 0.5, 0.0], [0.36, 0.0, 0.64]]
    """
    values = np.asarray(norms, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise UsageError(f"norms: given shape {values.shape}, expected the norm of at least one part along the last axis")
    if (values < 0).any():
        raise UsageError(f"norms: given {np.nanmin(values):g}, expected none to be negative")
    energy = np.square(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(energy / energy.sum(axis=-1, keepdims=True))


def spells(
    steps: ArrayLike,
    shares: ArrayLike,
    *,
    names: Sequence[int | str] | None = None,
    rises: float = RISES,
    falls: float = FALLS,
) -> tuple[Spell, ...]:
    """Every time at which a frequency stands out, in the order in which they begin.

    A spell begins when the share reaches `rises` / K and ends when it is below `falls` / K, K being the number of frequencies, so
    1 / K the share that each has if all are alike. Two limits, so that a share that wavers about one of them counts once. What
    stands out at the first step already has risen there. Steps at which a share is not finite are passed over.

    Args:
        steps: of the checkpoints, ascending.
        shares: of the energy, as `energy_shares` returns them: a row for each step.
        names: of the frequencies, 1..K by default.
        rises: upper limit, in even shares.
        falls: lower limit, in even shares; not above `rises`.

    Raises:
        UsageError: if shapes do not fit, steps do not ascend, or limits are not 0 < falls <= rises.

    >>> risen = [[0.25] * 4, [0.10, 0.60, 0.2, 0.1], [0.1, 0.5, 0.3, 0.1], [0.7, 0.1, 0.1, 0.1]]
    >>> [str(each) for each in spells([0, 100, 200, 300], risen)]
    ['frequency 2 from step 100 to 300', 'frequency 1 from step 300']
    """
    at, values = np.asarray(steps), np.asarray(shares, dtype=np.float64)
    if at.ndim != 1 or values.ndim != 2 or len(values) != len(at) or not values.size:
        raise UsageError(
            f"shares: given shape {values.shape} for {at.size} steps, expected (step, frequency), at least one of each"
        )
    if not (np.diff(at) > 0).all():
        raise UsageError("steps: given steps that do not ascend; a step may occur once")
    if not 0 < falls <= rises:
        raise UsageError(f"limits: given rises {rises:g} and falls {falls:g}, expected 0 < falls <= rises")
    called = list(range(1, values.shape[1] + 1)) if names is None else list(names)
    if len(called) != values.shape[1]:
        raise UsageError(f"names: given {len(called)} for {values.shape[1]} frequencies, expected one for each")
    is_known = np.isfinite(values).all(axis=1)
    at, values = at[is_known], values[is_known]
    upper, lower = rises / len(called), falls / len(called)
    found = [each for name, course in zip(called, values.T, strict=True) for each in _of_one(name, at, course, upper, lower)]
    return tuple(sorted(found, key=lambda each: each.rose))


def _of_one(name: int | str, at: np.ndarray, course: np.ndarray, upper: float, lower: float) -> list[Spell]:
    """The spells of one frequency."""
    found, begin = [], 0
    while len(up := np.flatnonzero(course[begin:] >= upper)):
        rose = begin + int(up[0])
        down = np.flatnonzero(course[rose:] < lower)
        end = rose + int(down[0]) if len(down) else len(course)
        top = rose + int(course[rose:end].argmax())
        fell = int(at[end]) if end < len(course) else None
        found.append(Spell(name, int(at[rose]), fell, int(at[top]), float(course[top])))
        begin = end
    return found
