"""Each experiment with ten paired seeds: train it, write its rows to NAME.csv, a picture, and its table into the pages here.

    python docs/experiments/ten_seeds.py train [--root checkpoints/ten-seeds] [--seeds 0-9] [--only chimera ticket ...]
    python docs/experiments/ten_seeds.py write [--check]

A pair is a run of the demo's configuration for 4,000 steps, whose seed sets initial weights and split, and everything that is
made of it: an arm and its control differ in nothing else. `train` goes on where it was stopped, runs that are there are not
trained again; two processes with different seeds share the work, and one that has all seeds then writes rows and pictures (the
latter by a browser). `write` needs the rows alone. With --check nothing is written; exit code 1 if something would be.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go

import interp
from interp.figures.crossing_figure import crossing_figure
from interp.figures.readout_figure import readout_figure
from interp.figures.saving import save
from interp.studies.comparing import paired
from interp.studies.durations import Durations, NotBounded
from interp.studies.survival import kaplan_meier

FOLDER = Path(__file__).parent
STEPS, MIDDLE, DECAYS = 4_000, 1_000, (0.5, 1.0, 2.0, 4.0)  # the demo's own weight decay is 2
_BLOCK = re.compile(r"(<!-- ten seeds: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Rows = pd.DataFrame


def base(root: Path, seed: int) -> interp.Run:
    """The run that a pair begins with; the whole state of its step 1,000 is kept."""
    demo = interp.recipe("demo")
    config = replace(
        demo,
        seed=seed,
        split=replace(demo.split, seed=seed),
        steps=STEPS,
        until_settled=False,
        threads=1,
        checkpoints=replace(demo.checkpoints, moments=(MIDDLE,)),
    )
    return interp.record(config, root=root, name=f"seed{seed}", progress=False)


def chimera(root: Path, seed: int) -> Rows:
    """Of this run and the next one's, at step 500."""
    runs = [base(root, seed), base(root, (seed + 1) % 10)]
    found = interp.chimera(*runs, step=500, steps=STEPS, root=root / f"chimera{seed}", progress=False)
    for whose in ("direction", "length"):
        found[f"keys of the {whose}"] = [row[f"shared with {row[f'{whose} of']}"] for _, row in found.iterrows()]
    names = {run.name: name for run, name in zip(runs, ("own", "other"), strict=True)}
    found["arm"] = [
        f"direction {names[d]}, length {names[n]}" for d, n in zip(found["direction of"], found["length of"], strict=True)
    ]
    found["path"] = [str(root / f"chimera{seed}" / name) for name in found["run"]]
    return found[["arm", "memorized", "grokked", "test_accuracy", "norm", "keys of the direction", "keys of the length", "path"]]


def transplant(root: Path, seed: int) -> Rows:
    """Attention and W_in of the last step, in new initial weights."""
    run = base(root, seed)
    found = interp.transplant(run, step=STEPS, seeds=[100 + seed], steps=STEPS, progress=False)
    return _arms(found, run, root)


def ticket(root: Path, seed: int) -> Rows:
    """The mask of the last step by magnitude, on the initial weights."""
    run = base(root, seed)
    return _arms(interp.ticket(run, step=STEPS, seeds=[seed], steps=STEPS, progress=False), run, root)


def clusters(root: Path, seed: int) -> Rows:
    """The same by clusters of neurons."""
    run = base(root, seed)
    found = interp.ticket(run, step=STEPS, by="clusters", seeds=[seed], steps=STEPS, progress=False)
    return _arms(found, run, root)


def decay(root: Path, seed: int) -> Rows:
    """Forks at step 1,000 with other weight decays; one has the run's own."""
    rows = []
    for value in DECAYS:
        changes = {"optimizer.weight_decay": value, "steps": 12_000, "until_settled": True}
        run = interp.fork(base(root, seed), MIDDLE, name=f"seed{seed}-decay{value:g}", root=root, progress=False, **changes)
        delay = _first(run) - MIDDLE or np.nan  # 0: it had grokked before it was forked
        row = {"arm": f"{value:g}", "grokked": _first(run), "last_step": run.steps[-1], "delay x decay": delay * value}
        rows.append({**row, "path": str(run.path)})
    return pd.DataFrame(rows)


def readout(root: Path, seed: int) -> Rows:
    """At the first checkpoint at which train accuracy is 99 %, and then at even steps."""
    run = base(root, seed)
    columns = run.columns
    memorized = columns["step"][columns["train_accuracy"] >= 0.99][0]
    first = next(step for step in run.steps if step >= memorized)
    found = interp.readout(run, steps=[0, first, 500, 1_000, 2_000, STEPS], seed=seed).reset_index()
    found.insert(0, "arm", ["step 0", "memorized", "step 500", "step 1,000", "step 2,000", "step 4,000"])
    return found


def ungrok(root: Path, seed: int) -> Rows:
    """From grokking to step 6,000 with 15 or 5 % of the pairs, then with 40 % again until step 10,000."""
    return pd.concat([_there_and_back(root, seed, fraction) for fraction in (0.15, 0.05)])


