"""The trial of the doctor: planted failures and healthy runs, none of which was used to write a rule; results in trial.json.

    python docs/doctor/trial.py             # trains what is missing, one run after the other; interrupted, it goes on
    python docs/doctor/trial.py --minutes 20
    python docs/doctor/trial.py --near      # the second trial: settings near the bounds
    python docs/doctor/trial.py --score     # writes the tables of docs/doctor.md from what is there
    python docs/doctor/trial.py --score --check

Settings are drawn by a seeded generator, kind by kind. A draw that turns out not to be what it was meant to be (a planted failure
that groks, a healthy run that does not) is kept in the file and named in the guide, and another is drawn in its place. Each is
judged twice: as a configuration, before it is trained, and as a run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import interp
from interp.errors import TrainingError
from interp.forecasting.doctor.admission import of_run
from interp.forecasting.doctor.diagnosing import judge
from interp.forecasting.doctor.knowledge import KNOWLEDGE, knowledge
from interp.forecasting.doctor.patient import settings_of
from interp.forecasting.fitted import Remaining

HERE = Path(__file__).parent
RESULTS = {"table": HERE / "trial.json", "near": HERE / "trial-near.json"}
GUIDE = HERE.parent / "doctor.md"
RULES = HERE.parent.parent / "interp" / "forecasting" / "doctor"
SEED, BUDGET = 20261129, 5000
MODULI = (23, 29, 31, 37, 41, 43, 47, 53, 59)
Range = tuple[float, float]
# Of a kind no more draws are made than this many times as many as are wanted: some ranges do no harm at all.
MOST = 5


@dataclass(frozen=True)
class Far:
    """How far from what does: the ranges that are drawn from, and how many of each kind are.

    Args:
        name: of the trial.
        planted: kinds and their numbers.
        enough: share of the pairs of healthy runs, over that of the boundary.
        decay: weight decay; every other run of the far trial has none.
        few: share of the pairs over that of the boundary.
        many: share of the pairs.
        slow: learning rate, too low.
        fast: learning rate, too high.
        small: initial scale, too small.
        large: initial scale, too large, with 2,500 steps.
        short: budget over the median time.
        epsilon: of Adam.
    """

    name: str
    planted: Mapping[str, int]
    enough: Range
    decay: Range
    few: Range
    many: Range
    slow: Range
    fast: Range
    small: Range
    large: Range
    short: Range
    epsilon: Range


# How many of each kind; 40 failures and 20 healthy runs.
PLANTED = {
    "weight decay": 6, "too few pairs": 6, "too many pairs": 5, "learning rate": 5, "initial scale": 4, "budget": 5,
    "no structure": 5, "split leaks": 2, "precision": 2, "healthy": 20,
}  # fmt: skip
# Settings near the bounds, fewer of them: what is in doubt.
NEARLY = {
    "weight decay": 4, "too few pairs": 5, "too many pairs": 3, "learning rate": 4, "initial scale": 4, "budget": 4,
    "precision": 2, "healthy": 8,
}  # fmt: skip
FAR = Far(
    "table", PLANTED, enough=(1.25, 1.7), decay=(0.01, 0.2), few=(0.5, 0.8), many=(0.87, 0.97), slow=(1e-5, 8e-5),
    fast=(0.03, 0.3), small=(0.01, 0.08), large=(20, 100), short=(0.15, 0.35), epsilon=(1e-3, 3e-2),
)  # fmt: skip
NEAR = Far(
    "near", NEARLY, enough=(1.08, 1.25), decay=(0.2, 0.5), few=(0.8, 0.97), many=(0.8, 0.88), slow=(8e-5, 2.5e-4),
    fast=(0.012, 0.03), small=(0.08, 0.2), large=(5, 20), short=(0.35, 0.8), epsilon=(1e-4, 1e-3),
)  # fmt: skip
_BLOCK = re.compile(r"(<!-- trial: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def mirrored(config: interp.SplitConfig, task: interp.ModularTask) -> interp.Split:
    """A split by unordered pairs: of (a, b) and (b, a) one is trained on, the other is a test pair; (a, a) is trained on."""
    a, b = task.pairs.T
    flip = np.random.default_rng(config.seed).integers(0, 2, (task.p, task.p))
    is_trained = (np.where(a < b, flip[a, b], 1 - flip[b, a]) == 1) | (a == b)
    return interp.Split(train=np.flatnonzero(is_trained), test=np.flatnonzero(~is_trained))


def between(draw: np.random.Generator, ends: Range) -> float:
    """Log-uniform, three digits."""
    return float(f"{np.exp(draw.uniform(*np.log(ends))):.3g}")


def healthy(draw: np.random.Generator, far: Far) -> interp.RunConfig:
    """Settings that should do, and a budget that the slowest of ten keep to."""
    known = knowledge()
    p = int(draw.choice(MODULI))
    fraction = round(min(float(draw.uniform(*far.enough)) * known.boundary.fraction(p), 0.75), 3)
    base = interp.recipe("demo")
    config = replace(
        base,
        task=replace(base.task, p=p),
        split=replace(base.split, fraction=fraction, seed=int(draw.integers(10**6))),
        optimizer=replace(base.optimizer, weight_decay=between(draw, (1, 3)), lr=between(draw, (7e-4, 2e-3))),
        seed=int(draw.integers(10**6)),
        threads=1,
    )
    return replace(config, steps=int(max(BUDGET, 500 * np.ceil(expected(config).quantile(0.9) / 500))))


def expected(config: interp.RunConfig) -> Remaining:
    """When such runs grok, by the law of the settings."""
    found = knowledge().expected(settings_of(config.to_dict()))
    assert found is not None
    return found


def planted(kind: str, draw: np.random.Generator, number: int, far: Far) -> interp.RunConfig:  # noqa: PLR0911  one case a kind
    """Healthy settings with one thing wrong."""
    config = healthy(draw, FAR if kind != "healthy" else far)
    optimizer, split, p = config.optimizer, config.split, config.task.p
    if kind == "healthy":
        return config
    config = replace(config, steps=min(config.steps, 2 * BUDGET))
    match kind:
        case "weight decay":
            decay = 0.0 if number % 2 and far is FAR else between(draw, far.decay)
            return replace(config, optimizer=replace(optimizer, weight_decay=decay))
        case "too few pairs":
            fraction = round(float(draw.uniform(*far.few)) * knowledge().boundary.fraction(p), 3)
            return replace(config, split=replace(split, fraction=fraction))
        case "too many pairs":
            return replace(config, split=replace(split, fraction=round(float(draw.uniform(*far.many)), 3)))
        case "learning rate":
            return replace(config, optimizer=replace(optimizer, lr=between(draw, far.fast if number % 2 else far.slow)))
        case "initial scale":
            scale = between(draw, far.small if number % 2 else far.large)
            config = replace(config, model=replace(config.model, init_scale=scale))
            return config if number % 2 else replace(config, steps=2500)
        case "budget":
            return replace(config, steps=int(max(250, 50 * (float(draw.uniform(*far.short)) * expected(config).median // 50))))
        case "no structure":
            table = draw.integers(0, p, (p, p)) if number % 2 else draw.permutation(config.task.labels).reshape(p, p)
            return replace(config, task=interp.binary_operation("a table", table))
        case "split leaks":
            return replace(config, split=replace(split, fraction=0.5))
    return replace(config, optimizer=replace(optimizer, eps=between(draw, far.epsilon)))


def trained(kind: str, config: interp.RunConfig, folder: Path) -> interp.Run:
    """The run, also where its loss ended it. No configuration can say a split that leaks: there another is drawn in its place."""
    draw = mirrored if kind == "split leaks" else interp.SplitConfig.draw
    try:
        with patch.object(interp.SplitConfig, "draw", draw):
            return interp.record(config, root=folder, name="run", progress=False)
    except TrainingError:
        return interp.open_run(folder / "run")


def is_as_meant(kind: str, row: dict[str, Any]) -> bool:
    """Whether a run became what it was meant to be."""
    if kind == "split leaks":  # whether it groks by its leak or not, the split leaks
        return True
    slow = row["first"] is not None and row["first"] >= 3 * row["mem"]
    if kind == "healthy":
        return slow
    return row["first"] is not None and not slow if kind == "too many pairs" else row["first"] is None


def examine(kind: str, config: interp.RunConfig) -> dict[str, Any]:
    """Judge a configuration, train it, judge the run."""
    begun, before = time.perf_counter(), interp.diagnose(config)
    with tempfile.TemporaryDirectory() as folder:
        run = trained(kind, config, Path(folder))
        patient = of_run(run)
        after, course = judge(patient), patient.course
        shutil.rmtree(run.path)
    assert course is not None
    optimizer = config.optimizer
    row = {
        "kind": kind, "p": config.task.p, "fraction": config.split.fraction, "weight_decay": optimizer.weight_decay,
        "lr": optimizer.lr, "init_scale": config.model.init_scale, "eps": optimizer.eps, "steps": config.steps,
        "seeds": [config.seed, config.split.seed], "mem": course.memorized, "first": course.grokked, "last": course.step,
        "test_accuracy": None if course.test_accuracy is None else round(course.test_accuracy, 3),
        "before": [[one.cause, round(one.sure, 3)] for one in before.findings],
        "after": [[one.cause, round(one.sure, 3)] for one in after.findings],
        "seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip
    return row | {"as_meant": is_as_meant(kind, row)}


def rules() -> str:
    """SHA-256 of the rules and of what they know, as they are."""
    found = hashlib.sha256()
    for path in sorted([*RULES.rglob("*.py"), KNOWLEDGE]):
        found.update(path.relative_to(RULES).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def go_on(until: float, save: Callable[[list[dict[str, Any]]], None], rows: list[dict[str, Any]], far: Far) -> None:
    """Draw, train and judge what is missing; each run has a generator of its own, so that pieces may end anywhere."""
    for place, (kind, wanted) in enumerate(far.planted.items()):
        drawn = [row for row in rows if row["kind"] == kind]
        while sum(row["as_meant"] for row in drawn) < wanted and len(drawn) < MOST * wanted and time.monotonic() < until:
            number = len(drawn)
            seeds = [SEED, place, number] if far is FAR else [SEED + 1, place, number]
            config = planted(kind, np.random.default_rng(seeds), number, far)
            drawn.append(examine(kind, config))
            rows.append(drawn[-1])
            save(rows)
            print(json.dumps(drawn[-1]), flush=True)


def scores(rows: list[dict[str, Any]], far: Far) -> str:
    """The table: of each kind how many, and how often the first cause was the right one, before and after training."""
    lines = ["| planted | runs | first cause right, from the configuration | from the run | not what was meant |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    totals = np.zeros(4, dtype=int)
    for kind in far.planted:
        mine = [row for row in rows if row["kind"] == kind and row["as_meant"]]
        left_out = sum(row["kind"] == kind for row in rows) - len(mine)
        right = [sum(is_right(kind, row[when]) for row in mine) for when in ("before", "after")]
        judged = [0 if kind == "split leaks" else len(mine), len(mine)]  # of a split only a run can tell
        if kind == "healthy":
            told = f"{totals[1]} of {totals[0]} | {totals[3]} of {totals[2]}"
            lines.append(f"| all planted failures | {totals[2]} | {told} | |")
        else:
            totals += [judged[0], right[0], judged[1], right[1]]
        name = "healthy: nothing found" if kind == "healthy" else kind
        before = "cannot be told" if kind == "split leaks" else f"{right[0]} of {judged[0]}"
        lines.append(f"| {name} | {len(mine)} | {before} | {right[1]} of {judged[1]} | {left_out} |")
    return "\n".join(lines)


def is_right(kind: str, found: list[Any]) -> bool:
    """Whether the first cause is the planted one; of a healthy run, whether there is none."""
    return not found if kind == "healthy" else bool(found) and found[0][0] == kind


def main() -> int:
    """Train, or score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--near", action="store_true", help="the second trial, near the bounds")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--score", action="store_true", help="write the tables of the guide; trains nothing")
    parser.add_argument("--check", action="store_true", help="with --score: change nothing; fail if anything would change")
    arguments = parser.parse_args()
    if arguments.score:
        text, tables = GUIDE.read_text(), {far.name: scores(kept(far)["rows"], far) for far in (FAR, NEAR)}
        written = _BLOCK.sub(lambda block: f"{block[1]}{tables[block['name']]}\n{block[3]}", text)
        if arguments.check:
            return int(written != text)
        GUIDE.write_text(written)
        print("\n\n".join(tables.values()))
        return 0
    far = NEAR if arguments.near else FAR
    found = kept(far)
    if found["rules"] != rules():
        print("the rules are not those that the trial was begun with", file=sys.stderr)
        return 1

    def save(rows: list[dict[str, Any]]) -> None:
        lines = ",\n".join(json.dumps(row) for row in rows)
        RESULTS[far.name].write_text(f'{{"rules": "{found["rules"]}", "rows": [\n{lines}\n]}}\n')

    go_on(time.monotonic() + 60 * arguments.minutes, save, found["rows"], far)
    return 0


def kept(far: Far) -> dict[str, Any]:
    """What a trial has so far, and the hash of the rules that it was begun with."""
    path = RESULTS[far.name]
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"rules": rules(), "rows": []}
    return found


if __name__ == "__main__":
    raise SystemExit(main())
