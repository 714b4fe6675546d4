"""Patients whose trouble is known: healthy settings with one thing wrong, and how such runs went."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from interp import ModularTask, RunConfig, Split, recipe
from interp.forecasting.doctor.patient import Course, Patient, of_config


def config(**changes: Any) -> RunConfig:
    """The demo recipe, some fields changed; `optimizer__lr=1e-3` is a field of a part."""
    found = recipe("demo").to_dict()
    for name, value in changes.items():
        *parts, last = name.split("__")
        inner = found
        for part in parts:
            inner = inner[part]
        inner[last] = value
    return RunConfig.from_json(json.dumps(found))


def patient(*, course: Course | None = None, split: Split | None = None, task: Any = None, **changes: Any) -> Patient:
    """The same as a patient, before training or after a course."""
    made = of_config(config(**changes))
    return Patient(made.name, made.settings, made.task if task is None else task, split, course)


def failed(step: int = 12_000, **known: Any) -> Course:
    """A run that has memorized and has not grokked in all its budget."""
    return Course(step, is_over=True, **{"memorized": 112, "train_accuracy": 1.0, "test_accuracy": 0.1, "begun_at": 0} | known)


def grokked(at: int = 2900, memorized: int = 112) -> Course:
    """A run that has grokked."""
    return Course(12_000, is_over=True, memorized=memorized, grokked=at, train_accuracy=1.0, test_accuracy=1.0, begun_at=0)


def mirrored(p: int) -> Split:
    """Of (a, b) and (b, a) one is trained on."""
    a, b = ModularTask(p).pairs.T
    return Split(train=np.flatnonzero(a <= b), test=np.flatnonzero(a > b))
