"""What the benchmarks share: timing in turn, facts about the machine, the options every one of them has."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from interp.config.run_config import RunConfig
from interp.training.choice import make_engine
from interp.training.engine import Engine

Loops = Mapping[str, Callable[[], object]]


def alternate(loops: Loops, *, rounds: int, seconds: float = 0.5) -> dict[str, list[float]]:
    """Milliseconds of single calls, after one call that does not count; in turn, so that what else the machine does falls on all.

    A turn lasts about `seconds`, and at least one call: long enough for a loop to find its own data in the caches again.
    """
    times: dict[str, list[float]] = {name: [] for name in loops}
    repeats = {}
    for name, call in loops.items():
        call()
        repeats[name] = max(1, round(1e3 * seconds / _milliseconds(call)))
    for _ in range(rounds):
        for name, call in loops.items():
            times[name] += [_milliseconds(call) for _ in range(repeats[name])]
    return times


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def spread(values: list[float]) -> dict[str, float]:
    """Median, quartiles and least of some times."""
    low, high = statistics.quantiles(values, n=4)[::2] if len(values) > 1 else (values[0], values[0])
    return {"median": statistics.median(values), "low": low, "high": high, "least": min(values)}


def machine() -> dict[str, object]:
    """What a figure depends on besides the code."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        model = next((value.strip() for name, value in lines.items() if name.strip() == "model name"), model)
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
    }


def options(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with ``--rounds`` and ``--json``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each loop (default: {rounds})")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def add_after(parser: argparse.ArgumentParser, *, default: int = 1000) -> None:
    """The option ``--after``."""
    parser.add_argument("--after", type=int, default=default, metavar="STEPS", help=f"steps trained before (default: {default})")


def state_after(config: RunConfig, steps: int) -> dict[str, torch.Tensor]:
    """A run's weights (`flat`) and its engine's state after some steps. What a step costs depends on how many neurons are active,
    which the first hundred steps change.
    """
    engine = make_engine(config)
    for _ in range(steps):
        engine.gradient()
        engine.update()
    return {"flat": engine.parameters.flat.clone(), **{name: tensor.clone() for name, tensor in engine.state().items()}}


def going_on(config: RunConfig, state: Mapping[str, torch.Tensor]) -> Engine:
    """An engine of a run that goes on from there."""
    engine = make_engine(config)
    engine.parameters.flat.copy_(state["flat"])
    engine.load({name: tensor for name, tensor in state.items() if name != "flat"})
    return engine


def show(result: Mapping[str, object], *, as_json: bool, text: Callable[[], str]) -> None:
    """Print a result as JSON, or as text."""
    print(json.dumps(result, indent=2) if as_json else text())
