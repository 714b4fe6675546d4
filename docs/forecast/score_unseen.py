"""How good the frozen forecasts were on runs that nothing was fitted on or chosen by, as the tables of docs/forecast.md.

    python docs/forecast/score_unseen.py            # writes the tables
    python docs/forecast/score_unseen.py --check    # fails if that would change them

What the package said of each run, with the coefficients as they were frozen before (`collect.py --issued`), is compared with what
became of it. Other forecasts are the same regression on something else, fitted on the corpus of the coefficients.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fit import CORPUS, METHODS, Fit, Table, cells_of, known_at, whole_fit
from scipy.optimize import minimize_scalar
from score import GUIDE, MULTIPLES, SHARES, WAYS, Z, wide

UNSEEN = Path(__file__).with_name("corpus-b.json")
NOTHING = ("too young", None, None, None, None, None)
TARGET, LEVEL = "for_good", 0.95
RESAMPLES = 1000
_BLOCK = re.compile(r"(<!-- unseen: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Run = Mapping[str, Any]
# A forecast at a landmark: median step, and both ends of its interval; None where nothing is said.
Said = tuple[float, float, float] | None
Way = Callable[[Run, str, str], Said]


def as_issued(run: Run, where: str, key: str) -> Said:
    """What the package said."""
    verdict, at, low, high, *_ = run[f"{where}_issued"].get(key, NOTHING)
    return (at, low, high) if verdict == "groks" else None


def by_regression(runs: Sequence[Run], names: Sequence[str]) -> Way:
    """The same regression on other numbers, fitted on runs."""
    fit, spread = whole_fit(Table(runs, names, TARGET), cells_of(runs))

    def way(run: Run, where: str, key: str) -> Said:
        return None if key not in run[where] else _dated(fit, spread, names, (run, where, key))

    return way


def _dated(fit: Fit, spread: tuple[float, float], names: Sequence[str], at: tuple[Run, str, str]) -> Said:
    step, known = known_at(*at)
    x = np.array([known[name] for name in names], dtype=np.float64)
    if not np.isfinite(x).all() or known["level_W_L"] is None:
        return None
    left = max(step - at[0]["memorized"], 1) * float(np.exp(fit(x)))
    sigma = np.exp(spread[0] + spread[1] * known["level_W_L"])
    return step + left, *(step + left * np.exp(sign * Z * sigma) for sign in (-1, 1))


def constant(runs: Sequence[Run]) -> Way:
    """The median step of the runs of a corpus that grokked, with their central four fifths."""
    steps = [run[TARGET] for run in runs if run[TARGET] is not None]
    low, middle, high = np.quantile(steps, [0.1, 0.5, 0.9])
    return lambda *_: (float(middle), float(low), float(high))


def first_passage(runs: Sequence[Run]) -> Way:
    """T - T_mem = ln(V_mem / V*) / (2 kappa lr wd), V the sum of squared weights; V*, kappa by least squares of logarithms."""
    used = [run for run in runs if run[TARGET] is not None and rate_of(run)]
    left = np.log([max(run[TARGET] - run["memorized"], 1) for run in used])
    squares, rate = (np.array([of(run) for run in used]) for of in (lambda run: run["squares"], rate_of))
    top = 0.999 * squares.min()

    def scatter(end: float) -> float:
        return float(np.std(left - np.log(np.log(squares / end) / (2 * rate))))

    end = float(minimize_scalar(scatter, bounds=(1e-3 * top, top), method="bounded").x)
    residual = left - np.log(np.log(squares / end) / (2 * rate))
    kappa, sigma = float(np.exp(-residual.mean())), float(residual.std())

    def way(run: Run, _where: str, _key: str) -> Said:
        if not rate_of(run) or run["squares"] <= end:
            return None
        after = np.log(run["squares"] / end) / (2 * kappa * rate_of(run))
        return run["memorized"] + after, *(run["memorized"] + after * np.exp(sign * Z * sigma) for sign in (-1, 1))

    return way


def rate_of(run: Run) -> float:
    """Learning rate times weight decay: the share by which unused weights shrink in a step."""
    return float(run["config"]["optimizer.lr"] * run["config"]["optimizer.weight_decay"])


def errors(runs: Sequence[Run], way: Way, where: str, key: str) -> np.ndarray:
    """Of each run that grokked after a landmark, if anything is said there: ln(T^ / T), whether the interval holds, its width."""
    rows = []
    for run in runs:
        said, end = way(run, where, key), run[TARGET]
        if end is None or said is None or key not in run[where] or run[where][key][0] >= end:
            continue
        at, low, high = said
        rows.append((np.log(at / end), low <= end <= high, high / low))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def timing(runs: Sequence[Run], ways: Mapping[str, Way], where: str, keys: Sequence[str]) -> str:
    """The table of errors, a row for each landmark, group of moduli and forecast."""
    title = "share of the plateau" if where == "shares" else "step / step of memorizing"
    head = f"| {title} | p | forecast | runs | median error | 90th percentile | bias | 80 % intervals hold | factor wide |"
    lines = [head, "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for key in keys:
        for moduli in groups(runs):
            some = [run for run in runs if run["config"]["task.p"] in moduli]
            for name, way in ways.items():
                found = errors(some, way, where, key)
                if not len(found):
                    continue
                size, named = np.abs(found[:, 0]), " and ".join(map(str, moduli))
                cells = (f"{np.median(size):.2f}", f"{np.quantile(size, 0.9):.2f}", f"{np.median(found[:, 0]):+.2f}")
                holds, width = f"{100 * found[:, 1].mean():.0f} %", wide(float(np.median(found[:, 2])))
                lines.append(f"| {' | '.join([key, named, name, str(len(found)), *cells, holds, width])} |")
    return "\n".join(lines)


def groups(runs: Sequence[Run]) -> list[tuple[int, ...]]:
    """Moduli inside the range of the corpus of the coefficients, and those beyond it."""
    known = [run["config"]["task.p"] for run in corpus(CORPUS)]
    moduli = sorted({run["config"]["task.p"] for run in runs})
    inside = tuple(p for p in moduli if min(known) <= p <= max(known))
    return [group for group in (inside, tuple(p for p in moduli if p not in inside)) if group]


def chance_at(run: Run, key: str) -> float | None:
    """The chance, said at a multiple, to grok within the budget: 0 where no progress was seen; None if nothing was said."""
    verdict, *_, chance, _ = run["multiples_issued"].get(key, NOTHING)
    return {"groks": chance, "no progress": 0.0, "generalizes already": 1.0}.get(verdict)


def promises(runs: Sequence[Run], key: str = "4") -> str:
    """What became of runs by what was said of them at four times the step of memorizing."""
    told = "probably groks within the budget | no progress | said nothing | upper end within the budget"
    lines = [f"| kind of runs | runs | grokked | {told} |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for kind in dict.fromkeys(kind_of(run) for run in runs):
        some = [run for run in runs if kind_of(run) == kind]
        said = [run["multiples_issued"].get(key, NOTHING) for run in some]
        probably = sum(one[0] == "groks" and (one[4] or 0) > 0.5 for one in said)
        silent = sum(one[0] not in ("groks", "no progress", "generalizes already") for one in said)
        inside = sum(one[0] == "groks" and one[3] <= run["budget"] for one, run in zip(said, some, strict=True))
        grokked, none = sum(run[TARGET] is not None for run in some), sum(one[0] == "no progress" for one in said)
        lines.append(f"| {kind} | {len(some)} | {grokked} | {probably} | {none} | {silent} | {inside} |")
    return "\n".join(lines)


def kind_of(run: Run) -> str:
    """The settings of a run in words."""
    config = run["config"]
    operation = {"add": "", "x2xyy2": ", x^2 + xy + y^2"}.get(config["task.operation"], f", {config['task.operation']}")
    rate = "" if config["optimizer.lr"] == 0.001 else f", lr {config['optimizer.lr']:g}"
    operation += ", random labels" if config.get("changes") else ""
    return f"p = {config['task.p']}{operation}, decay {config['optimizer.weight_decay']:g}, {config['split.fraction']:.0%}{rate}"


def ranking(runs: Sequence[Run], key: str = "4") -> str:
    """How well chances part runs that grok within their budget from others, and steps rank runs of one kind."""
    known = [(chance, run[TARGET] is not None) for run in runs if (chance := chance_at(run, key)) is not None]
    chances, grokked = np.array([one for one, _ in known]), np.array([one for _, one in known])
    low, high = resampled(known, lambda some: auroc(*map(np.array, zip(*some, strict=True))))
    dated = [row for run in runs if (row := dated_row(run, key)) is not None]
    (index, n), (least, most) = c_index(dated), resampled(dated, lambda some: c_index(some)[0])
    return "\n".join([
        "| at 4 times the step of memorizing | value | 95 % | from |",
        "| --- | ---: | --- | --- |",
        f"| AUROC of the chance to grok within the budget | {auroc(chances, grokked):.3f} | {low:.3f} to {high:.3f} | "
        f"{len(known)} runs, {int(grokked.sum())} of which grokked |",
        f"| C-index within one kind of runs | {index:.2f} | {least:.2f} to {most:.2f} | {n} pairs |",
    ])  # fmt: skip


def auroc(chances: np.ndarray, grokked: np.ndarray) -> float:
    """Of the pairs of one run that grokked and one that did not, the share in which the first had the larger chance."""
    yes, no = chances[grokked.astype(bool)], chances[~grokked.astype(bool)]
    if not len(yes) or not len(no):
        return float("nan")
    difference = yes[:, None] - no[None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def resampled(rows: Sequence[Any], of: Callable[[list[Any]], float]) -> tuple[float, float]:
    """A percentile interval of what follows from rows, over resamples of them."""
    rng = np.random.default_rng(0)
    found = [of([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(RESAMPLES)]
    low, high = np.nanquantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def dated_row(run: Run, key: str) -> tuple[str, float, int, bool] | None:
    """Kind, step said, step at which it grokked or was last seen, and whether it grokked; None where no step was said."""
    said = as_issued(run, "multiples", key)
    end = run["last"] if run[TARGET] is None else run[TARGET]
    return None if said is None else (kind_of(run), said[0], end, run[TARGET] is not None)


def c_index(rows: Sequence[tuple[str, float, int, bool]]) -> tuple[float, int]:
    """Harrell's C within kinds, and from how many pairs: the share in which the run that was said to grok first did."""
    points = [
        0.5 + 0.5 * float(np.sign(other[1] - one[1]))
        for one in rows
        for other in rows
        if one[3] and one[2] < other[2] and one[0] == other[0]
    ]
    return (float(np.mean(points)) if points else float("nan")), len(points)


