"""Time of one training step: ours, a plain autograd loop, and TransformerLens' native bridge, in turn in one process.

    python benchmarks/train_step.py [--rounds N] [--threads N] [--json]

All train the same model from the same weights on the same pairs. Turns alternate, so that whatever else the machine does falls on
all of them; shares of time are what to read on a busy machine, milliseconds on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F

from interp import HookedModel, recipe
from interp.config import RunConfig
from interp.training.engine import make_engine
from interp.training.initial import initial_weights
from interp.training.threads import threads_for


def engine_step(config: RunConfig) -> Callable[[], object]:
    """Gradient and update of one of our engines."""
    engine = make_engine(config)

    def step() -> None:
        engine.gradient()
        engine.update()

    return step


def bridge_step(config: RunConfig, *, test_loss: bool) -> Callable[[], object]:
    """The loop of TransformerLens' grokking demo on a `TransformerBridge`; with the test loss of every step, as it is written."""
    bridge = HookedModel(initial_weights(config)).to_bridge()
    optimizer = torch.optim.AdamW(bridge.parameters(), lr=1e-3, weight_decay=1.0, betas=(0.9, 0.98))
    task, split = config.task, config.split.draw(config.task)
    tokens = F.pad(torch.from_numpy(task.pairs), (0, 1), value=task.p)
    labels = torch.from_numpy(task.labels)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        logits = bridge(tokens[rows])[:, -1].to(torch.float64)
        return -logits.log_softmax(-1).gather(-1, labels[rows, None]).mean()

    train, test = torch.from_numpy(split.train), torch.from_numpy(split.test)

    def step() -> None:
        train_loss = loss(train)
        train_loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if test_loss:
            with torch.inference_mode():
                loss(test)

    return step


def measure(steps: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every step, each loop in turn."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            for _ in range(10 if name == "interp, cpu engine" else 2):
                start = time.perf_counter()
                step()
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    config = replace(recipe("transformer-lens"), threads=arguments.threads)
    config = replace(config, threads=threads_for(config))
    torch.set_num_threads(config.threads)
    loops = {
        "interp, cpu engine": engine_step(replace(config, engine="cpu")),
        "interp, reference engine (autograd)": engine_step(replace(config, engine="reference")),
        "TransformerLens bridge, train loss only": bridge_step(config, test_loss=False),
        "TransformerLens bridge, demo loop as written": bridge_step(config, test_loss=True),
    }
    times = measure(loops, rounds=arguments.rounds)
    ours = statistics.median(times["interp, cpu engine"])
    rows = {
        name: {
            "median_ms": statistics.median(values),
            "min_ms": min(values),
            "quartiles_ms": statistics.quantiles(values, n=4)[::2],
            "times_ours": statistics.median(values) / ours,
        }
        for name, values in times.items()
    }
    if arguments.json:
        print(json.dumps({"threads": config.threads, "load": os.getloadavg(), "loops": rows}, indent=2))
        return
    print(f"{config.threads} threads, load average {os.getloadavg()[0]:.1f}; milliseconds a step")
    for name, row in rows.items():
        low, high = row["quartiles_ms"]
        spread = f"median {row['median_ms']:7.1f}  ({low:.1f} to {high:.1f})  min {row['min_ms']:6.1f}"
        print(f"{name:45} {spread}  x{row['times_ours']:.1f}")


if __name__ == "__main__":
    main()
