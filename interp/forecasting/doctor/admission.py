"""A recorded run as a patient: its history, split and table, its last checkpoint, and what is foretold of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interp.errors import UsageError
from interp.forecasting.doctor.patient import RIGHT, Course, Patient, settings_of
from interp.forecasting.told import told
from interp.networks.shapes import KIND as ONE_LAYER
from interp.tasks.task import TableTask

if TYPE_CHECKING:
    from interp.store.run import Run


def of_run(run: Run) -> Patient:
    """What is known of a run.

    Raises:
        UsageError: if its task is no binary operation.
    """
    task = run.task
    if isinstance(task, TableTask) and not task.is_binary_operation:
        raise UsageError(f"run {run.path}: its task {task.name!r} is no binary operation, expected a table of pairs")
    facts = {"engine": run.engine, "provenance": run.provenance}
    settings = settings_of(told(run.settings, facts)) if run.has_config else {}
    if not run.is_imported:
        settings["steps"] = run.budget
    split = run.split
    is_known = len(split.train) > 0 and len(split.test) > 0
    return Patient(run.name, settings, task, split if is_known else None, course_of(run))


def course_of(run: Run) -> Course:
    """How it has gone so far. Steps at which a curve is not a number are no measurements of it."""
    train, test = (_curve(run, name) for name in ("train_accuracy", "test_accuracy"))
    steps = run.columns["step"]
    known = Course(
        step=int(steps[-1]) if len(steps) else 0,
        is_over=run.manifest.final,
        not_finite=run.reason == "non-finite",
        memorized=_first(*train),
        grokked=_first(*test),
        train_accuracy=_last(train[1]),
        test_accuracy=_last(test[1]),
        begun_at=int(test[0][0]) if len(test[0]) else None,
        is_continued=bool(run.record.get("start")),
        is_imported=run.is_imported,
    )
    return known if known.grokked is not None or not run.steps else _looked_at(run, known)


def _looked_at(run: Run, known: Course) -> Course:
    """The same with what its last checkpoint tells."""
    from dataclasses import replace

    from interp.errors import NotFiniteError
    from interp.forecasting.measured import forecast

    collapsed = None
    try:
        said = forecast(run)
        if run.is_imported and run.has_config and run.kind == ONE_LAYER:
            from interp.observing.numerics import run_health

            collapsed = float(run_health(run)["collapsed"])
    except (NotFiniteError, UsageError):  # no finite weights: what its history says stays
        return known
    return replace(known, forecast=said, collapsed=collapsed)


def _curve(run: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    steps, values = run.columns["step"], np.asarray(run.columns[name], dtype=np.float64)
    kept = np.isfinite(values)
    return steps[kept], values[kept]


def _first(steps: np.ndarray, accuracy: np.ndarray) -> int | None:
    right = steps[accuracy >= RIGHT]
    return int(right[0]) if len(right) else None


def _last(values: np.ndarray) -> float | None:
    return float(values[-1]) if len(values) else None
