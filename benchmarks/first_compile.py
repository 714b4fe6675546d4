"""How long the very first run waits for the fast CPU engine to be compiled, and where that time goes.

    python benchmarks/first_compile.py [--against COMMIT] [--rounds N] [--threads N] [--json]

Each round makes an engine of the nanda recipe in a new process with an empty cache, and then in another one with the cache that
the first has filled. With --against, another version is checked out into a temporary folder and takes turns with this one. CPU
seconds are those of all processes together: on a busy machine they say more than the clock. Then this version compiles each part
in one process, one after another.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from timing import machine, options, show
from versions import ROOT, checked_out

# Both run in the version that is first on PYTHONPATH.
ENGINE = """
import sys, time
from dataclasses import replace
import interp
from interp.training.choice import make_engine
config = replace(interp.recipe("nanda"), threads=int(sys.argv[1]), engine="cpu")
start = time.perf_counter()
make_engine(config)
print(interp.__file__, time.perf_counter() - start)
"""
PARTS = """
import json, sys, time
from interp.training.cpu.kernels import Layout, units_for
times = {}
for unit in units_for(Layout(equals_sign=True, biases=True, columns=113, loss="cross_entropy")):
    start = time.process_time()
    unit.address
    times[unit.name] = time.process_time() - start
print(json.dumps(times))
"""


def run(checkout: Path, cache: Path, *command: str) -> tuple[str, float]:
    """What a program prints, and its CPU seconds with those of the processes it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": str(cache)}
    output = subprocess.run(
        [sys.executable, "-c", *command], check=True, cwd=cache, env=environment, capture_output=True, text=True
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def wait(checkout: Path, threads: int) -> dict[str, float]:
    """Seconds until the engine is ready, and CPU seconds of the whole process: with an empty cache, and with a full one."""
    found = {}
    with TemporaryDirectory() as cache:
        for name in ("empty", "full"):
            output, cpu = run(checkout, Path(cache), ENGINE, str(threads))
            where, seconds = output.split()
            assert Path(where).is_relative_to(checkout), f"{where} was imported, not {checkout}"
            found |= {f"{name}_seconds": float(seconds), f"{name}_cpu_seconds": cpu}
    return found


def measure(versions: dict[str, Path], *, rounds: int, threads: int) -> dict[str, dict[str, float]]:
    """Medians of each version, which take turns."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in versions}
    for _ in range(rounds):
        for name, checkout in versions.items():
            found[name].append(wait(checkout, threads))
    return {name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in found.items()}


def parts() -> dict[str, float]:
    """CPU seconds that each part takes to compile, in one process."""
    with TemporaryDirectory() as cache:
        output, _ = run(ROOT, Path(cache), PARTS)
    return json.loads(output)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--against", metavar="COMMIT", help="another version, to take turns with")
    parser.add_argument("--threads", type=int, default=2, help="threads of the run (default: 2)")
    arguments = parser.parse_args()
    facts, begun = machine(), time.time()
    with checked_out(arguments.against) as other:
        versions = {"this version": ROOT} if other is None else {"the other version": other, "this version": ROOT}
        times = measure(versions, rounds=arguments.rounds, threads=arguments.threads)
    result = {"machine": facts, "threads": arguments.threads, "took": time.time() - begun, "versions": times, "parts": parts()}

    def text() -> str:
        lines = [f"{facts['processor']}, {facts['cores']} cores, load average before: {facts['load']}"]
        for name, row in times.items():
            lines.append(
                f"{name:18} first {row['empty_seconds']:6.1f} s ({row['empty_cpu_seconds']:6.1f} CPU s)   "
                f"then {row['full_seconds']:5.2f} s ({row['full_cpu_seconds']:5.2f} CPU s, imports included)"
            )
        lines += [f"{seconds:6.2f} CPU s  {name}" for name, seconds in sorted(result["parts"].items(), key=lambda part: -part[1])]
        return "\n".join(lines)

    show(result, as_json=arguments.json, text=text)


if __name__ == "__main__":
    main()
