"""What the laws of time share: the fitted law as a value, its resamples, and when it is not said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64

from interp.studies.censored_fit import LEAST_SCATTER, Fit, without_scatter
from interp.studies.durations import Durations, Estimate, NotBounded, cells, checked_level, fewest
from interp.studies.gathered_cells import Rows, gathered
from interp.studies.profiling import Bent, ProfiledFit, fit_bent
from interp.studies.resampling import (
    checked_resamples,
    distinct_resamples,
    drawn_together,
    percentile_interval,
    resampled_weights,
)

# An exponent is said where its interval is narrower than this, a factor or a length where its ends are within this ratio.
WIDEST_EXPONENT, WIDEST_RATIO = 2.0, 10.0

FORMULAS: dict[str, Callable[[dict[str, float], np.ndarray], np.ndarray]] = {
    "a w^-b": lambda k, w: k["a"] * w ** -k["b"],
    "a (f - f_c)^-b": lambda k, f: np.where(f > k["f_c"], k["a"] * np.where(f > k["f_c"], f - k["f_c"], 1.0) ** -k["b"], np.inf),
    "-omega ln(1 - p_c / p)": lambda k, p: np.where(
        p > k["p_c"], -k["omega"] * np.log1p(-np.where(p > k["p_c"], k["p_c"] / p, 0.0)), np.inf
    ),
}


@dataclass(frozen=True, eq=False)
class Law:
    """A law with its parameters. Prints as one line.

    Args:
        formula: of the median time, one of `FORMULAS`.
        parameters: by name, with intervals.
        scatter: standard deviation of ln T around the law.
        tests: probabilities of a fit as bad if a further claim holds, by the claim (likelihood ratio, chi squared).
        x: where each run is.
        residual: ln T less the law's, one per run; of a censored run it is a lower bound. Minus infinity: the law says never.
        event: whether the run had the event.
        log_likelihood: of ln T at the maximum.
        few: whether a value of x has fewer than 10 runs.
    """

    formula: str
    parameters: dict[str, Estimate]
    scatter: float
    tests: dict[str, float]
    x: Float64[np.ndarray, " run"] = field(repr=False)
    residual: Float64[np.ndarray, " run"] = field(repr=False)
    event: Bool[np.ndarray, " run"] = field(repr=False)
    log_likelihood: float
    few: bool

    def __str__(self) -> str:
        told = [f"{name} = {_told(estimate)}" for name, estimate in self.parameters.items()]
        told += [f"p = {p:.2g} if {claim}" for claim, p in self.tests.items()]
        runs = f"{len(self.event)} runs, {int(self.event.sum())} with the event"
        few = "; fewer than 10 runs at some values" if self.few else ""
        return f"T = {self.formula}: {', '.join(told)}; scatter of ln T {self.scatter:.2g}; {runs}{few}"

    def time(self, x: object) -> Float64[np.ndarray, "*x"]:
        """The law's median time at x; infinite where it says never."""
        values = {name: float(estimate.value or 0.0) for name, estimate in self.parameters.items()}
        return FORMULAS[self.formula](values, np.asarray(x, dtype=np.float64))


