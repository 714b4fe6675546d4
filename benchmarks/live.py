"""What a live page costs the training beside it: alone, and with one viewer, in turns.

    python benchmarks/live.py [--recipe demo] [--p P] [--steps N] [--threads N] [--rounds 5] [--against COMMIT] [--json]

Each run is trained by a process of its own, as `interp train --live` does it. The viewer does what an open tab does: it asks
every second what is new, and fetches each new version of the page. Counted is the training itself, from its first step to its
last, in wall-clock time and in processor time of the training process; a warm engine is loaded before. Everything is a median
over the rounds, and the loss is the median of the losses of single rounds, each of which has its own neighbour.

With --against, another version, with the same libraries, takes turns as well.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from timing import machine, options, show
from versions import ROOT, checked_out

import interp
from interp.config.run_config import RunConfig

_ASK_SECONDS = 1.0
# Trained in a process of its own, by whichever version is on its path: what it prints is read.
_TRAIN = """
import json, sys, time
from contextlib import nullcontext
from pathlib import Path
import interp
from interp.config.run_config import RunConfig
from interp.training.loop import train
config, root, live = RunConfig.from_json(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "live"
for step in train(config):
    if step.index >= 50:
        break
from interp.live.attendant import attended
with attended(root / "run") if live else nullcontext("") as address:
    print(address, flush=True)
    begun, used = time.perf_counter(), time.process_time()
    interp.record(config, root, "run", progress=False)
    print(json.dumps([time.perf_counter() - begun, time.process_time() - used]), flush=True)
"""


class Viewer:
    """An open tab: asks every second, fetches what is new, until nobody answers."""

    def __init__(self, address: str) -> None:
        self.versions, self._address = 0, address
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _get(self, path: str) -> bytes:
        base, _, query = self._address.partition("?")
        with urllib.request.urlopen(f"{base}{path}{'&' if '?' in path else '?'}{query}", timeout=30) as answer:
            return bytes(answer.read())

    def _look(self) -> None:
        try:
            self._get("")
            while True:
                state = json.loads(self._get(f"state?viewer=benchmark&version={self.versions}"))
                if state["version"] != self.versions:
                    self._get("update")
                    self.versions = state["version"]
                elif state.get("ended"):
                    return
                time.sleep(_ASK_SECONDS)
        except OSError:
            return


def trained(config: RunConfig, source: Path, *, viewed: bool) -> dict[str, float]:
    """Train one run; how fast it was, and how often the page was renewed."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    with TemporaryDirectory() as root:
        command = [sys.executable, "-c", _TRAIN, config.to_json(), root, "live" if viewed else "alone"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            viewer = Viewer(address) if viewed else None
            wall, used = json.loads(process.stdout.readline())
            versions = 0 if viewer is None else viewer.versions
        steps = len(interp.open_run(Path(root) / "run").history["step"])
        n_steps = config.steps if steps else 0
    return {"steps_per_second": n_steps / wall, "steps_per_cpu_second": n_steps / used, "versions": versions, "seconds": wall}


def losses(rounds: list[dict[str, dict[str, float]]], way: str) -> dict[str, float]:
    """By what share a way of training is slower than the run alone beside it."""
    found = {}
    for unit in ("steps_per_second", "steps_per_cpu_second"):
        each = [1 - row[way][unit] / row["alone"][unit] for row in rounds]
        found[f"loss_{unit}"], found[f"worst_{unit}"] = statistics.median(each), max(each)
    return found


def text(result: dict[str, object], rounds: list[dict[str, dict[str, float]]]) -> str:
    """The figures as lines."""
    lines = []
    for way in rounds[0]:
        wall, used = (
            statistics.median(row[way][unit] for row in rounds) for unit in ("steps_per_second", "steps_per_cpu_second")
        )
        seconds, versions = (statistics.median(row[way][unit] for row in rounds) for unit in ("seconds", "versions"))
        told = f"{way:24} {wall:7.1f} steps/s, {used:7.1f} steps per CPU second; {seconds:.0f} s, {versions:.0f} pages"
        if way != "alone":
            lost = losses(rounds, way)
            told += f"; loses {lost['loss_steps_per_second']:.1%} a second, {lost['loss_steps_per_cpu_second']:.1%} a CPU second"
        lines.append(told)
    return "\n".join([*lines, re.sub(r"\s+", " ", str(result["machine"]))])


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=5)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--p", type=int, help="another modulus than the recipe's")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--threads", type=int, help="of the training (default: all cores)")
    parser.add_argument("--against", metavar="COMMIT", help="another version of the toolkit")
    given = parser.parse_args()
    config = replace(interp.recipe(given.recipe), steps=given.steps, until_settled=False, threads=given.threads)
    if given.p is not None:
        config = replace(config, task=replace(config.task, p=given.p))
    facts, rounds = machine(), []
    with checked_out(given.against) as other:
        for _ in range(given.rounds):
            row = {"alone": trained(config, ROOT, viewed=False), "one viewer": trained(config, ROOT, viewed=True)}
            if other is not None:
                row["one viewer, other version"] = trained(config, other, viewed=True)
            rounds.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    ways = {way: losses(rounds, way) for way in rounds[0] if way != "alone"}
    result = {"machine": facts, "steps": given.steps, "p": config.task.p, "threads": given.threads, "rounds": rounds, **ways}
    show(result, as_json=given.json, text=lambda: text(result, rounds))


if __name__ == "__main__":
    main()