def corpus(path: Path) -> list[dict[str, Any]]:
    """The runs of a corpus, each with its whole configuration."""
    read = json.loads(path.read_bytes())
    return [run | {"config": read["shared"] | run["config"]} for run in read["runs"]]


def tables(runs: Sequence[Run], fitted_on: Sequence[Run]) -> dict[str, str]:
    """Markdown by name."""
    ways: dict[str, Way] = {"constant": constant(fitted_on), "first passage": first_passage(fitted_on)}
    ways |= {name: by_regression(fitted_on, names) for name, names in WAYS.items() if names not in METHODS.values()}
    ways["the forecast, as issued"] = as_issued
    return {
        "shares": timing(runs, ways, "shares", SHARES),
        "multiples": timing(runs, ways, "multiples", MULTIPLES),
        "promises": promises(runs),
        "ranking": ranking(runs),
    }


def main() -> int:
    """Score, then write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=UNSEEN)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if anything would change")
    arguments = parser.parse_args()
    found, text = tables(corpus(arguments.corpus), corpus(CORPUS)), GUIDE.read_text()
    written = _BLOCK.sub(lambda block: f"{block[1]}{found[block['name']]}\n{block[3]}", text)
    if arguments.check:
        return int(written != text)
    GUIDE.write_text(written)
    print("\n\n".join(found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