def _told(found: Estimate) -> str:
    """A parameter with its interval; an end that the data do not bound is a question mark."""
    value, low, high = ("?" if end is None else f"{end:.4g}" for end in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


@dataclass(frozen=True, eq=False)
class Sample:
    """Runs along one axis, and the rows that stand for them and their resamples: the first fit is that of the runs themselves."""

    what: str
    axis: str
    x: Float64[np.ndarray, " run"]
    runs: Durations
    rows: Rows
    level: float
    few: bool
    groups: list[np.ndarray]

    @classmethod
    def of(cls, x: np.ndarray, runs: Durations, *, what: str, axis: str, seed: int, level: float, resamples: int) -> Sample:
        """Runs resampled within the values of x.

        Raises:
            UsageError: for a time of 0, fewer than 100 resamples, or a level that is not between 0 and 1.
        """
        log_time, groups = runs.log_time(), cells(x, n=runs.n)
        drawn = resampled_weights(groups, n=runs.n, resamples=checked_resamples(resamples), rng=np.random.default_rng(seed))
        weights = np.concatenate([np.ones((1, runs.n)), drawn])
        return cls(what, axis, x, runs, gathered(x, log_time, runs.event, weights), checked_level(level), fewest(groups), groups)

    def too_few_values(self, at_least: int) -> NotBounded | None:
        """The refusal where events were seen at fewer values of x than the law needs."""
        values = len(np.unique(self.x[self.runs.event]))
        if values < at_least:
            these = f"{values} {self.axis}" if values != 1 else f"1 of the {self.axis}"
            return NotBounded(self.what, f"events were seen at {these}, and {at_least} are needed")
        return None

    def smallest_event(self) -> Float64[np.ndarray, " fit"]:
        """The smallest x with an event, in each resample."""
        seen = (self.rows.weights > 0) & self.rows.event
        at_least = np.where(seen.any(axis=1), np.inf, self.rows.x[self.rows.event].min())
        return np.where(seen, self.rows.x, at_least[:, None]).min(axis=1)

    def bent_fit(self, bent: Bent) -> ProfiledFit:
        """The fits with a critical value, given by its depth: ``x_c = x_1 (1 - 10^-depth)``, x_1 the smallest x with an event."""
        none = np.zeros(len(self.rows.weights))
        return fit_bent(self.rows.log_time, self.rows.event, bent, weights=self.rows.weights, ends=(none, none + 3.0))

    def estimates(
        self,
        draws: dict[str, np.ndarray],
        *,
        parameters: int,
        fitted: np.ndarray,
        scatter: float,
        exponents: Sequence[str],
        ratios: Sequence[str],
    ) -> dict[str, Estimate] | NotBounded:
        """Every parameter with its interval, or the first that is not bounded.

        What is resampled is the scatter within the values of x: each costs a degree of freedom.

        Args:
            draws: each parameter of each fit.
            parameters: how many of them one fit has.
            fitted: which fits have a maximum.
            scatter: of ln T around the law.
            exponents: those whose intervals must be narrower than 2.
            ratios: those the ends of whose intervals must be within a factor of 10.
        """
        if not fitted[0] or scatter < LEAST_SCATTER:
            return NotBounded(self.what, without_scatter("runs", "it"))
        found: dict[str, Estimate] = {}
        seen = [int(self.runs.event[rows].sum()) for rows in drawn_together(self.groups)]
        freedom = min(sum(max(events - 1, 0) for events in seen), self.runs.events - parameters)
        distinct = self._distinct_resamples()
        for name, values in draws.items():
            kept = np.where(fitted, values, np.nan)
            each = percentile_interval(
                f"{name} of {self.what}", kept[0], kept[1:], level=self.level, n=self.runs.n, few=self.few,
                freedom=freedom, distinct=distinct,
            )  # fmt: skip
            if isinstance(each, NotBounded):
                return each
            low, high = float(each.low or 0.0), float(each.high or 0.0)
            if name in exponents and high - low > WIDEST_EXPONENT:
                return NotBounded(f"{name} of {self.what}", f"its interval, {low:.2g} to {high:.2g}, is too wide")
            if name in ratios and (low <= 0 or low * WIDEST_RATIO < high):
                return NotBounded(f"{name} of {self.what}", f"its interval, {low:.2g} to {high:.2g}, is too wide")
            found[name] = each
        return found

    def _distinct_resamples(self) -> int:
        """How many different resamples there are, if events at one step count as different.

        They are alike on the grid of measurements only: intervals hold as often with the grid as without. Censored runs that
        were last seen at one step are alike, and so are the runs of a value whose events are all at one step: they have no
        scatter, so that nothing there can be resampled.
        """
        time, event = self.runs.time, self.runs.event
        which = np.where(event, np.arange(self.runs.n), -1)
        for rows in drawn_together(self.groups):
            if event[rows].all() and (time[rows] == time[rows[0]]).all():
                which[rows] = rows[0]
        return distinct_resamples(self.groups, np.where(event, 0.0, time), which)

    def law(self, formula: str, estimates: dict[str, Estimate], *, fit: Fit, tests: dict[str, float]) -> Law:
        """The law that was fitted."""
        values = {name: float(estimate.value or 0.0) for name, estimate in estimates.items()}
        with np.errstate(divide="ignore"):
            residual = self.runs.log_time() - np.log(FORMULAS[formula](values, self.x))
        return Law(
            formula=formula, parameters=estimates, scatter=float(fit.sigma[0]), tests=tests, x=self.x, residual=residual,
            event=self.runs.event, log_likelihood=float(fit.log_likelihood[0]), few=self.few,
        )  # fmt: skip


def from_depth(depth: np.ndarray, smallest: np.ndarray) -> np.ndarray:
    """The critical value at a depth below the smallest value with an event: a thousandth below it at depth 3, 0 at depth 0.

    Depths under .005, a critical value of a hundredth of that smallest one, are 0: nothing at larger values tells them apart.
    """
    return np.where(depth < 0.005, 0.0, smallest * (1 - 10.0**-depth))


def exp_or_inf(logarithm: np.ndarray) -> np.ndarray:
    """exp, infinite where it is too large for a number: such a resample counts as one without a best value."""
    with np.errstate(over="ignore"):
        return np.exp(logarithm)
