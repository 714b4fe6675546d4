"""Finding where half of the runs grok: runs are placed along one axis where they tell most, until the boundary is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import TYPE_CHECKING

from interp.cores import available_threads
from interp.errors import UsageError
from interp.studies.adaptive import BoundarySearch, Doubt, boundary_search, next_points
from interp.studies.durations import FEW, Estimate
from interp.studies.going import go
from interp.studies.outcomes import rows
from interp.wording import counted

if TYPE_CHECKING:
    from interp.studies.outcomes import Row
    from interp.studies.study import Study
    from interp.studies.study_plan import Point
    from interp.training.executor import Executor

_FREE = ("missing", "unfinished", "failed")  # runs that can be placed
_AT_AN_END = 2  # runs that must be at each end before it is said that a boundary lies beyond the axis
_BY_FACTORS = 10  # an axis whose ends are this many times apart acts by factors


@dataclass(frozen=True)
class Boundary:
    """Where along an axis half of the runs grok within their budget. Prints as one line.

    Attributes:
        field: the axis.
        value: of the field there, with its 95 % interval; not reached where the runs do not say that there is one.
        is_found: whether there is one, and the interval is as narrow as was asked for; otherwise the study had no seed left where
            one was needed.
        runs: how many runs say so.
        failed: runs that could not be trained, with the reason; other seeds stood in for them.
        doubt: why the runs do not say that there is a boundary between the ends of the axis; empty if they do.
        goes_on: whether further runs are placed; False of what is returned.
    """

    field: str
    value: Estimate
    is_found: bool
    runs: int
    failed: Mapping[str, str]
    doubt: str = ""
    goes_on: bool = False

    def __str__(self) -> str:
        on = "; going on" if self.goes_on else ""
        by = counted(self.runs, "run")
        if self.doubt and self.goes_on:
            return f"P(grok) = 0.5 along {self.field}: not known yet, by {by}{on}"
        if not self.runs:
            return f"P(grok) = 0.5 along {self.field}: not known, by {by}: none came to its end{on}"
        if self.doubt:
            return f"P(grok) = 0.5 nowhere along {self.field} as far as is known, by {by}: {self.doubt}"
        low, value, high = (f"{number:.4g}" for number in (self.value.low, self.value.value, self.value.high))
        more = on if self.is_found or on else "; not as narrow as asked for: add seeds, or values between these"
        few = f", fewer than {FEW}" if self.runs < FEW else ""
        return f"P(grok) = 0.5 at {self.field} = {value} (95 %: {low} to {high}), by {by}{few}{more}"


def find_boundary(
    study: Study,
    *,
    width: float,
    falling: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool = True,
    force: bool = False,
    on_round: Callable[[Boundary], None] | None = None,
) -> Boundary:
    """Train those runs of a study that tell most about where along its one axis half of them grok within the budget.

    The axis' values are where runs can be placed, and its seeds how many there can be at each. Runs that are there count; a run
    that is not at its end, or broke off, does not. A run that fails does not end the search: the next seed, or the next value,
    stands in for it, and a later search tries it again. An axis whose ends are more than a factor of 10 apart is taken by
    factors.

    Args:
        study: with one axis of numbers.
        width: of the 95 % interval, in the field's units; a factor's logarithm to base 10 where the axis acts by factors.
        falling: True where runs grok at small values of the field.
        workers: processes at a time, and so runs that are placed at once.
        executor: what trains them in their place.
        progress: show a bar for each round.
        force: train even if the runs take more than there is, by estimate; see `Study.run`.
        on_round: called with what is known after each.

    Raises:
        UsageError: for a study with no axis or several, or values that are no numbers; for a width that is finer than a hundredth
            of the axis.
    """
    field, values = _axis(study)
    scaled = _scale(values)
    study.save()
    fresh = boundary_search(min(map(scaled, values)), max(map(scaled, values)), falling=falling)
    fresh.is_found(width=width)  # refuses one that is too fine, before anything is trained
    failed: dict[str, str] = {}
    while True:
        found = rows(study)
        search = _after(fresh, found, field, scaled)
        doubt = "" if search.doubt is None else _in_words(search.doubt, search, values)
        value = _unscaled(search.boundary(), values)
        if doubt or not search.n:
            value = replace(value, value=None, low=None, high=None)
        known = Boundary(field, value, search.is_found(width=width), search.n, dict(failed), doubt)
        if not search.is_narrow(width=width) or search.doubt == "constant":
            chosen = _choose(study, found, field, search, failed, count=workers or available_threads())
        else:  # further runs there would come out likewise
            chosen = _at_the_ends(study, found, field, failed) if search.doubt in ("none grok", "all grok") else []
        if on_round is not None and (search.n or not chosen):
            on_round(replace(known, goes_on=bool(chosen)))
        if not chosen:
            return known
        at_once = workers if executor is None else None
        failed |= go(study, chosen, workers=at_once, executor=executor, progress=progress, force=force).failed


def _in_words(doubt: Doubt, search: BoundarySearch, values: Sequence[float]) -> str:
    """Why there may be no boundary between the ends of the axis, and what to do."""
    if doubt in ("none grok", "all grok"):
        beyond = (doubt == "none grok") != search.falling
        end, side = (max(values), "above") if beyond else (min(values), "below")
        return f"{'none' if doubt == 'none grok' else 'all'} of them grokked; it lies {side} {end:g}, if anywhere"
    if doubt == "reversed":
        small, large = ("large", "small") if search.falling else ("small", "large")
        said = "not falling=True (leave --falling out)" if search.falling else "falling=True (--falling)"
        return f"they grok at {small} values and not at {large} ones; ask with {said}"
    return "by these, P(grok) could as well be the same everywhere"


def axis_width(study: Study) -> float:
    """From one end of a study's one axis to the other, as `find_boundary` takes it.

    Raises:
        UsageError: as there.
    """
    _, values = _axis(study)
    places = [_scale(values)(value) for value in values]
    return max(places) - min(places)


def _axis(study: Study) -> tuple[str, list[float]]:
    axes = study.plan.axes
    if len(axes) != 1 or len(axes[0].fields) != 1:
        named = ", ".join(axis.name for axis in axes) or "none"
        raise UsageError(f"adaptive: given a study with the axes {named}, expected one axis of one field")
    values = [value[0] for value in axes[0].values]
    if len(values) < 2 or any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise UsageError(f"adaptive: given {axes[0].name} = {values}, expected at least two numbers")
    return axes[0].fields[0], [float(value) for value in values]


def _scale(values: Sequence[float]) -> Callable[[float], float]:
    """A value's place on the axis."""
    by_factors = min(values) > 0 and max(values) / min(values) > _BY_FACTORS
    return log10 if by_factors else float


