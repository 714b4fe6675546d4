"""A CUDA device: one training step, ours and others'; many runs as one batch; a whole run; both engines against shapes.

    python benchmarks/gpu.py [--rounds N] [--json]

The loops of a comparison take turns in one process, train the same model on the same pairs, and read the training loss of
every step, as a loop does that watches it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import torch
from scaling import Point, points
from timing import alternate, machine, options, show, spread
from train_step import bridge_step, engine_step

from interp import recipe, train
from interp.config.run_config import RunConfig
from interp.training.choice import make_engine
from interp.training.stacked.graphs import GraphedRuns

OURS = "interp, CUDA engine"
STACKS = (1, 4, 16, 64, 256)


def steps(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds a step of one run, and how many times ours."""
    config = replace(recipe("transformer-lens"), device="cuda")
    loops = {
        OURS: engine_step(replace(config, engine="cuda")),
        "interp, reference engine (autograd at the last position)": engine_step(replace(config, engine="reference")),
        "TransformerLens bridge, train loss only": bridge_step(config, test_loss=False),
        "TransformerLens bridge, the demo's loop with its test loss": bridge_step(config, test_loss=True),
    }
    rows = {name: spread(times) for name, times in alternate(loops, rounds=rounds, seconds=0.2).items()}
    for row in rows.values():
        row["times_ours"] = row["median"] / rows[OURS]["median"]
    return rows


def stacks(rounds: int) -> list[dict[str, float]]:
    """Steps of many runs in one batch, with the evaluations of the recipe; the memory that the device gave for it."""
    config = replace(recipe("nanda"), device="cuda", engine="cuda")
    rows = []
    for number in STACKS:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        graphed = GraphedRuns([replace(config, seed=seed) for seed in range(number)])

        def stretch(graphed: GraphedRuns = graphed) -> None:
            for _ in range(config.evaluate_every):
                graphed.gradient()
                graphed.update()
            graphed.evaluate(0)

        times = alternate({"": stretch}, rounds=rounds, seconds=0.2)[""]
        milliseconds = spread(times)["median"] / config.evaluate_every
        row = {"runs": number, "milliseconds": milliseconds, "runs_per_hour": 3.6e6 * number / milliseconds / config.steps}
        rows.append({**row, "steps": config.steps, "peak_mib": torch.cuda.max_memory_reserved() / 2**20})
        del graphed, stretch
    return rows


def whole_run() -> dict[str, float]:
    """The nanda recipe, from nothing to its last step; nothing is saved."""
    config: RunConfig = replace(recipe("nanda"), device="cuda")
    start = time.perf_counter()
    *_, last = train(config)
    return {"seconds": time.perf_counter() - start, "steps": last.index, "test_accuracy": last.test_accuracy or 0.0}


def shapes(rounds: int) -> list[dict[str, float]]:
    """The CUDA engine against the reference engine, in the settings of scaling.py."""
    rows = []
    large = (Point("large p", p=1009), Point("large p, narrow", p=509, d_model=32), Point("large p, wide", p=509, d_mlp=2048))
    for point in (*points(), *large):
        if point.varies == "threads":
            continue
        config = replace(point.config(), device="cuda")
        loops = {engine: engine_step(replace(config, engine=engine)) for engine in ("cuda", "reference")}
        times = {name: spread(values) for name, values in alternate(loops, rounds=rounds, seconds=0.1).items()}
        ratio = times["reference"]["median"] / times["cuda"]["median"]
        rows.append({**asdict(point), "milliseconds": times, "ratio": ratio, "auto": make_engine(config).name})
        del loops
        torch.cuda.empty_cache()
    return rows


def main() -> None:
    """Measure and print."""
    arguments = options(__doc__, rounds=10).parse_args()
    facts = machine()
    result = {
        "machine": facts,
        "milliseconds": steps(arguments.rounds),
        "stacks": stacks(3),
        "nanda": whole_run(),
        "points": shapes(2),
    }

    def text() -> str:
        lines = [f"{facts['gpu']}, torch {facts['torch']}; milliseconds a step"]
        for name, row in result["milliseconds"].items():
            lines.append(f"{name:60} median {row['median']:7.2f}  least {row['least']:6.2f}  x{row['times_ours']:.1f}")
        for row in result["stacks"]:
            each = row["milliseconds"] / row["runs"]
            rate = f"{row['runs_per_hour']:6.0f} runs of {row['steps']:,} steps an hour"
            lines.append(f"{row['runs']:4} runs: {row['milliseconds']:7.2f}, {each:.3f} a run, {rate}, {row['peak_mib']:.0f} MiB")
        whole = result["nanda"]
        least = min((row for row in result["points"] if row["auto"] == "cuda"), key=lambda row: row["ratio"])
        lines.append(f"the nanda recipe: {whole['seconds']:.1f} s for its {whole['steps']:,} steps")
        where = f"p = {least['p']}, {least['varies']}"
        lines.append(f"where auto takes it, against the reference engine, at the least: x{least['ratio']:.2f} ({where})")
        return "\n".join(lines)

    show(result, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
