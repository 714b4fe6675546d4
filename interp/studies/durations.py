"""Times until something happened, some of them only known to be longer, and numbers drawn from them with their intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
from jaxtyping import Bool, Float64

from interp.errors import UsageError

# Numbers from fewer runs are marked: their intervals are wide, and no formula makes them narrow.
FEW = 10


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. None is "not reached": at the value, or at an end that the data do not bound.

    Args:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        level: how often such intervals contain the truth, by design.
        n: the runs it is drawn from.
        few: whether they are fewer than 10: in the smallest cell, where it is drawn from several.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    few: bool

    @property
    def is_reached(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def rescaled(self, unit: float, origin: float = 0.0) -> Estimate:
        """The same in other units, ``origin + unit * value``; unit above 0."""
        value, low, high = (None if end is None else origin + unit * end for end in (self.value, self.low, self.high))
        return replace(self, value=value, low=low, high=high)


@dataclass(frozen=True)
class NotBounded:
    """What is returned in place of a number that the data do not bound, with the reason, as a sentence for a page.

    >>> print(NotBounded("exponent", "all runs have the same weight decay"))
    exponent: not bounded by these data, because all runs have the same weight decay
    """

    what: str
    because: str

    def __str__(self) -> str:
        return f"{self.what}: not bounded by these data, because {self.because}"


@dataclass(frozen=True, eq=False)
class Durations:
    """Runs with the time of an event, or the time at which they were last seen without it (right-censored).

    A run that did not grok within its budget is censored at its budget, one that ended early where it ended. Neither is left out,
    and neither counts as an event.

    Args:
        time: steps, finite and at least 0.
        event: whether the event was seen at that time; False: it had not happened by then.

    Raises:
        UsageError: for unequal lengths, no runs, or times that are not finite and at least 0.

    >>> runs = Durations.of([1200, 900, 4000], [True, True, False])
    >>> runs.n, runs.events
    (3, 2)
    """

    time: Float64[np.ndarray, " run"]
    event: Bool[np.ndarray, " run"]

    def __post_init__(self) -> None:
        if not isinstance(self.time, np.ndarray) or not isinstance(self.event, np.ndarray):
            raise UsageError("durations: given no arrays; Durations.of takes any sequences of numbers and truth values")
        if self.time.ndim != 1 or self.time.shape != self.event.shape or not len(self.time):
            raise UsageError(
                f"durations: given {self.time.shape} times and {self.event.shape} events, expected one of each for "
                "every run, at least one"
            )
        if not (np.isfinite(self.time).all() and self.time.min() >= 0):
            raise UsageError(
                "durations: given a time that is not a finite number of at least 0; a run in which nothing happened has the time "
                "at which it was last looked at, and event False"
            )

    @classmethod
    def of(cls, time: object, event: object) -> Durations:
        """Durations from any sequences of numbers and truth values.

        Raises:
            UsageError: for anything else, and as for the class.
        """
        seen = np.asarray(event)
        if seen.dtype != bool and not np.isin(seen, (0, 1)).all():
            raise UsageError(f"durations: given events {seen!r}, expected True (seen) and False (not seen by then)")
        return cls(_as_numbers("durations", time), seen.astype(bool))

    @property
    def n(self) -> int:
        """Number of runs."""
        return len(self.time)

    @property
    def events(self) -> int:
        """Number of runs in which it was seen."""
        return int(self.event.sum())

    @property
    def few(self) -> bool:
        """Whether there are fewer than 10 runs."""
        return self.n < FEW

    def __getitem__(self, rows: np.ndarray) -> Durations:
        return Durations(self.time[rows], self.event[rows])

    def log_time(self) -> Float64[np.ndarray, " run"]:
        """Natural logarithms of the times.

        Raises:
            UsageError: if a time is 0.
        """
        if self.time.min() <= 0:
            raise UsageError("durations: given a time of 0, expected more: a law of logarithms needs steps after the beginning")
        return np.log(self.time)


def delays(memorized: Durations, grokked: Durations) -> tuple[Durations, np.ndarray]:
    """The time from one event to another, and the rows of the runs that have it: those in which the first was seen.

    A run that memorized and did not grok has a delay longer than what was left of it: it is censored, not left out. One that did
    not memorize has not begun to wait. A second event that was not later than the first is a delay of 0.

    Raises:
        UsageError: for unequal numbers of runs, or if no run has the first event.

    >>> found, rows = delays(Durations.of([100, 120, 500], [1, 1, 0]), Durations.of([400, 500, 500], [1, 0, 0]))
    >>> found.time.tolist(), found.event.tolist(), rows.tolist()
    ([300.0, 380.0], [True, False], [0, 1])
    """
    if memorized.n != grokked.n or not memorized.events:
        raise UsageError(
            f"delays: given {memorized.n} and {grokked.n} runs, {memorized.events} of which memorized, expected the same runs "
            "twice and at least one that memorized"
        )
    rows = np.flatnonzero(memorized.event)
    return Durations(np.maximum(grokked.time - memorized.time, 0.0)[rows], grokked.event[rows]), rows


def cells(*keys: object, n: int) -> list[np.ndarray]:
    """The rows of every distinct combination of keys, in ascending order.

    Raises:
        UsageError: for a key that does not have n values.
    """
    columns = [np.asarray(key) for key in keys]
    for column in columns:
        if column.shape != (n,):
            raise UsageError(f"given {column.shape} values for {n} runs, expected one for each")
    codes = np.stack([np.unique(column, return_inverse=True)[1] for column in columns], axis=1)
    _, inverse = np.unique(codes, axis=0, return_inverse=True)
    return [np.flatnonzero(inverse == cell) for cell in range(inverse.max() + 1)]


def fewest(groups: list[np.ndarray]) -> bool:
    """Whether the smallest of several cells has fewer than 10 runs; where no two runs share one, whether there are fewer."""
    sizes = [len(rows) for rows in groups]
    return (len(sizes) if max(sizes) == 1 else min(sizes)) < FEW


def checked_level(level: float) -> float:
    """How often an interval is to contain the truth.

    Raises:
        UsageError: unless it is a number between 0 and 1.
    """
    if not isinstance(level, Real) or not 0 < level < 1:
        raise UsageError(f"level: given {level!r}, expected a share between 0 and 1, such as 0.95")
    return float(level)


def _as_numbers(what: str, given: object) -> Float64[np.ndarray, "*n"]:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: given {given!r}, expected numbers") from error


def numbers(what: str, given: object, n: int) -> Float64[np.ndarray, " run"]:
    """One finite number for each of n runs.

    Raises:
        UsageError: if they are not.
    """
    values = _as_numbers(what, given)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise UsageError(f"{what}: given {values.shape} values, expected a finite number for each of {n} runs")
    return values


def positive(what: str, given: object, n: int) -> Float64[np.ndarray, " run"]:
    """One number above 0 for each of n runs.

    Raises:
        UsageError: if they are not.
    """
    values = numbers(what, given, n)
    if values.min() <= 0:
        raise UsageError(f"{what}: given {values.min():g}, expected numbers above 0: the law is one of logarithms")
    return values
