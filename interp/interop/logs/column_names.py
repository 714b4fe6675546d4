"""Which column of a log is which: the many names of steps, losses and accuracies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

TRAIN = frozenset({"train", "training", "trn", "tr"})
TEST = frozenset({"test", "testing", "te", "val", "valid", "validation", "eval", "evaluation", "dev", "heldout"})
_LOSS = frozenset({"loss", "losses", "ce", "nll", "xent", "crossentropy"})
_ACCURACY = frozenset({"acc", "accs", "accuracy", "accuracies"})
# Words that change nothing about what is measured.
_NEUTRAL = frozenset(
    {"epoch", "step", "mean", "avg", "average", "full", "set", "metrics", "metric", "history", "curve", "scalars"}
)
_PERCENT = frozenset({"percent", "percentage", "pct"})
# The names of steps, the surest first; a writer's own counter of calls last.
_STEPS = (
    "step", "steps", "global_step", "update", "updates", "num_updates", "iteration", "iterations", "iter", "iters", "epoch",
    "epochs", "_step", "", "unnamed: 0",
)  # fmt: skip
COUNTER = "_step"
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|%")


@dataclass(frozen=True)
class Meaning:
    """What a column holds.

    Attributes:
        column: of a run's history.
        bare: whether its name does not say of which pairs (``loss``).
        percent: whether its name says that it is in per cent.
        rank: which of several columns of one meaning is taken, the least first.
    """

    column: str
    bare: bool
    percent: bool
    rank: tuple[int, int, str]


def meaning(name: str) -> Meaning | None:
    """What a column holds by its name, in any order and spelling of its words; None if it is nothing of a run's history.

    >>> meaning("val/loss").column, meaning("trainAcc").column, meaning("batch_loss"), meaning("learning_rate")
    ('test_loss', 'train_accuracy', None, None)
    """
    words = [word.lower() for word in _WORD.findall(re.sub(r"(?i)cross[_ ]?entropy", "ce", name))]
    if words == ["sum", "squared", "weights"]:
        return Meaning("sum_squared_weights", bare=False, percent=False, rank=(0, 3, name))
    given = set(words)
    kinds = [kind for kind, known in (("loss", _LOSS), ("accuracy", _ACCURACY)) if given & known]
    sides = [side for side, known in (("train", TRAIN), ("test", TEST)) if given & known]
    percent = bool(given & {*_PERCENT, "%"})
    if len(kinds) != 1 or len(sides) > 1 or given - TRAIN - TEST - _LOSS - _ACCURACY - _NEUTRAL - _PERCENT - {"%"}:
        return None
    # Of a validation and a test set the test set is taken, of a value per step and one per epoch the latter.
    order = 2 * bool(given & TEST and not given & {"test", "testing"}) + ("step" in given)
    return Meaning(f"{sides[0] if sides else 'train'}_{kinds[0]}", not sides, percent, (order, len(words), name))


def step_rank(name: str) -> int | None:
    """How sure it is that a column holds steps, 0 the surest; None if its name does not say so.

    >>> step_rank("trainer/global_step"), step_rank("Epoch"), step_rank("loss")
    (2, 10, None)
    """
    last = name.strip().rpartition("/")[2].lower()
    return _STEPS.index(last) if last in _STEPS else None


def steps_known() -> Iterable[str]:
    """The names of steps that errors name."""
    return ("step", "global_step", "update", "iteration", "epoch")