def _there_and_back(root: Path, seed: int, fraction: float) -> Rows:
    config = replace(base(root, seed).config, steps=10_000, changes=(f"grokked:pairs={fraction}/0", "6000:pairs=0.4/0"))
    config = replace(config, checkpoints=replace(config.checkpoints, moments=()))
    run = interp.record(config, root=root, name=f"seed{seed}-ungrok{fraction}", progress=False)
    columns = run.columns
    steps, accuracy = (columns[name][columns["test_accuracy"] >= 0] for name in ("step", "test_accuracy"))
    down, few = steps[accuracy >= 0.99][0], f"{fraction:.0%}".replace("%", " %")
    fewer, again = (steps > down) & (steps <= 6_000), steps > 6_000
    back = steps[again][accuracy[again] >= 0.99]
    rows = [
        {"arm": f"grokked, then {few}", "step": down, "test_accuracy": accuracy[steps == down][0]},
        {"arm": f"with {few}, lowest", "step": steps[fewer][accuracy[fewer].argmin()], "test_accuracy": accuracy[fewer].min()},
        {"arm": f"with {few}, last", "step": 6_000, "test_accuracy": accuracy[fewer][-1]},
        {
            "arm": f"after {few}, 40 % again, first at 99 %",
            "step": back[0] if len(back) else np.nan,
            "test_accuracy": accuracy[again].max(),
        },
        {"arm": f"after {few}, 40 % again, last", "step": 10_000, "test_accuracy": accuracy[-1]},
    ]
    return pd.DataFrame(rows).assign(path=str(run.path))


EXPERIMENTS: dict[str, Callable[[Path, int], Rows]] = {
    each.__name__: each for each in (readout, transplant, ticket, clusters, chimera, decay, ungrok)
}
ARMS = {
    "readout": ("step 0", "memorized", "step 500", "step 1,000", "step 2,000", "step 4,000"),
    "transplant": ("transplant", "random direction", "nothing"),
    "ticket": ("ticket", "dense, of its norm", "random mask"),
    "clusters": ("ticket", "dense, of its norm", "largest entries", "random neurons"),
    "chimera": tuple(f"direction {one}, length {two}" for one in ("own", "other") for two in ("own", "other")),
    "decay": tuple(f"{value:g}" for value in DECAYS),
    "ungrok": tuple(
        text.format(few)
        for few in ("15 %", "5 %")
        for text in (
            "grokked, then {}", "with {}, lowest", "with {}, last", "after {}, 40 % again, first at 99 %",
            "after {}, 40 % again, last",
        )
    ),
}  # fmt: skip
# Beside which arm the others of an experiment stand.
CONTROLS = {
    "transplant": "nothing",
    "ticket": "dense, of its norm",
    "clusters": "dense, of its norm",
    "chimera": "direction own, length own",
    "decay": "2",
}


def _arms(found: Rows, run: interp.Run, root: Path) -> Rows:
    renamed = found.rename(columns={"what": "arm", f"shared with {run.name}": "shared keys"})
    renamed["path"] = [str(root / name) for name in found["run"]]
    return renamed[["arm", "memorized", "grokked", "test_accuracy", "shared keys", "path"]]


def _first(run: interp.Run) -> float:
    columns = run.columns
    reached = columns["step"][columns["test_accuracy"] >= 0.99]
    return float(reached[0]) if len(reached) else np.nan


def picture(name: str, rows: Rows) -> go.Figure:
    """Every network's test accuracy over its steps, and when it grokked; of the readout, the medians of its accuracies."""
    title = f"{name}: ten pairs, p = 59"
    if name == "readout":
        middle = rows.groupby("arm", sort=False).median(numeric_only=True)
        accuracies = {column: middle[column].tolist() for column in middle.columns if column not in ("pair", "step")}
        return readout_figure([int(step) for step in middle["step"]], accuracies)
    if name == "ungrok":
        rows = rows[rows["arm"].str.endswith("first at 99 %")].rename(columns={"step": "grokked"})
        rows = rows.assign(arm=rows["arm"].str.removesuffix(", first at 99 %"))
    columns = [interp.open_run(path).columns for path in rows["path"]]
    curves = [(its["step"].tolist(), its["test_accuracy"].tolist()) for its in columns]
    told = rows.rename(columns={"arm": "what", "pair": "seed"})[["what", "seed", "grokked"]]
    return crossing_figure(told.to_dict("records"), curves, title=title)


def table(name: str, rows: Rows) -> str:
    """A Markdown table with a row for each arm."""
    if name not in CONTROLS:
        return plain(rows)
    return timed(name, rows) + (_within_pairs(rows["delay x decay"], rows["pair"]) if name == "decay" else "")


