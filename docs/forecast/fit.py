"""Fit the coefficients of the forecast on corpus A, and freeze them with the package.

    python docs/forecast/fit.py            # writes interp/forecasting/coefficients.json
    python docs/forecast/fit.py --check    # fails if that would change it

Each landmark of each run is a row of ``ln((T - t) / since) = x beta + sigma eps``; the landmarks of a run weigh one together. A
run that had not grokked when it ended is right-censored there. The scatter is that of settings which were held out: for each cell
of settings the coefficients are fitted on the others. How sigma changes with the level follows from the likelihood of all
those predictions; its size is such that four intervals in five hold, by the product-limit estimate of the residuals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.stats import norm

from interp.forecasting.fitted import COEFFICIENTS
from interp.studies.censored_fit import fit_censored

CORPUS = Path(__file__).with_name("corpus-a.json")
# In the order of `interp.forecasting.landmark.features`.
NAMES = ("left_W_L", "left_W_E", "level_W_L", "level_W_E", "agreement", "agreement_rate", "decay", "fraction", "modulus")
# Of each curve of `collect.CURVES`: ln of its value, and what it lost of that in the second half of the time since memorizing.
COMPARED = ("train_loss", "squares", "restricted_loss", "test_loss")
METHODS = {"law": NAMES[:4], "model": NAMES}
TARGETS = ("for_good", "first")
DIGITS = 6
# Scatter and coefficients follow from each other; they have settled after so many rounds.
ROUNDS = 3
# Of intervals: the scatter is such that on held-out settings so many hold.
LEVEL = 0.8
WIDEST = 10.0


@dataclass(frozen=True, eq=False)
class Fit:
    """A linear predictor of centred and scaled features, the intercept first."""

    centre: np.ndarray
    scale: np.ndarray
    beta: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """What it predicts for rows of features."""
        return np.asarray(self.beta[0] + (x - self.centre) / self.scale @ self.beta[1:])


def known_at(run: Mapping[str, Any], where: str, key: str) -> tuple[int, dict[str, float | None]]:
    """Step of a landmark and all that is known there: the features, and level and fall of each curve that is compared."""
    step, *values = run[where][key]
    found: dict[str, float | None] = dict(zip(NAMES, values, strict=True))
    curves = run[f"{where}_curves"][key]
    for name, now, before in zip(COMPARED, curves[::2], curves[1::2], strict=True):
        known = now is not None and before is not None and now > 0 and before > 0
        found[name] = float(np.log(now)) if known else None
        found[f"{name}_fall"] = float(np.log(before / now)) if known else None
    return step, found


class Table:
    """The landmarks of runs as rows: features, ln of the time left over that since memorizing, event, weight, run, level."""

    def __init__(self, runs: Sequence[Mapping[str, Any]], names: Sequence[str], target: str) -> None:
        rows = []
        for number, run in enumerate(runs):
            end = run["last"] if run[target] is None else run[target]
            chosen = [known_at(run, "multiples", key) for key in run["multiples"]]
            usable = [(step, found) for step, found in chosen if step < end and all(found[name] is not None for name in names)]
            for step, found in usable:
                left = np.log((end - step) / max(step - run["memorized"], 1))
                values = [found[name] for name in names]
                rows.append((values, left, run[target] is not None, 1 / len(usable), number, found["level_W_L"]))
        self.x = np.array([row[0] for row in rows], dtype=np.float64).reshape(len(rows), len(names))
        self.y, self.event, self.weight, self.run, self.level = (np.array([row[i] for row in rows]) for i in range(1, 6))


def fitted(table: Table, kept: np.ndarray, relative: np.ndarray | None = None) -> Fit:
    """Centre and scale of the features, and the coefficients with the intercept first.

    Args:
        relative: the scatter of each row, up to a factor: rows are divided by it.
    """
    x, unit = table.x[kept], np.ones(int(kept.sum())) if relative is None else relative[kept]
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale]) / unit[:, None]
    y, event, weights = table.y[kept] / unit, table.event[kept].astype(bool), table.weight[kept][None]
    return Fit(centre, scale, fit_censored(y, event, design, weights=weights, family="log-normal").beta[0])


def held_out(table: Table, cells: np.ndarray, relative: np.ndarray | None = None) -> np.ndarray:
    """For each row the prediction of a fit to all other cells; NaN for rows whose cell is negative, which take no part."""
    predicted = np.full(len(table.y), np.nan)
    cell_of = cells[table.run]
    for cell in np.unique(cell_of[cell_of >= 0]):
        others = (cell_of != cell) & (cell_of >= 0)
        predicted[cell_of == cell] = fitted(table, others, relative)(table.x[cell_of == cell])
    return predicted


def scatter(table: Table, predicted: np.ndarray) -> tuple[float, float]:
    """The most likely ln sigma at level 0 and its change with the level, of residuals that are known, censored ones included."""
    known = np.isfinite(predicted)
    residual, weight, event, level = (one[known] for one in (table.y - predicted, table.weight, table.event, table.level))

    def minus_log_likelihood(found: np.ndarray) -> float:
        log_sigma = found[0] + found[1] * level
        z = residual / np.exp(log_sigma)
        return -float(np.sum(weight * np.where(event, norm.logpdf(z) - log_sigma, norm.logsf(z))))

    best = minimize(minus_log_likelihood, np.array([-0.7, 0.0]), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    z = residual / np.exp(best.x[0] + best.x[1] * level)
    return float(best.x[0]) + float(np.log(half_width(z, event.astype(bool), weight) / norm.ppf((1 + LEVEL) / 2))), float(
        best.x[1]
    )


def half_width(z: np.ndarray, event: np.ndarray, weight: np.ndarray) -> float:
    """The k for which z lies between -k and k with probability `LEVEL`, by the product-limit estimate: z may be censored."""
    order = np.argsort(z)
    z, event, weight = z[order], event[order], weight[order]
    at_risk = np.cumsum(weight[::-1])[::-1]
    survival = np.cumprod(1 - np.where(event, weight / at_risk, 0))

    def missing(k: float) -> float:
        above, below = (np.concatenate([[1.0], survival])[np.searchsorted(z, side, side="right")] for side in (k, -k))
        return float(below - above) - LEVEL

    # What tells runs that never grok from others too badly has so many of both in one place that no interval is wide enough.
    return float(brentq(missing, 1e-3, WIDEST, xtol=1e-6)) if missing(WIDEST) > 0 else WIDEST


def whole_fit(table: Table, cells: np.ndarray) -> tuple[Fit, tuple[float, float]]:
    """Coefficients from all rows that take part, and the scatter of held-out cells; rows weigh by that scatter."""
    relative = None
    for _ in range(ROUNDS):
        spread = scatter(table, held_out(table, cells, relative))
        relative = np.exp(spread[1] * table.level)
    return fitted(table, cells[table.run] >= 0, relative), spread


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
            fit, (log_sigma, narrowing) = whole_fit(table, cells)
            found[method][target] = {
                "features": list(names),
                "centre": fit.centre.round(DIGITS).tolist(),
                "scale": fit.scale.round(DIGITS).tolist(),
                "coefficients": fit.beta[1:].round(DIGITS).tolist(),
                "intercept": round(float(fit.beta[0]), DIGITS),
                "sigma": round(float(np.exp(log_sigma)), DIGITS),
                "narrowing": round(narrowing, DIGITS),
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
