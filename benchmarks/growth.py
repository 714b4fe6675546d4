"""What grows with the number of checkpoints and of runs: a commit, its memory, `interp show`, `interp runs`, `interp study show`.

    python benchmarks/growth.py [--against COMMIT] [--only commit show runs study] [--folder DIR] [--json]

`commit`: a run of a tiny model gets a checkpoint and a commit at each of 2,000 steps, in a process of its own; medians of the
first hundred, of those around the 1,000th and of the last hundred, by the processor and by the clock on the wall, which has the
waiting for the disk in it, and the process' memory after 100 and at the end. `show`: `interp show` of a run with 10,000
checkpoints of that model, and once more when everything is kept. `runs`: `interp runs` over 3,000 runs, and once more. `study`:
`interp study show` of 1,000 runs, likewise. Commands are timed by the processor, the start of their process included. Everything
lies below `--folder`, by default the system's folder for temporary files: one in memory (/dev/shm) leaves the disk out of it.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from timing import machine, options, show
from versions import ROOT, checked_out, usage_of

COMMITS, CHECKPOINTS, RUNS, POINTS, SMALL = 2000, 10_000, 3000, 1000, 8
WAYS = ("commit", "show", "runs", "study")

# Runs in the version that is first on PYTHONPATH; uses only names that all versions have.
WORK = """
import json, resource, sys, time
from pathlib import Path
import interp
from interp import CheckpointConfig, ModelConfig, ModularTask, RunConfig, synthetic
from interp.store.beginning import begin
from interp.store.writer import RunWriter, writing
from interp.training.stream import Plan

path, count, commits = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "commits"
weights = synthetic.clock_weights(11, [2])
n_parameters = sum(tensor.numel() for tensor in weights.tensors().values())
config = RunConfig(
    task=ModularTask(11), model=ModelConfig(d_model=weights.d_model, n_heads=weights.n_heads, d_mlp=weights.d_mlp),
    checkpoints=CheckpointConfig(log=0, every=1), steps=count - 1, engine="reference", threads=1,
)
plan = Plan(config, config.task, config.split.draw(config.task), config.steps, tuple(range(count)), "one-layer", n_parameters,
            "planted", 1)
losses = {"train_loss": 1.0, "test_loss": 2.0, "train_accuracy": 1.0, "test_accuracy": 0.5, "sum_squared_weights": 100.0}
processor, wall, memory = [], [], {}
with writing(path):
    begin(path, plan, provenance={})
    writer = RunWriter(path)
    for step in range(count):
        writer.save(step, weights)
        writer.add_history(step, losses)
        if commits:
            times = time.process_time(), time.perf_counter()
            writer.commit(step, {"flat": weights.W_E})
            processor.append(1e3 * (time.process_time() - times[0]))
            wall.append(1e3 * (time.perf_counter() - times[1]))
        if step in (100, count - 1):
            memory[step] = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    writer.finish(count - 1, status="finished", reason="budget")
print(json.dumps({"where": interp.__file__, "processor": processor, "wall": wall, "memory": list(memory.values())}))
"""

SMALL_PARENT = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def work(checkout: Path, path: Path, count: int, *, commits: bool) -> dict[str, Any]:
    """Make a run with one version; what its commits took."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(path), str(count), "commits" if commits else "planted"],
        check=True, capture_output=True, text=True, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)},
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    assert Path(answer["where"]).is_relative_to(checkout), f"{answer['where']} was imported, not {checkout}"
    return answer


def committed(checkout: Path, folder: Path) -> dict[str, float]:
    """Milliseconds of commits, early, in the middle and late, and MiB."""
    found = work(checkout, folder / "committed", COMMITS, commits=True)
    middle = COMMITS // 2
    places = {"first": slice(0, 100), "middle": slice(middle - 50, middle + 50), "last": slice(-100, None)}
    rows = {
        f"{what}_ms_{name}": statistics.median(found[what][at]) for what in ("processor", "wall") for name, at in places.items()
    }
    ratios = {f"{what}_ratio": rows[f"{what}_ms_last"] / rows[f"{what}_ms_first"] for what in ("processor", "wall")}
    return {**rows, **ratios, "mib_at_100": found["memory"][0], "mib_at_the_end": found["memory"][-1]}


def twice(arguments: Sequence[str], checkout: Path, folder: Path) -> dict[str, float]:
    """A command the first time and, everything kept, the least of three more."""
    first = usage_of(arguments, folder=folder, source=checkout)
    again = [usage_of(arguments, folder=folder, source=checkout) for _ in range(3)]
    return {
        "first_processor_s": first["processor_seconds"],
        "again_processor_s": min(one["processor_seconds"] for one in again),
        "again_peak_mib": peak_of(arguments, checkout, folder),
    }


def peak_of(arguments: Sequence[str], checkout: Path, folder: Path) -> float:
    """The most memory of a command, in MiB, asked by a small process: a child is charged with what its parent had at the fork."""
    asked = [sys.executable, "-c", SMALL_PARENT, sys.executable, "-m", "interp", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment)
    return int(done.stdout) / (2**20 if sys.platform == "darwin" else 2**10)


def shown(checkout: Path, folder: Path) -> dict[str, float]:
    """`interp show` of a run with many checkpoints."""
    work(checkout, folder / "long", CHECKPOINTS, commits=False)
    return twice(["show", str(folder / "long"), "--threads", "1"], checkout, folder)


def listed(checkout: Path, folder: Path) -> dict[str, float]:
    """`interp runs` over many runs."""
    work(checkout, folder / "one", SMALL, commits=False)
    for number in range(RUNS):
        shutil.copytree(folder / "one", folder / "runs" / f"run-{number:04}")
    return twice(["runs", "--root", str(folder / "runs")], checkout, folder)


def studied(checkout: Path, folder: Path) -> dict[str, float]:
    """`interp study show` of a study with many runs."""
    from interp import Study, recipe

    work(checkout, folder / "other", SMALL, commits=False)
    study = Study(recipe("demo"), {"optimizer.weight_decay": "0.1:10:100:log"}, range(POINTS // 100), name="many", root=folder)
    study.save()
    for point in study.points:
        shutil.copytree(folder / "other", study.path_of(point.name))
    return twice(["study", "show", str(study.folder)], checkout, folder)


MEASURES: dict[str, Callable[[Path, Path], dict[str, float]]] = dict(zip(WAYS, (committed, shown, listed, studied), strict=True))


def text_of(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """The table, a column for each version."""
    lines = [f"{'':32}" + "".join(f"{name:>14}" for name in found)]
    first = next(iter(found.values()))
    for way, rows in first.items():
        for row in rows:
            lines.append(f"{way + ' ' + row:32}" + "".join(f"{one[way][row]:14.2f}" for one in found.values()))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--against", metavar="COMMIT", help="another version to measure too")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=WAYS, help="what to measure (default: all)")
    parser.add_argument("--folder", type=Path, help="where runs are made (default: the system's folder for temporary files)")
    given = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    with checked_out(given.against) as other:
        for name, checkout in {"this": ROOT, **({given.against: other} if other is not None else {})}.items():
            for way in given.only:
                with TemporaryDirectory(dir=given.folder) as folder:
                    found.setdefault(name, {})[way] = MEASURES[way](checkout, Path(folder))
    show({"machine": machine(), "versions": found}, as_json=given.json, text=lambda: text_of(found))


if __name__ == "__main__":
    main()
