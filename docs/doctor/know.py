"""What the doctor knows of other runs, written from the outcomes of runs: interp/forecasting/doctor/knowledge.json.

    python docs/doctor/know.py            # writes it
    python docs/doctor/know.py --check    # fails if that would change it

Outcomes are those of the studies `weight-decay` and `critical-fraction` (docs/studies), of a part of the study `modulus`, and of
single runs at p = 23 to 59 (docs/doctor/runs.json, which says how they were trained). None of them is a run of the trial.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from interp.forecasting.doctor.knowledge import KNOWLEDGE

HERE = Path(__file__).parent
RUNS, STUDIES = HERE / "runs.json", HERE.parent / "studies"
DIGITS = 4
DEMO = {
    "task.p": 59, "split.fraction": 0.4, "optimizer.weight_decay": 2.0, "optimizer.lr": 0.001, "model.init_scale": 1.0,
    "steps": 12000,
}  # fmt: skip
NANDA = {**DEMO, "task.p": 113, "split.fraction": 0.3, "optimizer.weight_decay": 1.0, "steps": 15000}
# Names of a row's fields, with what they are where a row does not say.
ROW = {"p": 31, "f": 0.6, "wd": 2.0, "lr": 1e-3, "scale": 1.0, "op": "add", "eps": 1e-8, "budget": 6000}


def outcomes() -> list[dict[str, Any]]:
    """One row a run: settings, step of memorizing, first step with a test accuracy of 99 % (None: not within the budget)."""
    found = [{**ROW, **row} for row in json.loads(RUNS.read_text())["runs"]]
    for name, field, key in (("weight-decay", "optimizer.weight_decay", "wd"), ("critical-fraction", "split.fraction", "f")):
        with (STUDIES / f"{name}.csv").open() as file:
            for row in csv.DictReader(file):
                first, memorized = (float(row[one]) if row[one] else None for one in ("grokked_first", "memorized_first"))
                base = {**ROW, "p": 59, "f": 0.4, "budget": 12000, "source": f"study {name}"}
                found.append({**base, key: float(row[field]), "first": first, "mem": memorized})
    return found


def boundary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Probit of whether a run groks in ln(f p / ln p): where it is a half, and its width."""
    usual = [row for row in rows if row["wd"] in (1.0, 2.0) and row["p"] > 23 and is_usual(row)]
    x = np.array([np.log(row["f"] * row["p"] / np.log(row["p"])) for row in usual])
    y = np.array([row["first"] is not None for row in usual])

    def minus_log_likelihood(found: np.ndarray) -> float:
        z = (x - found[0]) / np.exp(found[1])
        return -float(np.sum(np.where(y, norm.logcdf(z), norm.logsf(z))))

    best = minimize(minus_log_likelihood, np.array([1.45, -2.0]), method="Nelder-Mead").x
    return {"factor": round(float(np.exp(best[0])), 2), "width": round(float(np.exp(best[1])), 3)}


def is_usual(row: dict[str, Any]) -> bool:
    """Whether nothing but modulus, share of the pairs and weight decay was varied."""
    return row["lr"] == 1e-3 and row["scale"] == 1 and row["eps"] == 1e-8 and row["op"] == "add"


def time(rows: list[dict[str, Any]], factor: float) -> dict[str, float]:
    """A log-normal law of the step at which runs grok, censored at their budgets, for shares above .9 of the boundary."""
    used = []
    for row in rows:
        above = np.log(row["f"] * row["p"] / np.log(row["p"]) / factor)
        inside = 2e-4 < row["wd"] * row["lr"] < 9e-3 and 2e-4 < row["lr"] < 6e-3 and 0.5 <= row["scale"] <= 1
        if inside and above > np.log(0.95) and row["op"] == "add" and row["eps"] == 1e-8 and row["p"] > 23:
            used.append((np.log(row["wd"] * row["lr"]), np.log(row["lr"]), above, above**2, np.log(row["p"]), row))
    x = np.array([(1.0, *row[:-1]) for row in used])
    event = np.array([row[-1]["first"] is not None for row in used])
    y = np.log([row[-1]["first"] or row[-1]["budget"] for row in used])

    def minus_log_likelihood(found: np.ndarray) -> float:
        z = (y - x @ found[:-1]) / np.exp(found[-1])
        return -float(np.sum(np.where(event, norm.logpdf(z) - found[-1], norm.logsf(z))))

    start = np.append(np.linalg.lstsq(x, y, rcond=None)[0], -0.7)
    best = minimize(minus_log_likelihood, start, method="BFGS").x
    names = ("one", "decay", "rate", "above", "above_squared", "p")
    return {name: round(float(value), DIGITS) for name, value in zip(names, best, strict=False)} | {
        "sigma": round(float(np.exp(best[-1])), DIGITS)
    }


