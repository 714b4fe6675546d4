"""Which steps of a loop are saved, and which are evaluated."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interp.config.run_config import CheckpointConfig
from interp.errors import UsageError
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

    saved: Collection[int]
    every: int
    end: int

    def __contains__(self, step: object) -> bool:
        if not isinstance(step, int) or not 0 < step < self.end or step % self.every == 0 or step not in self.saved:
            return False
        return any(before in self.saved for before in range(10 ** (len(str(step)) - 1), step))


@dataclass(frozen=True)
class Dues:
    """What is due at a step.

    Args:
        saved: the steps whose models are saved.
        every: distance of steps that are evaluated besides; None for none.
        budget: the last step; `MOST_STEPS` where that is not known.
        told: the rule of `saved` as JSON values.
        put_off: the saved steps that are measured at the end, from their checkpoints; all others are evaluated as they are saved.
    """

    saved: Collection[int]
    every: int | None
    budget: int
    told: Mapping[str, Any]
    put_off: Container[int] = ()

    def is_evaluated(self, step: int, *, saved: bool) -> bool:
        """Whether a step is evaluated, of which it is known whether it is saved."""
        return (saved and step not in self.put_off) or bool(self.every and step % self.every == 0)


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
    for name, value in (("steps", steps), ("evaluate_every", every)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise UsageError(f"{name}: given {value!r}, expected a number of steps of at least 1, or None")
    budget = MOST_STEPS if steps is None else steps
    if checkpoints is None or isinstance(checkpoints, CheckpointConfig):
        rule = checkpoints or CheckpointConfig()
        if rule.moments:
            raise UsageError("checkpoints.moments: the state of your optimizer is not seen by a recording; save it yourself")
        if steps is None and not rule.every:
            raise UsageError("checkpoints.every: given 0 without steps=, the last step, which logarithmic steps are spaced up to")
        saved, told = rule.steps(budget), {"log": rule.log, "every": rule.every}
        return Dues(saved, every, budget, told, _Between(saved, rule.every, min(budget, _TIMES * rule.every)))
    if not isinstance(checkpoints, Iterable) or isinstance(checkpoints, str | bytes):
        raise UsageError(f"checkpoints: given {checkpoints!r:.60}, expected a CheckpointConfig, or a list of steps")
    single = list(checkpoints)
    if not all(isinstance(step, int) and not isinstance(step, bool) and 0 <= step <= MOST_STEPS for step in single):
        raise UsageError(f"checkpoints: given {single!r:.60}, expected a CheckpointConfig, or steps: integers of at least 0")
    return Dues(frozenset(single), every, budget, {"steps": sorted(set(single))})
