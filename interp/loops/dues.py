"""Which steps of a loop are saved, and which are evaluated."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interp.config.run_config import CheckpointConfig
from interp.config.saved_steps import SavedSteps
from interp.errors import UsageError
from interp.loops.told_numbers import whole
from interp.store.manifest import MOST_STEPS

_TIMES = 10  # `every`: where a CheckpointConfig's logarithmic steps end


@dataclass(frozen=True)
class _Between:
    """The early steps of a rule that lie between its even ones, but the first at or after each power of 10.

    Evaluating all of them would take 5 % of the first 1,000 steps' time where the whole training set is a batch.

    Args:
        saved: the steps of the rule.
        every: distance of its even ones; 0 for none, and then it has no others.
        end: where the early ones end.
    """

    saved: Container[int]
    every: int
    end: int

    def __contains__(self, step: object) -> bool:
        if not isinstance(step, int) or not 0 < step < self.end or step % self.every == 0 or step not in self.saved:
            return False
        return any(before in self.saved for before in range(10 ** (len(str(step)) - 1), step))


@dataclass(frozen=True)
class _Beyond:
    """The steps of a rule, and its even ones also after its last step: a loop may go on longer than it was to.

    Args:
        until: the steps of the rule.
        every: distance of its even ones; 0 for none.
    """

    until: SavedSteps
    every: int

    def __contains__(self, step: object) -> bool:
        if step in self.until:
            return True
        return isinstance(step, int) and step > self.until.last and self.every > 0 and step % self.every == 0


@dataclass(frozen=True)
class Dues:
    """What is due at a step.

    Args:
        saved: the steps whose models are saved.
        every: distance of steps that are evaluated besides; None for none.
        budget: the last step, as far as that is known; `MOST_STEPS` where it is not.
        told: the rule of `saved` as JSON values.
        put_off: the saved steps that are measured at the end, from their checkpoints; all others are evaluated as they are saved.
    """

    saved: Container[int]
    every: int | None
    budget: int
    told: Mapping[str, Any]
    put_off: Container[int] = ()

    def is_evaluated(self, step: int, *, saved: bool) -> bool:
        """Whether a step is evaluated, of which it is known whether it is saved."""
        return (saved and step not in self.put_off) or bool(self.every and step % self.every == 0)


def early_end(told: Mapping[str, Any], budget: int) -> int:
    """The step up to which a rule spaces its logarithmic steps; 0 where there are none, and of a list of steps.

    >>> early_end({"log": 30, "every": 100}, 500), early_end({"log": 30, "every": 100}, 5000), early_end({"steps": [0, 10]}, 500)
    (500, 1000, 0)
    """
    every = told.get("every", 0)
    return min(budget, _TIMES * every or budget) if told.get("log") else 0


def _count(name: str, value: Any) -> int | None:
    """A number of steps, if one is given."""
    if value is None:
        return None
    number = whole(value)
    if number is None or number < 1:
        raise UsageError(f"{name}: given {value!r:.60}, expected a number of steps of at least 1, or None")
    return number


def dues(checkpoints: CheckpointConfig | Iterable[int] | None, *, every: int | None, steps: int | None) -> Dues:
    """What is due, by a rule, the early steps of which are evaluated at the end, or by a list of steps.

    Raises:
        UsageError: for numbers that are no steps, or a rule that needs a budget where there is none.

    >>> 400 in dues(None, every=None, steps=None).saved, 450 in dues([450], every=None, steps=None).saved
    (True, True)
    >>> usual = dues(None, every=None, steps=None)
    >>> [step for step in range(301) if usual.is_evaluated(step, saved=step in usual.saved)]
    [0, 1, 11, 100, 200, 300]
    """
    steps, every = _count("steps", steps), _count("evaluate_every", every)
    budget = MOST_STEPS if steps is None else steps
    if checkpoints is None or isinstance(checkpoints, CheckpointConfig):
        rule = checkpoints or CheckpointConfig()
        if rule.moments:
            raise UsageError("checkpoints.moments: the state of your optimizer is not seen by a recording; save it yourself")
        if steps is None and not rule.every:
            raise UsageError("checkpoints.every: given 0 without steps=, the last step, which logarithmic steps are spaced up to")
        saved, told = _Beyond(rule.steps(budget), rule.every), {"log": rule.log, "every": rule.every}
        return Dues(saved, every, budget, told, _Between(saved, rule.every, min(budget, _TIMES * rule.every)))
    if not isinstance(checkpoints, Iterable) or isinstance(checkpoints, str | bytes):
        raise UsageError(f"checkpoints: given {checkpoints!r:.60}, expected a CheckpointConfig, or a list of steps")
    given = list(checkpoints)
    single = [number for number in map(whole, given) if number is not None and 0 <= number <= MOST_STEPS]
    if len(single) < len(given):
        raise UsageError(f"checkpoints: given {given!r:.60}, expected a CheckpointConfig, or steps: integers of at least 0")
    return Dues(frozenset(single), every, budget, {"steps": sorted(set(single))})