def cells(rows: list[dict[str, Any]], factor: float) -> list[dict[str, Any]]:
    """Settings with two runs or more of which four in five grokked, not before 3 times their step of memorizing.

    Two runs may be lucky: settings at the boundary, by all runs, are left out.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["op"] == "add" and row["eps"] == 1e-8:
            key = tuple(row[name] for name in ("p", "f", "wd", "lr", "scale", "budget", "source"))
            groups.setdefault(key, []).append(row)
    found = []
    for (p, f, wd, lr, scale, budget, source), group in sorted(groups.items(), key=str):
        grokked = [row["first"] for row in group if row["first"] is not None]
        slow = [row["first"] >= PLATEAU * row["mem"] for row in group if row["first"] is not None]
        clear = f > CLEAR * factor * np.log(p) / p
        if clear and len(group) >= 2 and len(grokked) >= 0.8 * len(group) and np.mean(slow) > 0.5:
            found.append({
                "recipe": "demo", "p": p, "fraction": f, "weight_decay": wd, "lr": lr, "init_scale": scale, "budget": budget,
                "runs": len(group), "grokked": len(grokked), "median": float(np.median(grokked)), "source": source,
            })  # fmt: skip
    nanda = {
        "recipe": "nanda", "p": 113, "fraction": 0.3, "weight_decay": 1.0, "lr": 1e-3, "init_scale": 1.0, "budget": 15000,
        "runs": 3, "grokked": 3, "median": 7025.0, "source": "README, seeds 0, 1, 2",
    }  # fmt: skip
    return [*found, nanda]


PLATEAU, CLEAR = 3.0, 1.1
SINGLE = "docs/doctor/runs.json"
# Of each field what is known of its values; for those that were varied, `tried` adds the least and the most.
RANGES: dict[str, Any] = {
    "task.p": {},
    "task.operation": {"values": ["add", "multiply", "subtract"]},
    "split.fraction": {"plateau": 0.85},
    "optimizer.weight_decay": {
        "low": 0.5, "usual": 2.0, "high": 14.0, "plateau": 6.0,
        "without": "of 10 such runs at p = 59 none grokked within 6,000 steps (study never), nor did any at p = 31",
        "source": SINGLE,
    },
    "optimizer.lr": {"low": 2.5e-4, "high": 0.025, "usual": 1e-3, "source": SINGLE},
    "model.init_scale": {"low": 0.2, "high": 10.0, "source": SINGLE},
    "optimizer.eps": {"high": 1e-5, "surely": 1e-3, "usual": 1e-8, "source": SINGLE},
    "optimizer.loss": {"values": ["cross_entropy"]},
    "optimizer.grokfast_lambda": {"least": 0.0, "most": 0.0},
    "model.d_model": {"least": 128, "most": 128},
    "model.d_mlp": {"least": 256, "most": 512},
    "model.attention_rate": {"least": 1.0, "most": 1.0},
}  # fmt: skip
VARIED = {
    "p": "task.p", "f": "split.fraction", "wd": "optimizer.weight_decay", "lr": "optimizer.lr", "scale": "model.init_scale",
    "eps": "optimizer.eps",
}  # fmt: skip


def tried(rows: list[dict[str, Any]], cited: list[dict[str, Any]]) -> dict[str, Any]:
    """The ranges, with the least and the most that was tried of each field that was varied, also in the cells that are cited."""
    found = dict(RANGES)
    for name, path in VARIED.items():
        field = path.partition(".")[2]  # as a cell calls it; epsilon is none of a cell's
        values = [*(row[name] for row in rows), *(cell[field] for cell in cited if field in cell)]
        found[path] = {**RANGES[path], "least": min(values), "most": max(values)}
    return found


def known() -> dict[str, Any]:
    """What the package gets."""
    rows = outcomes()
    found = boundary(rows)
    there = cells(rows, found["factor"])
    memorized = [row["mem"] for row in rows if row["mem"] is not None and is_usual(row)]
    return {
        "boundary": found,
        "time": time(rows, found["factor"]),
        "plateau": PLATEAU,
        "memorized": float(np.median(memorized)),
        "ranges": tried(rows, there),
        "recipes": {"demo": DEMO, "nanda": NANDA},
        "cells": there,
    }


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if anything would change")
    arguments = parser.parse_args()
    text = json.dumps(known(), indent=1) + "\n"
    if arguments.check:
        return int(not KNOWLEDGE.is_file() or KNOWLEDGE.read_text() != text)
    KNOWLEDGE.write_text(text)
    print(f"wrote {KNOWLEDGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
