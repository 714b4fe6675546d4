"""Memory and time of runs as they are estimated from the configuration, beside what they take.

    python benchmarks/estimates.py [--steps N] [--json]

Each setting is trained for some steps in a process of its own; its peak is what it took beyond what the libraries had taken when
they were loaded. Steps are timed after the first, with their evaluations left out. docs/limits.md has the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace

from interp import recipe
from interp.config.run_config import CheckpointConfig, ModelConfig, OptimizerConfig, RunConfig
from interp.machine import in_bytes
from interp.tasks.modular import ModularTask
from interp.tasks.splits import SplitConfig
from interp.training.demand import demand

_RUN = """
import sys, json, time
from pathlib import Path
import interp.training.cpu.cpu_engine
from interp.config.run_config import RunConfig
from interp.training.loop import Training

def said(name):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines[name].split()[0])

config = RunConfig.from_json(sys.stdin.read())
before, marks = said("VmRSS"), []
for step in Training(config):
    marks.append((time.perf_counter(), step.test_loss is None))
spans = [after - before for (before, _), (after, plain) in zip(marks, marks[1:]) if plain]
print(json.dumps({"peak": said("VmHWM") - before, "seconds": sorted(spans)[len(spans) // 2]}))
"""


def settings() -> list[RunConfig]:
    """Small and large in each of the numbers that make a run large."""
    plain = replace(recipe("nanda"), threads=1, checkpoints=CheckpointConfig(log=0, every=0), evaluate_every=10**6)
    found = []
    for engine, p, model, fraction in (
        ("reference", 59, ModelConfig(), 0.3), ("reference", 113, ModelConfig(), 0.3), ("reference", 199, ModelConfig(), 0.3),
        ("reference", 199, ModelConfig(d_model=16, n_heads=16, d_mlp=64), 0.8), ("reference", 29, ModelConfig(d_model=2048), 0.5),
        ("cpu", 59, ModelConfig(), 0.3), ("cpu", 113, ModelConfig(), 0.3), ("cpu", 307, ModelConfig(), 0.3),
        ("cpu", 599, ModelConfig(d_mlp=64), 0.3), ("cpu", 1499, ModelConfig(d_model=16, n_heads=1, d_mlp=16), 0.3),
    ):  # fmt: skip
        split = SplitConfig(fraction=fraction)
        found.append(replace(plain, task=ModularTask(p), model=model, split=split, engine=engine))  # type: ignore[arg-type]  # names above
    for p, fraction, model, optimizer in (
        (97, 0.5, ModelConfig(n_layers=2, normalization="post"), OptimizerConfig(batch_size=512)),
        (97, 0.5, ModelConfig(n_layers=2), OptimizerConfig()), (59, 0.3, ModelConfig(n_layers=4, dropout=0.1), OptimizerConfig()),
        (113, 0.3, ModelConfig(architecture="attention-only"), OptimizerConfig(name="sgd")),
        (113, 0.5, ModelConfig(architecture="mlp", activation="square"), OptimizerConfig()),
    ):  # fmt: skip
        task, split = ModularTask(p, equals_sign=True), SplitConfig(fraction=fraction)
        other = replace(plain, task=task, split=split, model=model, optimizer=optimizer, engine="reference")
        found.append(other)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="steps of each run (default: 4)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows = []
    for config in (replace(each, steps=arguments.steps) for each in settings()):
        done = subprocess.run([sys.executable, "-c", _RUN], input=config.to_json(), capture_output=True, text=True, check=True)
        estimated = demand(replace(config, steps=1000), config.engine)
        rows.append({"config": config.to_dict(), **json.loads(done.stdout), "memory": estimated.memory,
                     "estimated_seconds": estimated.seconds / 1000})  # fmt: skip
        if not arguments.json:
            row, model = rows[-1], config.model
            print(
                f"{config.engine:9} p {config.task.p:5} d_model {model.d_model:5} heads {model.n_heads:3} d_mlp {model.d_mlp:4}  "
                f"peak {in_bytes(row['peak']):>7}, estimated {in_bytes(row['memory']):>7}  "
                f"step {1e3 * row['seconds']:8.1f} ms, estimated {1e3 * row['estimated_seconds']:8.1f} ms",
                flush=True,
            )
    if arguments.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
