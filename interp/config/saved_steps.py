"""The steps at which a run is saved, as a rule: whether a step is one of them, and how many there are, without a list of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import merge
from math import ceil, log10

import numpy as np
from jaxtyping import Float64

_AT_ONCE = 2**16  # of the logarithmic steps, when all are gone through


@dataclass(frozen=True)
class SavedSteps(Collection[int]):
    """Logarithmic steps, then even ones, single ones, the first and the last; ascending, each once.

    Args:
        last: the last step of the run.
        log: number of logarithmically spaced points from 1 to 10 times `every` or the last step, rounded.
        every: spacing of the even steps; 0 means none.
        single: other steps, at most `last`.

    >>> steps = SavedSteps(10**15, log=10**9, every=10**6)
    >>> 123_000_000 in steps, 123_000_001 in steps, 3 in steps, len(steps) > 10**9
    (True, False, True, True)
    """

    last: int
    log: int
    every: int
    single: tuple[int, ...] = ()

    def __contains__(self, step: object) -> bool:
        if not isinstance(step, int | np.integer) or not 0 <= step <= self.last:
            return False
        return self._is_apart(int(step)) or self._is_logarithmic(int(step))

    def __len__(self) -> int:
        """How many they are."""
        return self.count

    @property
    def count(self) -> int:
        """The same, also where it is more than `len` can say (exact as long as no point lies half-way between two steps)."""
        logarithmic = self._n_logarithmic()
        tens = range(0, min(self._top, self.last) + 1, self.every) if self.every else ()
        others = {0, self.last, *self.single}
        both = {step for step in {*tens, *others} if self._is_logarithmic(step)}
        even = self.last // self.every + 1 if self.every else 0
        return logarithmic - len(both) + even + sum(not (self.every and step % self.every == 0) for step in others)

    def __iter__(self) -> Iterator[int]:
        even = iter(range(0, self.last + 1, self.every)) if self.every else iter(())
        before = -1
        for step in merge(sorted({0, self.last, *self.single}), even, self._all_logarithmic()):
            if step > before:
                yield step
            before = step

    @property
    def _top(self) -> int:
        """Where the logarithmic steps end."""
        return min(self.last, 10 * self.every or self.last)

    def _is_apart(self, step: int) -> bool:
        return step in {0, self.last, *self.single} or bool(self.every and step % self.every == 0)

    def _points(self, first: int, stop: int) -> Float64[np.ndarray, " point"]:
        """Some of the rounded points, numbered from 0, as `numpy.geomspace` has them."""
        width = log10(self._top) / max(self.log - 1, 1)
        found = np.power(10.0, np.arange(first, stop, dtype=np.int64) * width).round()
        if first == 0 and stop > 0:
            found[0] = 1
        if stop == self.log > 1:
            found[-1] = self._top
        return found

    def _is_logarithmic(self, step: int) -> bool:
        """Whether a point is rounded to a step: if any is, then one of those nearest to it."""
        if not self.log or not 1 <= step <= self._top:
            return False
        if step in (1, self._top) and (self.log > 1 or step == 1):
            return True
        if self.log == 1 or self._top == 1:
            return False
        near = min(round(log10(step) / log10(self._top) * (self.log - 1)), self.log - 1)
        return bool((self._points(max(near - 2, 0), min(near + 3, self.log)) == step).any())

    def _n_logarithmic(self) -> int:
        """Where points lie closer than one step, every step is met; beyond, every point is a step of its own."""
        if not self.log or not self._top:
            return 0
        if self.log == 1 or self._top == 1:
            return 1
        growth = 10.0 ** (log10(self._top) / (self.log - 1)) - 1
        dense = self.log if growth * self._top <= 1 else max(0, ceil(log10(1 / growth) / log10(self._top) * (self.log - 1)))
        met = 0
        # About there both hold: points that are gone through one by one.
        start, end = max(0, dense - _AT_ONCE // 2), min(self.log, dense + _AT_ONCE // 2)
        if start:
            met = int(self._points(start - 1, start)[0])
        around = np.unique(self._points(start, end))
        return met + int((around > met).sum()) + (self.log - end)

    def _all_logarithmic(self) -> Iterator[int]:
        if self._top:
            for first in range(0, self.log, _AT_ONCE):
                yield from map(int, np.unique(self._points(first, min(first + _AT_ONCE, self.log))))
