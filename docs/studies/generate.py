"""Write the tables of the studies in this folder from their outcomes, NAME.csv, as `interp study export` wrote them.

    python docs/studies/generate.py [--check]

Each block between `<!-- study: NAME -->` and `<!-- end -->` is written from docs/studies/NAME.csv and studies/NAME.toml: a row
for each cell, and the laws of the time to grok along axes that have one. With --check nothing is written; exit code 1 if
something would be.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interp.studies.critical import critical_point
from interp.studies.durations import Durations
from interp.studies.laws import fraction_law, modulus_law, weight_decay_law
from interp.studies.plan_files import read_plan
from interp.studies.study import Study, study_of
from interp.studies.study_cells import cell_table

FOLDER = Path(__file__).parent
PLANS = FOLDER.parents[1] / "studies"
LAWS: dict[str, Callable[..., Any]] = {
    "optimizer.weight_decay": weight_decay_law,
    "split.fraction": fraction_law,
    "task.p": modulus_law,
}
_BLOCK = re.compile(r"(<!-- study: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
FEWEST = 3  # values along an axis below which nothing is asked along it
_TEXTS = ("run", "changes", "seeds_are", "status", "why", "outcome")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a study, as `interp.studies.outcomes.rows` gives them."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: text if name in _TEXTS else None if text == "" else _number(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value == int(value) and "e" not in text.lower() and abs(value) < 1e15 else value


def table(study: Study, rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table with a row for each cell."""
    found = cell_table(study, rows)
    head = [name or "note" for name in found[0]]
    lines = [head, ["---:"] * len(head), *(list(row.values()) for row in found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def laws(study: Study, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Laws along each axis of more than two values, for the runs of each value of the others, or why there is none."""
    axes = [axis for axis in study.plan.axes if len(axis.fields) == 1]
    fields, told = [axis.fields[0] for axis in axes], []
    for field in (axis.fields[0] for axis in axes if len(axis.values) >= FEWEST):
        others = [other for other in fields if other != field]
        for values in sorted({tuple(row[other] for other in others) for row in rows}):
            chosen = [row for row in rows if tuple(row[other] for other in others) == values and row["status"] == "finished"]
            at = ", ".join(f"{other} = {value:g}" for other, value in zip(others, values, strict=True))
            where = f" at {at}" if at else ""
            if field in LAWS:
                told.append(f"- `delay` against `{field}`{where}: {LAWS[field](_values(chosen, field), _delays(chosen))}")
            if field == "split.fraction":
                grokked = [row["grokked"] is not None for row in chosen]
                told.append(f"- P(grok) against `{field}`{where}: {critical_point(_values(chosen, field), grokked)}")
    return told


def _values(rows: Sequence[dict[str, Any]], field: str) -> np.ndarray:
    return np.array([row[field] for row in rows], dtype=np.float64)


def _delays(rows: Sequence[dict[str, Any]]) -> Durations:
    """From first memorizing to first grokking; a run that was not seen to grok is censored where it ended."""
    event = np.array([row["grokked_first"] is not None for row in rows])
    until = [row["last_step"] if row["grokked_first"] is None else row["grokked_first"] for row in rows]
    return Durations.of([end - (row["memorized_first"] or 0) for end, row in zip(until, rows, strict=True)], event)


def block(name: str) -> str:
    """What stands in a study's block."""
    study = study_of(read_plan(PLANS / f"{name}.toml"), name, "checkpoints")
    rows = read_rows(FOLDER / f"{name}.csv")
    return "\n".join([table(study, rows), "", *laws(study, rows), ""])


def written(text: str) -> str:
    """A page with its blocks written anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{block(match[2])}{match[3]}", text)


def main() -> None:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page would change")
    check, stale = parser.parse_args().check, []
    for page in sorted(FOLDER.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := written(text)) != text:
            stale.append(page.name)
            if not check:
                page.write_text(new, encoding="utf-8")
    print("\n".join(f"{'stale' if check else 'written'}: {name}" for name in stale) or "every page is as its study says")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
