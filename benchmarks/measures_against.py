"""Time every built-in analysis, analysis by analysis, in this version of the toolkit and in another, in turns.

    python benchmarks/measures_against.py RUN --against HEAD~20 [--rounds 5] [--checkpoints 8] [--controls 5] [--json]

The other version is checked out into a temporary folder, with the same libraries. In each round both measure the same
checkpoints of a finished run, one process after the other, each with one torch thread: milliseconds of processor time for a
checkpoint, medians (and the least) over checkpoints and rounds. What several analyses share (tables of all pairs, means over
lines) counts for the one that asks first. The whole anatomy with its random controls is timed too, as a user gets it: seconds of
wall clock and of processor time, with all cores. Memory is the largest resident set of the process that measured the checkpoints.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from versions import ROOT, checked_out

# Runs in the version that is first on PYTHONPATH; uses only names that both versions have.
WORK = """
import json, resource, sys, time
from pathlib import Path
import torch
import interp
from interp.observing.analysis import find_analyses
from interp.observing.keys import key_frequencies
from interp.observing.view import View

run, checkpoints, controls = interp.open_run(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
found = {"where": interp.__file__}
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if controls < 0:
    torch.set_num_threads(1)
    keys = key_frequencies(run[run.steps[-1]].network, "unembedding", task=run.task)
    analyses = [analysis for analysis in find_analyses(None) if analysis.at == "every"]
    steps, times = run.steps[:: max(1, len(run.steps) // checkpoints)], {}
    for step in (steps[0], *steps):  # the first twice: the caches are cold then, and what is made once is made
        checkpoint, total = run[step], 0.0
        view = View(step, checkpoint.network, run.task, run.split, keys, checkpoint.losses)
        asked = {"tables of all pairs": lambda view: view.logits} | {analysis.name: analysis.measure for analysis in analyses}
        for name, measure in asked.items():
            begun = time.thread_time()
            measure(view)
            spent = 1e3 * (time.thread_time() - begun)
            times.setdefault(name, []).append(spent)
            total += spent
        times.setdefault("all", []).append(total)
    found |= {"times": {name: values[1:] for name, values in times.items()}, "peak_mib": peak()}
else:
    from interp.anatomy import anatomy
    checkpoint, task, split = run[run.steps[-1]], run.task, run.split
    wall, cpu = time.perf_counter(), time.process_time()
    anatomy(checkpoint.weights, task=task, split=split, controls=controls)
    found |= {"times": {"anatomy, s": [time.perf_counter() - wall], "anatomy, CPU s": [time.process_time() - cpu]}}
print(json.dumps(found))
"""


def measured(checkout: Path, run: Path, checkpoints: int, controls: int) -> dict[str, Any]:
    """What one version needs, in a process of its own; the anatomy if a number of controls is given that is not negative."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(run), str(checkpoints), str(controls)],
        check=True,
        capture_output=True,
        text=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    answer = json.loads(done.stdout)
    assert Path(answer["where"]).is_relative_to(checkout), f"{answer['where']} was imported, not {checkout}"
    return answer


def compared(builds: dict[str, Path], given: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """By what was timed, in the order of the analyses, and by build: the median and the least; the largest memory."""
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(given.rounds):
        for build, checkout in builds.items():
            for controls in (-1, *([given.controls] if given.controls >= 0 else [])):
                answer = measured(checkout, given.run.resolve(), given.checkpoints, controls)
                for name, values in answer["times"].items():
                    times.setdefault(name, {}).setdefault(build, []).extend(values)
                if "peak_mib" in answer:
                    times.setdefault("peak MiB", {}).setdefault(build, []).append(answer["peak_mib"])
    return {
        name: {build: {"median": statistics.median(values), "least": min(values)} for build, values in by.items()}
        for name, by in times.items()
    }


def main() -> None:
    """Measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--against", required=True, help="a commit of this repository")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoints", type=int, default=8)
    parser.add_argument("--controls", type=int, default=5, help="of the anatomy; a negative number leaves it out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with checked_out(given.against) as other:
        table = compared({"before": other, "now": ROOT}, given)
    if given.json:
        print(json.dumps(table, indent=2))
        return
    print("| | before | at least | now | at least | times |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, row in table.items():
        cells = [f"{row[build][what]:.1f}" if build in row else "" for build in ("before", "now") for what in ("median", "least")]
        both = len(row) == 2  # an analysis that one of them does not have is timed in the other
        times = f"{row['before']['median'] / max(row['now']['median'], 1e-9):.1f}" if both else ""
        print(f"| {name} | {' | '.join(cells)} | {times} |")


if __name__ == "__main__":
    main()
