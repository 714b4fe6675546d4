"""How good forecasts are on settings that were held out, as the tables of docs/forecast.md.

    python docs/forecast/score.py            # writes the tables
    python docs/forecast/score.py --check    # fails if that would change them

Each cell of settings is foretold by coefficients fitted on all others. The error of a forecast is |ln(T^ / T)|, T the first step
with a test accuracy of 99 %, for good.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fit import CORPUS, METHODS, Table, cells_of, known_at, whole_fit

GUIDE = Path(__file__).parent.parent / "forecast.md"
# What the law and the model are compared with: the same regression on something else, and on nothing but how long ago a run
# memorized. The last two of these see the answers to test pairs.
WAYS = {
    "time alone": (), "settings alone": ("decay", "fraction"), "train loss": ("train_loss", "train_loss_fall"),
    "sum of squares": ("squares", "squares_fall"), "restricted loss *": ("restricted_loss", "restricted_loss_fall"),
    "test loss *": ("test_loss", "test_loss_fall"), "the law": METHODS["law"], "the model": METHODS["model"],
}  # fmt: skip
SHARES, MULTIPLES = ("0.25", "0.5", "0.75"), ("4", "8", "16", "32")
Z = 1.2815515655446004  # the tenth and the ninetieth percentile of a normal variable
_SAYS_NOTHING = 1000
_BLOCK = re.compile(r"(<!-- scores: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def foretold(runs: Sequence[Mapping[str, Any]], names: Sequence[str], where: str) -> dict[str, np.ndarray]:
    """For each landmark of each run that grokked: key, run, error of the median, whether the interval holds, its width."""
    cells, table = cells_of(runs), Table(runs, names, "for_good")
    found: list[tuple[Any, ...]] = []
    for cell in np.unique(cells):
        fit, spread = whole_fit(table, np.where(cells == cell, -1, cells))
        for number in np.flatnonzero(cells == cell):
            found += _of_run(runs[number], int(number), names, (fit, spread), where)
    columns = ("key", "run", "error", "holds", "width")
    return {name: np.array([row[i] for row in found]) for i, name in enumerate(columns)}


def _of_run(
    run: Mapping[str, Any], number: int, names: Sequence[str], found: tuple[Any, ...], where: str
) -> list[tuple[Any, ...]]:
    (fit, (log_sigma, narrowing)), end, rows = found, run["for_good"], []
    for key in run[where]:
        step, known = known_at(run, where, key)
        x = np.array([known[name] for name in names], dtype=np.float64)
        if end is None or step >= end or not np.isfinite(x).all():
            continue
        left = max(step - run["memorized"], 1) * float(np.exp(fit(x)))
        sigma = np.exp(log_sigma + narrowing * known["level_W_L"])
        low, high = (step + left * np.exp(sign * Z * sigma) for sign in (-1, 1))
        rows.append((key, number, float(np.log((step + left) / end)), low <= end <= high, high / low))
    return rows


def tables(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Markdown by name."""
    found = {}
    for name, where, keys, title in (
        ("shares", "shares", SHARES, "share of the plateau"),
        ("multiples", "multiples", MULTIPLES, "step / step of memorizing"),
    ):
        lines = [f"| {title} | forecast | runs | median error | 90th percentile | bias | 80 % intervals hold | factor wide |"]
        lines.append("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        scored = {way: foretold(runs, names, where) for way, names in WAYS.items()}
        for key in keys:
            for way, one in scored.items():
                mine = one["key"] == key
                error, size = one["error"][mine], np.abs(one["error"][mine])
                ninth, holds, width = np.quantile(size, 0.9), 100 * one["holds"][mine].mean(), np.median(one["width"][mine])
                cells = (key, way, mine.sum(), f"{np.median(size):.2f}", f"{ninth:.2f}", f"{np.median(error):+.2f}")
                lines.append(f"| {' | '.join(map(str, cells))} | {holds:.0f} % | {wide(width)} |")
        found[name] = "\n".join(lines)
    return found


def wide(factor: float) -> str:
    """A factor as a table has it; beyond a thousand an interval says nothing, and its digits depend on the processor.

    >>> wide(1.84), wide(7937061.4)
    ('1.8', 'over 1,000')
    """
    return f"{factor:.1f}" if factor < _SAYS_NOTHING else f"over {_SAYS_NOTHING:,}"


def main() -> int:
    """Score, then write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if anything would change")
    arguments = parser.parse_args()
    found, text = tables(json.loads(arguments.corpus.read_bytes())["runs"]), GUIDE.read_text()
    written = _BLOCK.sub(lambda block: f"{block[1]}{found[block['name']]}\n{block[3]}", text)
    if arguments.check:
        return int(written != text)
    GUIDE.write_text(written)
    print("\n\n".join(found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
