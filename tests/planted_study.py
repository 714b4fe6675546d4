"""A study whose outcomes are planted: rows as `interp.studies.outcomes.rows` has them, and curves; nothing is trained."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from interp.figures.study_table import StudyTable
from interp.figures.tabled import Table
from interp.reporting.study_curves import ThinCurves
from interp.reporting.study_page import StudySource

BUDGET = 12_000


def planted_row(values: dict[str, Any], seed: int, *, grokked: int | None, name: str, **changes: Any) -> dict[str, Any]:
    """A finished run that memorized at step 150, and grokked at a step (after a first crossing) or not within its budget."""
    is_in = grokked is not None and grokked <= BUDGET
    step = grokked if is_in else None
    first = None if step is None else max(1, step - 100)
    row = {
        "run": name, **values, "seed": seed, "seeds_are": "both", "status": "finished", "why": "budget", "last_step": BUDGET,
        "budget": BUDGET, "memorized_first": 100, "memorized": 150, "grokked_first": first, "grokked": step,
        "delay_first": None if first is None else first - 100, "delay": None if step is None else step - 150,
        "outcome": "grokking" if is_in else "memorization", "train_loss": 1e-6, "test_loss": 1e-5 if is_in else 9.5,
        "train_accuracy": 1.0, "test_accuracy": 1.0 if is_in else 0.05, "sum_squared_weights": 700.0 + seed,
    }  # fmt: skip
    return row | changes


def unseen_row(values: dict[str, Any], seed: int, *, name: str, status: str = "missing") -> dict[str, Any]:
    """A run of which nothing was seen."""
    row = planted_row(values, seed, grokked=None, name=name)
    begin = list(row).index("why")
    return {**row, **dict.fromkeys(list(row)[begin:]), "status": status, "outcome": "unknown", "why": None}


def planted_rows(axes: dict[str, list[Any]], *, seeds: int, scatter: float = 0.2, slow: float = 4000.0) -> list[dict[str, Any]]:
    """Rows of every combination: the median time is ``slow / weight decay * (0.4 / fraction)^3``; other axes do nothing."""
    rng, rows = np.random.default_rng(0), []
    for place in product(*axes.values()):
        values = dict(zip(axes, place, strict=True))
        median = slow / values.get("optimizer.weight_decay", 1.0) * (0.4 / values.get("split.fraction", 0.4)) ** 3
        for seed in range(seeds):
            step = 25 * round(median * np.exp(scatter * rng.standard_normal()) / 25)
            rows.append(planted_row(values, seed, grokked=step, name=f"{len(rows):016x}"))
    return rows


def planted_curves(rows: list[dict[str, Any]], *, points: int = 480) -> ThinCurves:
    """Curves of the rows that have been begun."""
    thin, steps = ThinCurves(), np.linspace(0, BUDGET, points).astype(int)
    for row in rows:
        if row["last_step"] is None:
            continue
        at = row["grokked"] or 4 * BUDGET
        rise = 1 / (1 + np.exp(-(steps - at) / 150 - 4.6))
        memory = np.minimum(1, steps / 100)
        thin.add(
            row["run"],
            {
                "test_accuracy": (steps, rise), "train_accuracy": (steps, memory),
                "restricted_loss": (steps, 4 * np.exp(-steps / at * 9)),
                "sum_squared_weights": (steps, 700 + 800 * np.exp(-steps / 3000)),
            },
        )  # fmt: skip
    return thin


def planted_source(
    axes: dict[str, list[Any]], *, seeds: int = 0, rows: list[dict[str, Any]] | None = None, name: str = "planted"
) -> StudySource:
    """What the page of such a study is made from."""
    found = planted_rows(axes, seeds=seeds) if rows is None else rows
    table = StudyTable.of(name, [tuple(field.split("+")) for field in axes], found)
    facts = [Table("The plan", (), tuple((f"varied: {field}", str(values)) for field, values in axes.items()), wide=True)]
    return StudySource(
        table, planted_curves(found), command="interp report checkpoints/planted/runs/RUN -o RUN.html", facts=facts
    )
