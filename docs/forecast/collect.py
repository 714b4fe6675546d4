"""Landmarks and outcomes of the runs of studies, as one JSON file: what a forecast is fitted on, or scored by.

    python docs/forecast/collect.py STUDY [STUDY ...] -o docs/forecast/corpus-a.json

For each finished run that memorized: when test accuracy was 99 % first and for good (null where it never was, within the budget:
such a run is censored), and the features of `interp.forecasting.landmark` at multiples of the step of memorizing while it had not
grokked yet, and at shares of the plateau; beside each what other forecasts look at (`CURVES`), now and where the window of the
landmark begins. With --issued also the forecast that the package makes there. Checkpoints are not kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from interp import Run, Study, about, observe, open_study
from interp.forecasting.foresee import foretell
from interp.forecasting.label_free import LOGITS, RIGHT, WEIGHTS, LabelFree, label_free
from interp.forecasting.landmark import features, landmark, window_of
from interp.forecasting.range_of import leaves
from interp.observing.derived import finite_curve

# Multiples of the step of memorizing at which a forecast is fitted.
MULTIPLES = (1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
SHARES = (0.25, 0.5, 0.75)
DIGITS = 5
# What forecasts that are compared with ours look at; the last two see answers to test pairs.
CURVES = ("history_train_loss", "history_sum_squared_weights", "restricted_loss", "history_test_loss")
Issued = tuple[str, int | None, int | None, int | None, float | None, str | None]


def outcome(steps: np.ndarray, accuracy: np.ndarray) -> tuple[int | None, int | None]:
    """The first step with an accuracy of 99 %, and the first from which it stays there."""
    right = accuracy >= RIGHT
    first = int(steps[np.argmax(right)]) if right.any() else None
    wrong = np.flatnonzero(~right)
    for_good = None if not right[-1] else int(steps[0] if not len(wrong) else steps[wrong[-1] + 1])
    return first, for_good


def at(known: LabelFree, step: float) -> list[Any] | None:
    """The last checkpoint at or before a step and its features, rounded; None where there is no landmark."""
    before = known.steps[known.steps <= step]
    found = landmark(known, int(before[-1])) if len(before) else None
    if found is None:
        return None
    numbers = features(found, known.config)
    return [found.step, *(round(value, DIGITS) if np.isfinite(value) else None for value in numbers.values())]


def curves_at(series: xr.Dataset, memorized: int, step: int) -> list[float | None]:
    """Each of `CURVES`, at a step and where the window of its landmark begins; None where it is not known."""
    found: list[float | None] = []
    for name in CURVES:
        curve = finite_curve(series, name)
        for when in (step, window_of(memorized, step)):
            before = np.flatnonzero(curve[0] <= when) if curve is not None else ()
            found.append(float(f"{curve[1][before[-1]]:.5g}") if curve is not None and len(before) else None)
    return found


def issued_at(known: LabelFree, step: int) -> Issued:
    """What the package says at a step."""
    said = foretell(known, step)
    chance = None if said.chance is None else round(said.chance, DIGITS)
    return said.verdict, said.at, said.low, said.high, chance, said.method


def row(run: Run, *, issued: bool) -> dict[str, Any] | None:
    """One run; None if it did not memorize."""
    series = observe(run, [WEIGHTS, LOGITS, "progress_measures"])
    known, tested = label_free(series), finite_curve(series, "history_test_accuracy")
    if known is None or tested is None or known.memorized is None:
        return None
    first, for_good = outcome(*tested)
    last = int(tested[0][-1])
    found = {
        "config": dict(leaves(about(series).config)),
        "seeds": [known.config["seed"], known.config["split"]["seed"]],
        "memorized": known.memorized,
        "first": first,
        "for_good": for_good,
        "last": last,
        "budget": known.config["steps"],
        "squares": curves_at(series, known.memorized, known.memorized)[2],
    }
    until = last if first is None else first
    asked = {
        "multiples": {m: m * known.memorized for m in MULTIPLES if m * known.memorized < until},
        "shares": {} if first is None else {s: known.memorized + s * (first - known.memorized) for s in SHARES},
    }
    for name, steps in asked.items():
        landmarks = {str(key): value for key, step in steps.items() if (value := at(known, step)) is not None}
        found[name] = landmarks
        found[f"{name}_curves"] = {key: curves_at(series, known.memorized, value[0]) for key, value in landmarks.items()}
        if issued:
            saved = {key: known.steps[known.steps <= step] for key, step in steps.items()}
            found[f"{name}_issued"] = {
                str(key): issued_at(known, int(before[-1])) for key, before in saved.items() if len(before)
            }
    return found


def rows(study: Study, *, issued: bool) -> Iterator[dict[str, Any]]:
    """The finished runs of a study."""
    for point in study.points:
        run = study[point.name] if study.path_of(point.name).exists() else None
        if run is not None and run.status == "finished" and (found := row(run, issued=issued)) is not None:
            yield {"study": study.name, **found}


def main() -> None:
    """Collect and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="+", metavar="STUDY")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--issued", action="store_true", help="also what the package says at each landmark")
    arguments = parser.parse_args()
    runs = [found for study in arguments.studies for found in rows(open_study(study), issued=arguments.issued)]
    # What all runs share is said once.
    shared = {name: value for name, value in runs[0]["config"].items() if all(run["config"][name] == value for run in runs)}
    for run in runs:
        run["config"] = {name: value for name, value in run["config"].items() if name not in shared}
    lines = ",\n".join(json.dumps(run, separators=(",", ":")) for run in runs)
    arguments.out.write_text(f'{{"shared":{json.dumps(shared)},"runs":[\n{lines}\n]}}\n')
    print(f"{len(runs)} runs, of which {sum(run['for_good'] is not None for run in runs)} grokked; {arguments.out}")


if __name__ == "__main__":
    main()
