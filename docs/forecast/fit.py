"""Fit the coefficients of the forecast on corpus A, and freeze them with the package.

    python docs/forecast/fit.py            # writes interp/forecasting/coefficients.json
    python docs/forecast/fit.py --check    # fails if that would change it

Each landmark of each run is a row of ``ln((T - t) / since) = x beta + sigma eps``; the landmarks of a run weigh one together. A
run that had not grokked when it ended is right-censored there. The scatter is that of settings which were held out: for each cell
of settings the coefficients are fitted on the others, and sigma is the maximum-likelihood scatter of all those predictions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from interp.forecasting.fitted import COEFFICIENTS
from interp.studies.censored_fit import fit_censored

CORPUS = Path(__file__).with_name("corpus-a.json")
# In the order of `interp.forecasting.landmark.features`.
NAMES = ("left_W_L", "left_W_E", "level_W_L", "level_W_E", "agreement", "agreement_rate", "decay", "fraction")
METHODS = {"law": NAMES[:4], "model": NAMES}
TARGETS = ("for_good", "first")
DIGITS = 6


class Table:
    """The landmarks of runs as rows: features, ln of the time left over the time since memorizing, event, weight, cell."""

    def __init__(self, runs: Sequence[Mapping[str, Any]], names: Sequence[str], target: str) -> None:
        rows = []
        for number, run in enumerate(runs):
            end = run["last"] if run[target] is None else run[target]
            chosen = [(step, dict(zip(NAMES, values, strict=True))) for step, *values in run["multiples"].values()]
            usable = [
                (step, [found[name] for name in names])
                for step, found in chosen
                if step < end and all(found[name] is not None for name in names)
            ]
            for step, values in usable:
                since = max(step - run["memorized"], 1)
                rows.append((values, np.log((end - step) / since), run[target] is not None, 1 / len(usable), number))
        self.x = np.array([row[0] for row in rows], dtype=np.float64).reshape(len(rows), len(names))
        self.y, self.event, self.weight, self.run = (np.array([row[i] for row in rows]) for i in (1, 2, 3, 4))


def fitted(table: Table, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre and scale of the features, and the coefficients with the intercept first."""
    x = table.x[kept]
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    found = fit_censored(
        table.y[kept], table.event[kept].astype(bool), design, weights=table.weight[kept][None], family="log-normal"
    )
    return centre, scale, found.beta[0]


def held_out(table: Table, cells: np.ndarray) -> np.ndarray:
    """For each row the prediction of a fit to all other cells."""
    predicted = np.full(len(table.y), np.nan)
    for cell in np.unique(cells):
        mine = cells[table.run] == cell
        if not mine.any():
            continue
        centre, scale, beta = fitted(table, ~mine)
        predicted[mine] = beta[0] + (table.x[mine] - centre) / scale @ beta[1:]
    return predicted


def scatter(table: Table, predicted: np.ndarray, kept: np.ndarray | None = None) -> float:
    """The most likely sigma of the residuals, censored ones included."""
    kept = np.ones(len(table.y), dtype=bool) if kept is None else kept
    residual, weight, event = (values[kept] for values in (table.y - predicted, table.weight, table.event))

    def minus_log_likelihood(log_sigma: float) -> float:
        sigma = np.exp(log_sigma)
        seen = norm.logpdf(residual / sigma) - log_sigma
        return -float(np.sum(weight * np.where(event, seen, norm.logsf(residual / sigma))))

    return float(np.exp(minimize_scalar(minus_log_likelihood, bounds=(-4, 2), method="bounded").x))


def cells_of(runs: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """A number for each combination of settings."""
    texts = [json.dumps(run["config"], sort_keys=True) for run in runs]
    return np.unique(texts, return_inverse=True)[1]


def ranges(runs: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Each field's values in the corpus; numbers that vary as lowest and highest."""
    found: dict[str, Any] = {}
    for name in {**shared, **runs[0]["config"]}:
        values = [run["config"].get(name, shared.get(name)) for run in runs if run["for_good"] is not None]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            found[name] = {"low": min(values), "high": max(values)}
        else:
            found[name] = sorted(set(values), key=str)
    return found


def freeze(corpus: bytes) -> dict[str, Any]:
    """What the package gets."""
    read = json.loads(corpus)
    runs, cells = read["runs"], cells_of(read["runs"])
    found: dict[str, Any] = {}
    for method, names in METHODS.items():
        found[method] = {}
        for target in TARGETS:
            table = Table(runs, names, target)
            centre, scale, beta = fitted(table, np.ones(len(table.y), dtype=bool))
            found[method][target] = {
                "features": list(names),
                "centre": centre.round(DIGITS).tolist(),
                "scale": scale.round(DIGITS).tolist(),
                "coefficients": beta[1:].round(DIGITS).tolist(),
                "intercept": round(float(beta[0]), DIGITS),
                "sigma": round(scatter(table, held_out(table, cells)), DIGITS),
            }
    found["within"] = ranges(runs, read["shared"])
    found["corpus"] = {
        "runs": len(runs),
        "grokked": sum(run["for_good"] is not None for run in runs),
        "cells": len(np.unique(cells)),
        "sha256": hashlib.sha256(corpus).hexdigest(),
    }
    return found


def main() -> int:
    """Fit, then write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if anything would change")
    arguments = parser.parse_args()
    text = json.dumps(freeze(arguments.corpus.read_bytes()), indent=1) + "\n"
    if arguments.check:
        return int(not COEFFICIENTS.is_file() or COEFFICIENTS.read_text() != text)
    COEFFICIENTS.write_text(text)
    print(f"wrote {COEFFICIENTS}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
