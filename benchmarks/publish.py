"""Run the speed benchmarks and write their figures into README.md and docs/speed.md.

    python benchmarks/publish.py [NAME ...] [--no-run]
    python benchmarks/publish.py NAME --take FILE

The figures are kept in benchmarks/measured.json; each block between `<!-- measured: NAME -->` and `<!-- end -->` is written
from it.
With names, only those benchmarks are run again; with --no-run, none; with --take, what one of them printed elsewhere with --json
is taken from a file. Leave the machine to itself meanwhile. Without a CUDA device, the figures of one are kept as they are.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent
MEASURED = FOLDER / "measured.json"
PAGES = (FOLDER.parent / "README.md", FOLDER.parent / "docs" / "speed.md")
BENCHMARKS = ("train_step", "end_to_end", "many_runs", "limits", "scaling", "first_compile", "commands", "gpu")
_BLOCK = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def where(result: dict[str, Any]) -> str:
    """The machine, in words."""
    machine = result["machine"]
    return f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, load average before: {machine['load']}"


def train_step(result: dict[str, Any]) -> str:
    """One step, ours and others'."""
    rows = [
        [name, f"{row['median']:.1f}", f"{row['low']:.1f} to {row['high']:.1f}", f"{row['times_ours']:.1f}"]
        for name, row in result["milliseconds"].items()
    ]
    body = table(["loop", "median ms a step", "half of them", "times ours"], rows)
    return f"{body}\n({where(result)}; {result['threads']} threads; from step {result['after']:,} on)\n"


def end_to_end(result: dict[str, Any]) -> str:
    """Whole runs."""
    rows = [
        [f"`{name}`", f"{row['seconds']:.0f}", f"{row['peak_mib']:.0f}", f"{row['grokked']:,}", f"{row['settled']:,}"]
        for name, row in result["commands"].items()
    ]
    return table(["command", "seconds", "peak MiB", "grokked at step", "settled at step"], rows)


def many_runs(result: dict[str, Any]) -> str:
    """Several runs."""
    at_once, in_turn = (f"{result['runs_per_hour'][name]:.0f}" for name in ("train_many", "one after another"))
    return (
        f"`train_many` did {at_once} runs of {result['steps']:,} steps an hour, one thread each; one after another with all "
        f"threads {in_turn}: {result['ratio']:.2f} times as many.\n"
    )


def limits(result: dict[str, Any]) -> str:
    """Where a step's time goes."""
    rows = [
        [
            name,
            f"{row['milliseconds']:.2f}",
            *(
                [f"{row['gflop']:.3f}", f"{row['megabytes']:.0f}", f"{row['at_best_milliseconds']:.2f}"]
                if row["gflop"]
                else ["", "", ""]
            ),
        ]
        for name, row in result["parts"].items()
    ]
    best = result["ceilings"]
    head = ["part", "ms", "GFLOP", "MB to and from caches", "at best, ms"]
    ceiling = f"{best['gflop_per_second']:.0f} GFLOP/s, {best['gigabytes_per_second']:.0f} GB/s"
    active = result["active"]
    shares = f"{active['as they are']:.0%} of the neurons active, {active['as they are taken']:.0%} by their signs"
    given = f"{result['threads']} threads; step {result['after']:,}: {shares}; ceilings measured with it: {ceiling}"
    even = result["evenness"]
    waits = (
        f"The slower thread's share of the passes over pairs took {even['median']:.2f} times the mean of both (below "
        f"{even['95 %']:.2f} in 95 of 100); the two threads' times had a correlation of {even['correlation']:.2f}."
    )
    return f"{table(head, rows)}\n({where(result)}; {given})\n\n{waits}\n"


def _against_reference(row: dict[str, Any]) -> tuple[str, str]:
    """Milliseconds of the reference engine and its ratio to ours; a dash where it needs more memory than there is."""
    if row["ratio"] is None:
        return "-", "-"
    return f"{row['milliseconds']['reference']['median']:.2f}", f"{row['ratio']:.1f}"


def scaling(result: dict[str, Any]) -> str:
    """Step times against everything."""
    rows = [
        [
            row["varies"],
            *(str(row[name]) for name in ("p", "fraction", "d_model", "heads", "d_mlp", "threads")),
            f"{row['milliseconds']['cpu']['median']:.2f}",
            *(_against_reference(row)),
            row["auto"],
        ]
        for row in result["points"]
    ]
    head = ["varies", "p", "share", "d_model", "heads", "d_mlp", "threads", "cpu ms", "reference ms", "ratio", "auto takes"]
    return f"{table(head, rows)}\n({where(result)}; from step {result['after']:,} on)\n"


def first_compile(result: dict[str, Any]) -> str:
    """The wait of the very first run, and its parts."""
    rows = [
        [name, *(f"{row[key]:.1f}" for key in ("empty_seconds", "empty_cpu_seconds", "full_seconds"))]
        for name, row in result["versions"].items()
    ]
    rooms: dict[str, list[float]] = {}
    for name, seconds in result["parts"].items():
        rooms.setdefault(name.split(".kernels.")[1].split(".")[0], []).append(seconds)
    parts = [
        [f"kernels/{room}.py", str(len(seconds)), f"{sum(seconds):.1f}"]
        for room, seconds in sorted(rooms.items(), key=lambda item: -sum(item[1]))
    ]
    waits = table(["engine of the nanda recipe", "first, s", "first, CPU s", "from then on, s"], rows)
    return f"{waits}\n({where(result)}; {result['threads']} threads)\n\n{table(['part', 'units', 'CPU s'], parts)}"


