"""Runs per hour: `train_many` with one thread each, against one run after another with all threads.

    python benchmarks/many_runs.py [--runs N] [--steps N] [--rounds N] [--json]

Runs of the reference setting that differ in their seed, both ways in turn. Starting processes and imports are included.
"""

from __future__ import annotations

import time
from dataclasses import replace

from timing import machine, options, show

from interp import recipe, train_many
from interp.config.run_config import RunConfig
from interp.cores import available_threads
from interp.training.many import last_step


def one_after_another(configs: list[RunConfig]) -> None:
    """Train them in this process with all threads."""
    for config in configs:
        last_step(config)


def at_once(configs: list[RunConfig]) -> None:
    """Train them side by side, each in a process with one thread."""
    for _, step in train_many(configs):
        if isinstance(step, Exception):
            raise step


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=2)
    parser.add_argument("--runs", type=int, default=available_threads())
    parser.add_argument("--steps", type=int, default=6000)
    arguments = parser.parse_args()
    base = replace(recipe("nanda"), steps=arguments.steps, until_settled=False)
    configs = [replace(base, seed=seed) for seed in range(arguments.runs)]
    facts = machine()
    seconds: dict[str, list[float]] = {"one after another": [], "train_many": []}
    for _ in range(arguments.rounds):
        for name, way in (("one after another", one_after_another), ("train_many", at_once)):
            start = time.perf_counter()
            way(configs)
            seconds[name].append(time.perf_counter() - start)
    per_hour = {name: 3600 * len(configs) / min(values) for name, values in seconds.items()}
    ratio = per_hour["train_many"] / per_hour["one after another"]
    result = {
        "machine": facts,
        "runs": len(configs),
        "steps": arguments.steps,
        "seconds": seconds,
        "runs_per_hour": per_hour,
        "ratio": ratio,
    }

    def text() -> str:
        lines = [f"{name:20} {rate:6.0f} runs of {arguments.steps} steps an hour" for name, rate in per_hour.items()]
        return "\n".join([*lines, f"train_many does {ratio:.2f} times as many"])

    show(result, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
