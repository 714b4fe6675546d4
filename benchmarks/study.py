"""Studies: runs an hour against the same by hand, against a TransformerLens loop, and on Ray; many runs listed and shown.

    python benchmarks/study.py [--runs 12] [--rounds 1] [--only study by-hand ray bridge show runs] [--json]

`study` trains the demo recipe with as many seeds; `by-hand` does the same through `train_many`, with a job that records a run and
measures what a study measures by default (all checkpoints stay); `ray` is the study on a Ray of this machine, whose start is part
of it. In turns, each in folders of its own; the engine is compiled before. `bridge` is an estimate: the steps that these runs
took, times the median of one step of TransformerLens' grokking demo's loop (train loss only) on the same configuration, with
all threads, one run after another. `show` and `runs` time `interp study show` of 1,000 runs, and `interp runs` over 3,000, each
a copy of one small run, in processes of their own: median of five.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from timing import alternate, machine, options, show, state_after
from train_step import bridge_step
from versions import usage_of

from interp import CheckpointConfig, ModelConfig, ModularTask, Study, observe, recipe, record, train_many
from interp.config.run_config import RunConfig
from interp.cores import available_threads
from interp.studies.ray_tasks import RayTasks
from interp.studies.study_plan import DEFAULT_MEASURES, point_name

SHOWN, LISTED = 1000, 3000
WAYS = ("study", "by-hand", "ray", "bridge", "show", "runs")


def recorded_and_measured(root: Path, config: RunConfig) -> int:
    """What a user writes without studies: a run with all its checkpoints, measured in its own process."""
    run = record(config, root=root, name=point_name(config), progress=False)
    observe(run, DEFAULT_MEASURES, threads=1)
    return int(run.steps[-1])


def as_study(configs: list[RunConfig], folder: Path, *, on_ray: bool = False) -> int:
    """The same runs as a study; returns the steps of all of them."""
    study = Study(recipe("demo"), seeds=range(len(configs)), name="study", root=folder)
    tally = study.run(executor=RayTasks(study.folder) if on_ray else None, progress=False)
    if tally.failed:
        raise RuntimeError(str(dict(tally.failed)))
    return sum(study[point.name].steps[-1] for point in study.points)


def by_hand(configs: list[RunConfig], folder: Path) -> int:
    """The same runs through `train_many`."""
    found = dict(train_many(configs, partial(recorded_and_measured, folder)))
    if failed := [result for result in found.values() if isinstance(result, Exception)]:
        raise failed[0]
    return sum(found.values())


def timed(way: Callable[[Path], int]) -> tuple[float, int]:
    """Seconds, and steps of all runs, in a new folder."""
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        steps = way(Path(folder))
        return time.perf_counter() - start, steps


def training(arguments: Any) -> dict[str, Any]:
    """Runs an hour, each way."""
    base = recipe("demo")
    study = Study(base, seeds=range(arguments.runs), name="study")
    configs = [point.config for point in study.points]
    ways: dict[str, Callable[[Path], int]] = {
        "study": partial(as_study, configs),
        "by-hand": partial(by_hand, configs),
        "ray": partial(as_study, configs, on_ray=True),
    }
    record(replace(base, steps=2, threads=1), TemporaryDirectory().name, "compiled", progress=False)
    seconds: dict[str, list[float]] = {name: [] for name in ways if name in arguments.only}
    steps = 0
    for _ in range(arguments.rounds):
        for name, all_taken in seconds.items():
            taken, steps = timed(ways[name])
            all_taken.append(taken)
    rates = {name: 3600 * len(configs) / statistics.median(taken) for name, taken in seconds.items()}
    if "bridge" in arguments.only and steps:
        threads = replace(base, threads=available_threads())
        state = state_after(replace(threads, engine="cpu"), 1000)
        milliseconds = alternate({"bridge": bridge_step(threads, state, test_loss=False)}, rounds=5)["bridge"]
        rates["bridge, estimated"] = 3600 * len(configs) / (steps * statistics.median(milliseconds) / 1e3)
    return {"seconds": seconds, "steps": steps, "runs_per_hour": rates}


def small_run(root: Path) -> Path:
    """A run that was thinned out, with p = 7."""
    config = replace(
        recipe("demo"), task=ModularTask(p=7), model=ModelConfig(d_model=16, n_heads=2, d_mlp=16), steps=200,
        checkpoints=CheckpointConfig(log=4, every=20), engine="reference", until_settled=False,
    )  # fmt: skip
    study = Study(config, name="one", root=root)
    study.run(workers=1, progress=False)
    return study.path_of(study.points[0].name)


def listing(arguments: Any) -> dict[str, Any]:
    """Commands over many runs: seconds, and MiB at most."""
    found: dict[str, Any] = {}
    with TemporaryDirectory() as text:
        folder = Path(text)
        run = small_run(folder)
        if "show" in arguments.only:
            study = Study(
                recipe("demo"), {"optimizer.weight_decay": "0.1:10:100:log"}, range(SHOWN // 100), name="many", root=folder
            )
            study.save()
            for point in study.points:
                shutil.copytree(run, study.path_of(point.name))
            found[f"study show, {SHOWN:,} runs, first time"] = command(["study", "show", str(study.folder)], times=1)
            found[f"study show, {SHOWN:,} runs"] = command(["study", "show", str(study.folder)])
        if "runs" in arguments.only:
            for number in range(LISTED):
                shutil.copytree(run, folder / "listed" / f"run-{number}")
            found[f"runs, {LISTED:,} runs"] = command(["runs", "--root", str(folder / "listed")])
    return found


def command(arguments: list[str], *, times: int = 5) -> dict[str, float]:
    """Median seconds of a command in a process of its own, and the median of its largest resident set in MiB."""
    with TemporaryDirectory() as folder:
        used = [usage_of(arguments, folder=Path(folder)) for _ in range(times)]
    return {name: statistics.median(one[name] for one in used) for name in used[0]}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=1)
    parser.add_argument("--runs", type=int, default=12, help="runs of a study (default: 12)")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=WAYS, help="what to measure (default: all)")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "runs": arguments.runs}
    if {"study", "by-hand", "ray"} & set(arguments.only):
        result |= training(arguments)
    result["commands"] = listing(arguments)

    def text() -> str:
        lines = [f"{name:20} {rate:7.1f} runs an hour" for name, rate in result.get("runs_per_hour", {}).items()]
        for name, used in result["commands"].items():
            lines.append(f"{name:40} {used['seconds']:6.2f} s {used['peak_mib']:6.0f} MiB")
        return "\n".join(lines)

    show(result, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
