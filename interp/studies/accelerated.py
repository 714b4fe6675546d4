"""Accelerated-failure regression: by which factor each axis of a study lengthens the time, with runs that never grokked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64
from scipy.optimize import brentq, linprog
from scipy.special import chdtri, gammaincc

from interp.errors import UsageError, unknown
from interp.studies.censored_fit import FAMILIES, LEAST_SCATTER, MEDIANS, Fit, fit_censored, without_scatter
from interp.studies.durations import Durations, Estimate, NotBounded, cells, checked_level, fewest, numbers

_MOVES = 1e-7  # what is less is the rounding of a linear program


@dataclass(frozen=True, eq=False)
class Regression:
    """``ln T = intercept + sum_j beta_j x_j + sigma eps``: a step of 1 in x_j multiplies the time by ``exp(beta_j)``.

    Args:
        family: ``log-normal`` or ``weibull``.
        coefficients: beta by name, ``intercept`` first. A value of None: the data push it without bound (see `separated`), and
            only one end of its interval exists; or none, where they say nothing of it.
        p: by name, the probability of so large a lead in likelihood if the coefficient is 0 (chi squared, one degree of freedom).
        separated: names of the coefficients that run away because some runs never had the event wherever they differ from the
            rest, and of those of differences between such runs alone.
        scatter: sigma.
        log_likelihood: of ln T at the maximum, or its limit.
        few: whether a combination of values has fewer than 10 runs.
    """

    family: str
    coefficients: dict[str, Estimate]
    p: dict[str, float]
    separated: tuple[str, ...]
    scatter: float
    log_likelihood: float
    few: bool
    _fit: tuple[np.ndarray, np.ndarray, np.ndarray] = field(repr=False, compare=False)  # coefficients, design, events

    def median(self, **axes: float) -> float:
        """The median time at given values of every axis: infinite where it runs away, as in a group that never had the event, and
        NaN where the runs say nothing of it, such as of values between which only runs without the event tell.

        Raises:
            UsageError: for an axis that was not fitted, or one that is missing.
        """
        names = [name for name in self.coefficients if name != "intercept"]
        if set(axes) != set(names):
            raise UsageError(f"median: given {sorted(axes)}, expected a value for each of {names}")
        beta, design, event = self._fit
        at = np.array([1.0, *(float(axes[name]) for name in names)])
        falls, rises = _unbounded(design, event, at)
        if falls or rises:
            return float("nan" if falls and rises else "inf" if rises else 0.0)
        return float(np.exp(at @ beta + self.scatter * MEDIANS[self.family]))


def accelerated_failure(
    axes: Mapping[str, object], runs: Durations, *, family: str = "log-normal", level: float = 0.95
) -> Regression | NotBounded:
    """Maximum likelihood of ``ln T = intercept + sum beta_j x_j + sigma eps`` with right-censoring.

    Intervals and probabilities are those of the likelihood ratio, approximate with few runs (docs/studies-statistics.md): beta_j
    is inside while the best likelihood with beta_j held there is within half a quantile of chi squared of the best. They exist
    where the usual ones by a standard error fail: where a group never has the event its coefficient runs away (perfect
    separation), which is found exactly, by a linear program, and said. Take logarithms of axes yourself where a power law is
    meant.

    Args:
        axes: by name, one finite number for each run; indicators for groups.
        runs: the times.
        family: ``log-normal``, or ``weibull`` (then the hazards are proportional too).
        level: of the intervals.

    Returns:
        The regression, or `NotBounded`: without events, or without scatter around the line.

    Raises:
        UsageError: for an unknown family, axes that are constant or follow from each other, or a level that is not between 0
            and 1.

    Sources: Kalbfleisch and Prentice 2002, chapter 3; profile likelihood: Venzon and Moolgavkar 1988, Appl. Statist. 37, 87.

    >>> decay = np.repeat([1.0, 2.0, 4.0], 4)
    >>> times = 1000 / decay * np.tile([0.9, 1.0, 1.05, 1.1], 3)
    >>> found = accelerated_failure({"log decay": np.log(decay)}, Durations.of(times, times < 1e9))
    >>> round(found.coefficients["log decay"].value, 6)
    -1.0
    """
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    level = checked_level(level)
    design, names = _design(axes, runs.n)
    if runs.events == 0:
        return NotBounded("the regression", "in no run the event was seen")
    problem = _Regression(runs.log_time(), runs.event, design, family, level)
    direction = separation(design, runs.event)
    free = [_unbounded(design, runs.event, one) for one in np.eye(len(names))]
    best = problem.fit(kept=~(design @ direction > _MOVES))
    if not best.converged[0] or best.sigma[0] < LEAST_SCATTER:
        return NotBounded("the regression", without_scatter("events", "a line"))
    few = fewest(cells(*(np.asarray(axis) for axis in axes.values()), n=runs.n)) if axes else runs.few
    found, p = {}, {}
    for j, name in enumerate(names):
        value = None if any(free[j]) else float(best.beta[0, j])
        low, high = (None, None) if all(free[j]) else problem.interval(j, best, upward=float(free[j][1]) - float(free[j][0]))
        found[name] = Estimate(value, low, high, level, runs.n, few)
        p[name] = problem.without(j, best)
    separated = tuple(name for j, name in enumerate(names) if any(free[j]))
    fit = np.asarray(best.beta[0], dtype=np.float64), design, np.asarray(runs.event)
    return Regression(family, found, p, separated, float(best.sigma[0]), float(best.log_likelihood[0]), few, fit)


def separation(design: Float64[np.ndarray, "run coefficient"], event: np.ndarray) -> Float64[np.ndarray, " coefficient"]:
    """A direction in which the likelihood never stops growing, or zeros if there is none.

    Along such a direction no event's expected time moves, no censored run's falls, and some rise: ``X d = 0`` for events, ``X d
    >= 0`` for censored runs and not all 0. The one that moves the most censored runs is found by a linear program.
    """
    runs, k = len(event), design.shape[1]
    basis, mix = _orthogonal(design)
    censored, events = basis[~event], basis[event]
    if not len(censored):
        return np.zeros(k)
    # Maximize the sum of s, 0 <= s <= 1, s <= X_c d, X_e d = 0.
    n = len(censored)
    found = linprog(
        np.concatenate([np.zeros(k), -np.ones(n)]),
        A_ub=np.hstack([-censored, np.eye(n)]), b_ub=np.zeros(n),
        A_eq=np.hstack([events, np.zeros((runs - n, n))]), b_eq=np.zeros(runs - n),
        bounds=[(None, None)] * k + [(0, 1)] * n,
    )  # fmt: skip
    return np.linalg.lstsq(mix, found.x[:k])[0] if found.status == 0 and -found.fun > _MOVES else np.zeros(k)


def _unbounded(
    design: Float64[np.ndarray, "run coefficient"], event: np.ndarray, at: Float64[np.ndarray, " coefficient"]
) -> tuple[bool, bool]:
    """Whether a sum of coefficients can fall, and whether it can rise, without end and without any loss of likelihood.

    It can along a direction that leaves the expected times of the events and lets those of no censored run fall. A sum that can
    do both is one of which the runs say nothing, such as a difference between runs that never had the event.
    """
    basis, mix = _orthogonal(design)
    along = np.linalg.solve(mix.T, at)
    along /= np.abs(along).max(initial=0.0) or 1.0
    censored = None if event.all() else -basis[~event]
    bounds = {
        "A_ub": censored, "b_ub": None if censored is None else np.zeros(len(censored)),
        "A_eq": basis[event], "b_eq": np.zeros(int(event.sum())), "bounds": [(-1, 1)] * design.shape[1],
    }  # fmt: skip

    def reaches(sign: float) -> bool:
        found = linprog(-sign * along, **bounds)
        return bool(found.status == 0 and -found.fun > _MOVES)

    return reaches(-1.0), reaches(1.0)


def _orthogonal(design: Float64[np.ndarray, "run coefficient"]) -> tuple[np.ndarray, np.ndarray]:
    """Uncorrelated columns of size 1 with the same span, and the matrix that makes the design of them: fits and linear programs
    have absolute tolerances, which must not depend on the units of an axis or on where its 0 is.
    """
    basis, mix = np.linalg.qr(design)
    size = np.sqrt(len(design))
    return basis * size, mix / size


def _design(axes: Mapping[str, object], n: int) -> tuple[np.ndarray, list[str]]:
    columns = {"intercept": np.ones(n), **{name: numbers(name, axis, n) for name, axis in axes.items()}}
    design = np.stack(list(columns.values()), axis=1)
    scale = np.abs(design).max(axis=0)
    if np.linalg.matrix_rank(design / np.where(scale > 0, scale, 1)) < len(columns):
        raise UsageError(f"regression: given axes {list(axes)} of which one is constant or follows from the others; leave it out")
    return design, list(columns)


@dataclass(frozen=True, eq=False)
class _Regression:
    log_time: np.ndarray
    event: np.ndarray
    design: np.ndarray
    family: str
    level: float

    def fit(self, *, kept: np.ndarray | None = None, column: int | None = None, value: float = 0.0) -> Fit:
        """The best fit to some runs; with one coefficient held if a column is named, and then without coefficients."""
        weights = None if kept is None else kept[None].astype(np.float64)
        if column is None:
            basis, mix = _orthogonal(self.design)
            found = fit_censored(self.log_time, self.event, basis, weights=weights, family=self.family)
            return replace(found, beta=np.linalg.solve(mix, found.beta.T).T)
        basis, _ = _orthogonal(np.delete(self.design, column, axis=1))
        # What the others take up of the column costs no likelihood, and may be large.
        own = self.design[:, column] - basis @ (basis.T @ self.design[:, column]) / len(basis)
        return fit_censored(self.log_time - value * own, self.event, basis, weights=weights, family=self.family)

    def interval(self, column: int, best: Fit, *, upward: float) -> tuple[float | None, float | None]:
        """Where the profile likelihood of a coefficient has fallen by half a quantile of chi squared, on either side."""
        drop = float(chdtri(1, 1 - self.level)) / 2

        def excess(value: float) -> float:
            return float(best.log_likelihood[0] - self.fit(column=column, value=value).log_likelihood[0]) - drop

        spread = float(np.std(self.design[:, column])) or 1.0
        unit, centre = float(best.sigma[0]) / spread, float(best.beta[0, column])
        if upward:  # the likelihood grows that way for ever: far along it is as good as at infinity
            centre += upward * (float(np.ptp(self.log_time)) / spread + 40 * unit)
        low, high = (None if upward == side else _end(excess, centre, side * unit) for side in (-1.0, 1.0))
        return low, high

    def without(self, column: int, best: Fit) -> float:
        """The probability of the lead over a coefficient of 0."""
        lead = 2 * max(float(best.log_likelihood[0] - self.fit(column=column).log_likelihood[0]), 0.0)
        return float(gammaincc(0.5, lead / 2))


def _end(excess: Callable[[float], float], centre: float, step: float) -> float | None:
    """The root of a function that is negative at a centre, on one side of it; None where there is none."""
    if not excess(centre) < 0:  # a maximum so flat that it was not reached
        return None
    inside, unit = centre, abs(step)
    for _ in range(30):
        outside = inside + step
        if excess(outside) > 0:
            return float(brentq(excess, inside, outside, xtol=1e-8 * unit))
        inside, step = outside, 2 * step
    return None