def gpu(result: dict[str, Any]) -> str:
    """A CUDA device: one step, then many runs at once."""
    facts, whole = result["machine"], result["nanda"]
    rows = [
        [name, f"{row['median']:.2f}", f"{row['low']:.2f} to {row['high']:.2f}", f"{row['times_ours']:.1f}"]
        for name, row in result["milliseconds"].items()
    ]
    stacks = []
    for row in result["stacks"]:
        rates = f"{row['milliseconds']:.2f}", f"{row['milliseconds'] / row['runs']:.3f}", f"{row['runs_per_hour']:,.0f}"
        stacks.append([str(row["runs"]), *rates, f"{row['peak_mib']:,.0f}"])
    steps = f"runs of {result['stacks'][0]['steps']:,} steps an hour"
    return (
        f"{table(['loop', 'median ms a step', 'half of them', 'times ours'], rows)}\n"
        f"{table(['runs in one batch', 'ms a step', 'ms a step and run', steps, 'peak MiB'], stacks)}\n"
        f"The nanda recipe: {whole['seconds']:.1f} s for its {whole['steps']:,} steps, evaluations included, nothing saved. "
        f"({facts['gpu']}, torch {facts['torch']})\n"
    )


def gpu_shapes(result: dict[str, Any]) -> str:
    """Both engines of a CUDA device against everything."""
    rows = [
        [
            row["varies"],
            *(str(row[name]) for name in ("p", "fraction", "d_model", "heads", "d_mlp")),
            *(f"{row['milliseconds'][engine]['median']:.2f}" for engine in ("cuda", "reference")),
            f"{row['ratio']:.1f}",
            row["auto"],
        ]
        for row in result["points"]
    ]
    head = ["varies", "p", "share", "d_model", "heads", "d_mlp", "cuda ms", "reference ms", "ratio", "auto takes"]
    return table(head, rows)


def commands(result: dict[str, Any]) -> str:
    """Whole commands, against the version before and on a busy machine."""
    rows = []
    for name, versions in result["commands"].items():
        this, other, busy = versions["this"], versions.get("other"), versions.get("busy")
        before = [f"{other['seconds']:.2f}", f"{other['seconds'] / this['seconds']:.1f}"] if other else ["", ""]
        beside = [f"{busy[unit] / this[unit]:.1f}" for unit in ("seconds", "processor_seconds")] if busy else ["", ""]
        own = [f"{this['seconds']:.2f}", f"{this['processor_seconds']:.2f}", f"{this['peak_mib']:.0f}"]
        rows.append([f"`interp {name.partition(',')[0]}`{''.join(name.partition(',')[1:])}", *own, *before, *beside])
    head = [
        "command",
        "s",
        "s of processor time",
        "peak MiB",
        "before, s",
        "times as fast",
        "busy: times the time",
        "times the processor time",
    ]
    once = result["at_once"]
    several = (
        f"{once['commands']} commands (`show`, `report`, `analyze`, `anatomy`, each on a run of its own, nothing cached) took "
        f"{once['together']:.0f} s started at once and {once['in turn']:.0f} s one after the other: {once['ratio']:.2f} times.\n"
        if once
        else ""
    )
    told = f"busy: beside {result['beside']} processes that only count; medians of {result['rounds']} rounds"
    return f"{table(head, rows)}\n({where(result)}; {told})\n\n{several}"


WRITERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "train_step": train_step,
    "end_to_end": end_to_end,
    "many_runs": many_runs,
    "limits": limits,
    "scaling": scaling,
    "commands": commands,
    "first_compile": first_compile,
    "gpu": gpu,
    "gpu_shapes": gpu_shapes,
}


def written(text: str, measured: dict[str, Any]) -> str:
    """A page with every measured block written anew."""

    def block(match: re.Match[str]) -> str:
        name = match[2]
        return match[1] + WRITERS[name](measured[name.removesuffix("_shapes")]) + match[3]

    return _BLOCK.sub(block, text)


def main() -> None:
    """Measure, keep, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which benchmarks (default: all): {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--take", metavar="FILE", type=Path, help="take the figures of the one NAME from what it printed elsewhere"
    )
    parser.add_argument("--no-run", action="store_true", help="only write the pages from measured.json")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    measured = json.loads(MEASURED.read_text()) if MEASURED.is_file() else {}
    if arguments.take:
        if len(arguments.names) != 1:
            parser.error("--take: give one NAME")
        measured[arguments.names[0]] = json.loads(arguments.take.read_text())
        MEASURED.write_text(json.dumps(measured, indent=1) + "\n")
    if "gpu" in arguments.names and not (torch.cuda.is_available() or arguments.take or arguments.no_run):
        parser.error("gpu: there is no CUDA device here; --take FILE takes what was measured elsewhere")
    here = [name for name in arguments.names or BENCHMARKS if name != "gpu" or torch.cuda.is_available()]
    for name in () if arguments.no_run or arguments.take else here:
        print(f"{name} ...", flush=True)
        output = subprocess.check_output([sys.executable, str(FOLDER / f"{name}.py"), "--json"])
        measured[name] = json.loads(output)
        MEASURED.write_text(json.dumps(measured, indent=1) + "\n")
    for page in PAGES:
        page.write_text(written(page.read_text(), measured))


if __name__ == "__main__":
    main()
