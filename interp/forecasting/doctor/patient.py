"""What is known of a run, or of a configuration before it is trained: plain values, from which every rule draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.forecasting.range_of import leaves
from interp.tasks.modular import ModularTask
from interp.tasks.splits import Split
from interp.tasks.task import TableTask, answered

if TYPE_CHECKING:
    from interp.config.run_config import RunConfig
    from interp.forecasting.foresee import Forecast

RIGHT = 0.99


@dataclass(frozen=True)
class Course:
    """How a run has gone so far.

    Args:
        step: the last one with a loss.
        is_over: nothing will be added: its budget is spent, or it was stopped.
        not_finite: it was stopped since its loss was not finite.
        memorized: first measured step with a training accuracy of 99 %; None if there is none.
        grokked: first measured step with a test accuracy of 99 %; None if there is none.
        train_accuracy: the last one; None if it is not known.
        test_accuracy: the last one; None if it is not known.
        begun_at: the first step at which test accuracy is known; None if it is not.
        collapsed: share of the training pairs whose float32 loss would be exactly 0; None if it is not known.
        is_continued: it was begun from the state of another training.
        is_imported: somebody else's code trained it, whose loss may have been float32's.
        forecast: what is foretold at its last checkpoint; None if nothing was asked.
    """

    step: int
    is_over: bool = False
    not_finite: bool = False
    memorized: int | None = None
    grokked: int | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    begun_at: int | None = None
    collapsed: float | None = None
    is_continued: bool = False
    is_imported: bool = False
    forecast: Forecast | None = None

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.grokked is not None:
            return "grokked"
        if self.not_finite:
            return "stopped"
        return "memorized" if self.memorized is not None else "not memorized"


@dataclass(frozen=True)
class Patient:
    """What is known.

    Args:
        name: of the run, or of the recipe.
        settings: dotted fields and their values; a field that is not known is not there.
        task: what is learned.
        split: which pairs are trained on; None before it is drawn: a configuration's never leaks.
        course: None before training.
    """

    name: str
    settings: Mapping[str, Any]
    task: ModularTask | TableTask
    split: Split | None = None
    course: Course | None = None

    @property
    def p(self) -> int:
        """Number of elements."""
        return self.task.p

    @cached_property
    def operation(self) -> str:
        """``add``, ``subtract`` or ``multiply`` modulo p, under any name and in any order of the elements; else the name."""
        if isinstance(self.task, ModularTask):
            return self.task.operation
        return _modular(self.task) or self.task.name

    @property
    def n_pairs(self) -> int:
        """Number of pairs that have an answer."""
        return self.p**2 if isinstance(self.task, ModularTask) else len(answered(self.task))

    @property
    def fraction(self) -> float | None:
        """Share of the pairs that is trained on: the split's, or the one that the settings say."""
        if self.split is not None:
            return len(self.split.train) / (len(self.split.train) + len(self.split.test))
        return self.number("split.fraction")

    @property
    def budget(self) -> int | None:
        """The most steps that it may make."""
        steps = self.settings.get("steps")
        return steps if isinstance(steps, int) else None

    @property
    def is_healthy_so_far(self) -> bool:
        """Whether it was trained and has grokked."""
        return self.course is not None and self.course.grokked is not None

    @property
    def is_lost(self) -> bool:
        """Whether it was trained to its end and has not grokked."""
        return self.course is not None and self.course.is_over and self.course.grokked is None

    def number(self, path: str) -> float | None:
        """A field that is a number; None if it is not known."""
        value = self.settings.get(path)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def known(self) -> dict[str, Any]:
        """The settings with p, the operation and the share of the pairs as they are."""
        return {
            **self.settings,
            "task.p": self.p,
            "task.operation": self.operation,
            **({} if self.fraction is None else {"split.fraction": self.fraction}),
        }


def of_config(config: RunConfig) -> Patient:
    """A configuration before it is trained."""
    return Patient(config.recipe, settings_of(config.to_dict()), config.task)


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted fields of nested values, with the budget."""
    return dict(leaves(values)) | {"steps": values.get("steps")}


def _modular(task: TableTask) -> str | None:
    """Which operation modulo p a table is; None if it is none of those whose law is known."""
    p, found = task.p, table(task)
    if task.left_out is not None:
        return None
    a = np.arange(p)
    if found[0, 0] == 0 and np.array_equal(found, (a[:, None] + a) % p):
        return "add"
    if task.harmonics is None:
        return None
    from interp.harmonics.cyclic import CyclicHarmonics  # torch is there if the task has harmonics

    n = task.harmonics.n if isinstance(task.harmonics, CyclicHarmonics) else None
    return "add" if n == p else "multiply" if n == p - 1 else None


def table(task: ModularTask | TableTask) -> np.ndarray:
    """The answers as a table, row a, column b."""
    return task.labels.reshape(task.p, task.p)