def timed(name: str, rows: Rows) -> str:
    """When each arm grokked, and in how many pairs before its control."""
    lines = [["arm", "grokked", "median step, 95 %", "before the control", "p"]]
    others = [
        column
        for column in rows.columns
        if column in ("test_accuracy", "shared keys", "delay x decay") or column.startswith("keys of")
    ]
    lines[0] += [f"{column.replace('_', ' ')}, median" for column in others]
    control = _durations(rows[rows["arm"] == CONTROLS[name]])
    for arm, of in rows.groupby("arm", sort=False):
        runs = _durations(of)
        middle = kaplan_meier(runs).quantile(0.5)
        told = [str(arm), f"{runs.events} of {runs.n}", _steps(middle.value, middle.low, middle.high)]
        if arm == CONTROLS[name]:
            told += ["-", "-"]
        else:
            against = paired(runs, control)
            told += ["none decided", "-"] if isinstance(against, NotBounded) else [
                f"{against.statistic:.0f} of {against.freedom}", f"{against.p:.2g}"
            ]  # fmt: skip
        lines.append(told + [f"{of[column].median():,.4g}" for column in others])
    return _markdown(lines)


def _within_pairs(found: pd.Series, pair: pd.Series) -> str:
    by_pair = found.groupby(pair)
    ratios, means = (by_pair.max() / by_pair.min())[by_pair.count() > 1], by_pair.mean()
    return (
        f"\nThe largest of a pair's {found.name} is {ratios.median():.2f} times its smallest (median of {len(ratios)} pairs; at "
        f"most {ratios.max():.2f} times); over the pairs their means run from {means.min():,.0f} to {means.max():,.0f}.\n"
    )


def plain(rows: Rows) -> str:
    """Median, smallest and largest of every number, by arm."""
    numbers = [column for column in rows.columns if column not in ("arm", "pair")]
    lines = [["", *(column.replace("_", " ") for column in numbers)]]
    for arm, of in rows.groupby("arm", sort=False):
        lines.append([str(arm), *(_spread(of[column]) for column in numbers)])
    return _markdown(lines)


def _durations(of: Rows) -> Durations:
    ends = of["last_step"] if "last_step" in of else pd.Series(STEPS, index=of.index)
    return Durations.of(of["grokked"].fillna(ends).to_numpy(), of["grokked"].notna().to_numpy())


def _steps(value: float | None, low: float | None, high: float | None) -> str:
    def one(step: float | None, missing: str) -> str:
        return missing if step is None else f"{step:,.0f}"

    if value is None and low is None:
        return "not reached"
    return f"{one(value, 'not reached')} ({one(low, '?')} to {one(high, 'beyond')})"


def _spread(found: pd.Series) -> str:
    there = found.dropna()
    if there.empty:
        return "never"
    form = "{:,.0f}" if found.name == "step" else "{:.3f}"
    text = f"{form.format(there.median())} ({form.format(there.min())} to {form.format(there.max())})"
    return text if len(there) == len(found) else f"{text}, in {len(there)} of {len(found)}"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---", *["---:"] * (len(head) - 1)], *rest]) + "\n"


def written(text: str) -> str:
    """A page with its tables written anew."""

    def block(match: re.Match[str]) -> str:
        rows = pd.read_csv(FOLDER / f"{match[2]}.csv", dtype={"arm": str})
        return f"{match[1]}{table(match[2], rows)}{match[3]}"

    return _BLOCK.sub(block, text)


def train(root: Path, seeds: Sequence[int], names: Sequence[str]) -> None:
    """Train what is missing; with all ten seeds, write the rows."""
    for name in names:
        found = []
        for seed in seeds:
            print(f"{name}, seed {seed}", flush=True)
            rows = EXPERIMENTS[name](root, seed)
            rows.insert(0, "pair", seed)
            found.append(rows)
        if len(seeds) == 10:
            rows = pd.concat(found)
            assert tuple(dict.fromkeys(rows["arm"])) == ARMS[name], name
            save(picture(name, rows), FOLDER / f"{name}.png", scale=1)
            rows = rows.drop(columns="path", errors="ignore")
            rows.to_csv(FOLDER / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def write(*, check: bool) -> bool:
    """Write the pages anew; whether all of them were as their rows say."""
    stale = []
    for page in sorted(FOLDER.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := written(text)) != text:
            stale.append(page.name)
            if not check:
                page.write_text(new, encoding="utf-8")
    print("\n".join(f"{'stale' if check else 'written'}: {name}" for name in stale) or "every page is as its rows say")
    return not stale


def main() -> None:
    """Train, or write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "write"])
    parser.add_argument("--root", type=Path, default=Path("checkpoints/ten-seeds"), help="where the runs are kept")
    parser.add_argument("--seeds", default="0-9", help="such as 0-4")
    parser.add_argument("--only", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS))
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page would change")
    asked = parser.parse_args()
    if asked.what == "train":
        first, _, last = asked.seeds.partition("-")
        train(asked.root, range(int(first), int(last or first) + 1), asked.only)
    elif not write(check=asked.check) and asked.check:
        sys.exit(1)


if __name__ == "__main__":
    main()
