"""A forecast: when a run will generalize, with an interval, a chance and a reason; or why nothing can be said; numpy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from heapq import merge
from typing import TYPE_CHECKING, Any, Literal

from interp.config.saved_steps import SavedSteps
from interp.errors import UsageError
from interp.forecasting.fitted import Remaining, frozen
from interp.forecasting.label_free import LOGITS, WEIGHTS, LabelFree, label_free
from interp.forecasting.landmark import FEWEST, Landmark, features, landmark, window_of
from interp.forecasting.range_of import outside
from interp.measures.since import AGREEMENT
from interp.observing.series import about
from interp.wording import counted

if TYPE_CHECKING:
    import xarray as xr

LEVEL = 0.8
# Before this multiple of the step of memorizing nothing is said: the spectra have not yet turned to their course.
EARLIEST = 1.5
_NOTHING = 1e-12  # of a rate: rounding in a slope of 0
# With strong weight decay logits on unseen pairs stay less alike than `AGREEMENT` asks: then ln N has to be at its end, nearly,
# and to change by little in as many steps as have passed since memorizing.
NEARLY, AT_END, STILL = 0.8, 0.25, 0.2
Verdict = Literal["groks", "generalizes already", "no progress", "not memorized", "too young", "cannot be said"]
Target = Literal["for_good", "first"]


@dataclass(frozen=True)
class Forecast:
    """What can be said at one step about when a run will answer 99 % of its test pairs, without looking at one of them.

    Args:
        run: its name.
        step: the checkpoint at which it is said.
        verdict: ``groks`` (with `at`, `low`, `high`, `chance`); ``generalizes already``: unseen pairs are treated like seen
            ones; ``no progress``: the spectra do not move towards a circuit; ``not memorized``, ``too young`` (`speaks_from`
            tells from when on); ``cannot be said``.
        at: median of the step from which test accuracy is at least 99 %, for good (or first, as asked).
        low: lower end of its central interval.
        high: upper end.
        level: probability of the interval.
        budget: last step of the run's training; None if not known.
        chance: that it happens within the budget.
        method: ``model`` inside the range of the corpus it was fitted on, ``law`` elsewhere.
        outside: where the run lies outside that range.
        because: the evidence in words.
        speaks_from: the first checkpoint at which something will be said; None if it is not known.
        evidence: the trends it is drawn from, where there are any.
    """

    run: str
    step: int
    verdict: Verdict
    at: int | None = None
    low: int | None = None
    high: int | None = None
    level: float = LEVEL
    budget: int | None = None
    chance: float | None = None
    method: Literal["model", "law"] | None = None
    outside: tuple[str, ...] = ()
    because: str = ""
    speaks_from: int | None = None
    evidence: Landmark | None = None

    def __repr__(self) -> str:
        return f"Forecast({self.run!r} at step {self.step:,}: {self})"

    def __str__(self) -> str:
        """The forecast as a sentence."""
        because = f", because {self.because}" if self.because else ""
        if self.verdict == "groks":
            within = ""
            if self.chance is not None and self.budget is not None:
                within = f"; within the budget of {self.budget:,}: {_percent(self.chance)}"
            interval = f"{100 * self.level:.0f} %: {self.low:,} to {self.high:,}"
            return f"groks at {self.at:,} ({interval}){within}{because}"
        if self.speaks_from is not None:
            return f"{self.verdict}{because}; a forecast from step {self.speaks_from:,} on"
        return f"{self.verdict}{because}"


def forecasts(series: xr.Dataset, *, target: Target = "for_good") -> tuple[Forecast, ...]:
    """What would have been said at each checkpoint of a series, each from what was known then.

    Raises:
        UsageError: for a series without the spectra of W_E and W_L.
    """
    known = label_free(series)
    if known is None:
        raise UsageError(f"series: given one without the spectra of W_E and W_L, expected the analysis forecast or {WEIGHTS}")
    return tuple(foretell(known, int(step), run=about(series).run, target=target) for step in known.steps)


def foretell(known: LabelFree, step: int, *, run: str = "run", target: Target = "for_good") -> Forecast:
    """The forecast from curves that need no test label, at a step; what came later is not looked at."""
    so_far, budget = known.until(step), _budget(known.config)
    if not len(so_far.steps):
        raise UsageError(f"at: given step {step}, expected one at or after the first checkpoint whose weights are finite")
    step = int(so_far.steps[-1])
    if so_far.memorized is None:
        verdict: Verdict = "not memorized" if so_far.evaluated is not None else "cannot be said"
        lacks = "its training accuracy " + ("is not known" if so_far.evaluated is None else "has not reached 99 %")
        return Forecast(run, step, verdict, budget=budget, because=lacks)
    if (why := _why_already(so_far, step)) is not None:
        return Forecast(run, step, "generalizes already", budget=budget, because=why)
    now = landmark(so_far, step) if step >= EARLIEST * so_far.memorized else None
    if now is None:
        had = "had memorized by" if 0 < so_far.memorized <= so_far.steps[0] else "memorized at"
        needed = (
            f"it {had} step {so_far.memorized:,}, and {counted(FEWEST, 'checkpoint')} of the second half of the time "
            "since are needed"
        )
        return Forecast(
            run, step, "too young", budget=budget, because=needed, speaks_from=_speaks_from(known, so_far.memorized, step)
        )
    return _dated(now, known.config, Forecast(run, step, "groks", budget=budget), target)


def _why_already(so_far: LabelFree, step: int) -> str | None:
    """Evidence that unseen pairs are treated like seen ones now: by the bound of the verdict, or nearly and nothing moves."""
    if not len(so_far.agreement) or so_far.agreed_at[-1] != step:
        return None
    agreement = float(so_far.agreement[-1])
    said = f"its logits on unseen pairs are those of seen ones, shifted, to {agreement:.2f}"
    if agreement >= AGREEMENT[0]:
        return said
    now = landmark(so_far, step)
    if now is None or agreement < NEARLY or now.W_L.level - now.W_L.end > AT_END or abs(now.W_L.slope) * now.since > STILL:
        return None
    return f"{said}, and its effective number of frequencies of W_L has come to rest at {now.W_L.number:.1f}"


def _dated(now: Landmark, config: Mapping[str, Any], so_far: Forecast, target: Target) -> Forecast:
    fitted, why_not = frozen(), outside(config)
    numbers = features(now, config)
    remaining = None if why_not else fitted.model[target].remaining(numbers, now.since)
    method: Literal["model", "law"] = "law" if remaining is None else "model"
    if remaining is None:
        if not why_not:
            why_not = (f"{LOGITS} is not measured",)
        remaining = fitted.law[target].remaining(numbers, now.since)
        assert remaining is not None, "the law uses the spectra only, which are known"
    said = replace(so_far, method=method, outside=why_not, because=_because(now), evidence=now)
    if now.is_stalled:
        return replace(said, verdict="no progress", chance=_chance(remaining, so_far))
    low, high = (1 - so_far.level) / 2, (1 + so_far.level) / 2
    return replace(
        said,
        at=now.step + round(remaining.median),
        low=now.step + round(remaining.quantile(low)),
        high=now.step + round(remaining.quantile(high)),
        chance=_chance(remaining, so_far),
    )


def _chance(remaining: Remaining, so_far: Forecast) -> float | None:
    return None if so_far.budget is None else remaining.chance(so_far.budget - so_far.step)


def _because(now: Landmark) -> str:
    rate = now.W_L.fall_per_100
    course = f"falls {100 * rate:.2g} % per 100 steps" if rate > _NOTHING else "does not fall"
    return f"the effective number of frequencies of W_L, {now.W_L.number:.1f} now, {course}"


def _speaks_from(known: LabelFree, memorized: int, now: int) -> int | None:
    """The first checkpoint after now, saved or planned, whose window has enough of them."""
    after: list[int] = []
    for step in merge(known.steps.tolist(), _planned(known.config)):
        if step < memorized or step in after[-1:]:
            continue
        after.append(step)
        begin = window_of(memorized, step)
        if step > now and step >= EARLIEST * memorized and sum(begin <= one for one in after) >= FEWEST:
            return step
    return None


def _planned(config: Mapping[str, Any]) -> Iterable[int]:
    schedule, steps = config.get("checkpoints"), _budget(config)
    log, every = (schedule.get(name) if isinstance(schedule, Mapping) else None for name in ("log", "every"))
    if not (isinstance(steps, int) and isinstance(log, int) and isinstance(every, int)):
        return ()
    return SavedSteps(steps, log, every)


def _budget(config: Mapping[str, Any]) -> int | None:
    steps = config.get("steps")
    return steps if isinstance(steps, int) else None


def _percent(chance: float) -> str:
    return "under 1 %" if chance < 0.01 else "over 99 %" if chance > 0.99 else f"{100 * chance:.0f} %"