def _unscaled(found: Estimate, values: Sequence[float]) -> Estimate:
    if _scale(values) is not log10:
        return found
    value, low, high = (None if end is None else 10**end for end in (found.value, found.low, found.high))
    return Estimate(value, low, high, found.level, found.n, found.few)


def _after(search: BoundarySearch, found: Sequence[Row], field: str, scaled: Callable[[float], float]) -> BoundarySearch:
    ended = [row for row in found if row["status"] == "finished"]
    if not ended:
        return search
    return search.after([scaled(float(row[field])) for row in ended], [row["grokked"] is not None for row in ended])


def _at_the_ends(study: Study, found: Sequence[Row], field: str, failed: Mapping[str, str]) -> list[Point]:
    """Runs at both ends of the axis: if some come out otherwise, the boundary is there, or the search went the wrong way."""
    chosen: list[str] = []
    for end in (min(_axis(study)[1]), max(_axis(study)[1])):
        there = [row for row in found if float(row[field]) == end]
        ended = sum(row["status"] in ("finished", "stopped") for row in there)
        free = [row["run"] for row in there if row["status"] in _FREE and row["run"] not in failed]
        chosen += free[: max(0, _AT_AN_END - ended)]
    return [point for point in study.points if point.name in chosen]


def _choose(
    study: Study, found: Sequence[Row], field: str, search: BoundarySearch, failed: Mapping[str, str], *, count: int
) -> list[Point]:
    """The next runs: at the values that tell most, each with the first seed that has not been used there.

    One that failed since the search began is used; a later search tries it again.
    """
    status = {row["run"]: row["status"] for row in found}
    scaled = _scale(_axis(study)[1])
    free: dict[float, list[Point]] = {}
    for point in study.points:
        if status[point.name] in _FREE and point.name not in failed:
            free.setdefault(scaled(float(point.values[field])), []).append(point)
    chosen: list[Point] = []
    believed = search
    while free and len(chosen) < count:
        places = next_points(believed, count - len(chosen), among=sorted(free))
        for place in places:
            if free.get(place):
                chosen.append(free[place].pop(0))
        free = {place: points for place, points in free.items() if points}
    return chosen
